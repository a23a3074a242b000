"""Why attempts wait, in the words of those who know; and how often they are asked."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_operator.cluster import attempts, pod_template, wait_reasons
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.kinds import Object
from distillery_operator.cluster.wait_reasons import WaitReasons
from distillery_operator.engine.actions import Launch
from distillery_operator.errors import ApiUnavailable, Refused
from distillery_operator.trials.attempt import Attempt
from support import shapes, worlds
from support.shapes import condition, job, pod, seconds, waiting, warning, workload

OF = shapes.experiment(template=worlds.QUEUED)
DIGEST = pod_template.digest(shapes.experiment(), shapes.DEFAULTS)
MOUNT = 'MountVolume.SetUp failed for volume "keys" : secret "hub" not found'
QUOTA = 'pods "x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=3'
FLAVORS = "couldn't assign flavors to pod set main: resource memory unavailable in ClusterQueue"
GIVEN_UP = "The workload is deactivated due to exceeding the maximum number of re-queuing retries"
PREEMPTED = "Preempted to accommodate a workload (UID: 5c023c28) due to prioritization"


class Server(Api):
    """An API server that answers lists by path, and counts them."""

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        super().__init__(lambda *_: None)
        self.answers = answers or {}
        self.asked: list[tuple[str, str]] = []

    async def items(
        self, resource: str, path: str, query: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        self.asked.append((path.rpartition("/apis/")[2], *query.values()))  # type: ignore[arg-type]
        answer = self.answers.get(resource, [])
        if isinstance(answer, Exception):
            raise answer
        if resource == "workloads" and "v1beta2" in path and self.answers.get("old"):
            raise Refused("NotFound", "404 page not found")
        found: list[dict[str, Any]] = answer
        return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, in minutes."""
    minute = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: 60 * minute[0])
    return minute


def explained(asks: WaitReasons, *known: tuple[Object, ...], minute: float = 1) -> list[Attempt]:
    read = [(objects, attempts.attempt(objects[0], objects[1:], DIGEST)) for objects in known]
    return asyncio.run(asks.explained(read, seconds(minute)))


def said(server: Server, *objects: Object, minute: float = 1) -> tuple[str, str]:
    (found,) = explained(WaitReasons(server, "science"), objects, minute=minute)
    return found.reason, found.message


def starts(number: int = 0) -> tuple[Object, ...]:
    found = job(launch=Launch(Stage.TRAIN, number, 1))
    whole = pod(found, "Pending", waiting("ContainerCreating"))
    whole["spec"]["nodeName"] = "gpu-7"
    return found, whole


def test_a_volume_that_cannot_be_mounted_is_told_in_the_kubelets_words() -> None:
    server = Server(
        {
            "events": [
                warning("FailedMount", "timed out", 0.5),
                warning("FailedMount", MOUNT, 0.9),
                warning("FailedScheduling", "0/3 nodes are available", 0.95),
            ]
        }
    )
    assert said(server, *starts()) == ("FailedMount", f"the pod starts: FailedMount: {MOUNT}")
    name = starts()[1]["metadata"]["uid"]
    (query,) = server.asked
    assert f"involvedObject.uid={name},type=Warning" in query


def test_a_job_without_a_pod_says_why() -> None:
    server = Server({"events": [warning("FailedCreate", QUOTA, 0.9, series=None)]})
    assert said(server, job()) == (
        "FailedCreate",
        f"the Job has no pod yet: FailedCreate: {QUOTA}",
    )


def test_a_scheduler_that_does_not_exist_is_named_without_a_question() -> None:
    server = Server()
    whole = pod(job(), "Pending", None, condition("Initialized", "True"), ip=None)
    whole["spec"]["schedulerName"] = "nobody"
    words = ("NoScheduler", "no scheduler takes the pod: there must be one named nobody")
    assert said(server, job(), whole) == words
    assert said(server, job(), whole, minute=0.1)[0] == "Starting"  # a scheduler takes a moment
    assert server.asked == []


def test_where_nothing_was_said_the_pod_starts() -> None:
    assert said(Server(), *starts()) == ("Starting", "the pod starts")


AGAIN = "`kubectl delete job tiny-8f1c2f7e-00000-1` lets it try again, as a new Job"

QUEUE: dict[str, tuple[tuple[dict[str, Any], ...], bool, dict[str, Any], str, str]] = {
    "never admitted": (
        (condition("QuotaReserved", "False", "Pending", FLAVORS),),
        True,
        {},
        "Queued",
        f"Kueue does not admit the Job: {FLAVORS}",
    ),
    "no such queue": (
        (condition("QuotaReserved", "False", "Inadmissible", "LocalQueue gpus doesn't exist"),),
        True,
        {},
        "Inadmissible",
        "Kueue does not admit the Job: LocalQueue gpus doesn't exist",
    ),
    "preempted": (
        (
            condition("QuotaReserved", "False", "Pending", "no quota"),
            condition("Evicted", "True", "Preempted", PREEMPTED),
        ),
        True,
        {},
        "Queued",
        f"Kueue does not admit the Job: it was evicted: {PREEMPTED}; no quota",
    ),
    "given up": (
        (
            condition("QuotaReserved", "False", "Pending", GIVEN_UP),
            condition("Evicted", "True", "DeactivatedDueToRequeuingLimitExceeded", GIVEN_UP),
        ),
        False,
        {},
        "Deactivated",
        f"Kueue has given the Job up: {GIVEN_UP}; {AGAIN}",
    ),
    "given up, and made active again in vain": (
        (
            condition("QuotaReserved", "False", "Pending", GIVEN_UP),
            condition("Evicted", "True", "DeactivatedDueToRequeuingLimitExceeded", GIVEN_UP),
            condition("Requeued", "False", "DeactivatedDueToRequeuingLimitExceeded", GIVEN_UP),
        ),
        True,
        {},
        "Deactivated",
        f"Kueue has given the Job up: {GIVEN_UP}; {AGAIN}",
    ),
    "made active again": (
        (
            condition("QuotaReserved", "False", "Pending", "no quota"),
            condition("Evicted", "True", "Deactivated", GIVEN_UP),
            condition("Requeued", "True", "Reactivated", "The workload was reactivated"),
        ),
        True,
        {},
        "Queued",
        f"Kueue does not admit the Job: it was evicted: {GIVEN_UP}; no quota",
    ),
    "admission checks": (
        (condition("QuotaReserved", "True", "QuotaReserved", "Quota reserved"),),
        True,
        {
            "admissionChecks": [
                {"name": "provision", "state": "Pending", "message": "waits for nodes"},
                {"name": "ready", "state": "Ready"},
            ]
        },
        "Queued",
        "Kueue has quota for the Job, and waits for checks: provision is Pending: waits for nodes",
    ),
    "not looked at": (
        (),
        True,
        {},
        "Queued",
        "Kueue does not admit the Job: Kueue has not looked at the Job yet",
    ),
}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("case", QUEUE)
def test_a_queue_says_in_its_own_words_why_a_job_waits(case: str, old: bool) -> None:
    conditions, active, status, reason, message = QUEUE[case]
    found = job(of=OF, suspend=True)
    made = workload(found, *conditions, active=active, **status)
    server = Server({"workloads": [made], "old": old})
    assert said(server, found) == (reason, message)
    assert len(server.asked) == 1 + old


def test_a_job_that_kueue_does_not_know_says_so() -> None:
    reason, message = said(Server(), job(of=OF, suspend=True))
    assert (reason, message) == (
        "Queued",
        "the Job is suspended, and Kueue has made no Workload of it yet",
    )


def test_without_kueue_or_a_right_to_read_the_job_itself_is_all_that_is_said(
    clock: list[float],
) -> None:
    server = Server({"workloads": Refused("Forbidden", "may not list workloads")})
    asks, found = WaitReasons(server, "science"), job(of=OF, suspend=True)
    for minute in range(1000, 1009):
        clock[0] = minute
        (attempt,) = explained(asks, (found,))
        assert attempt.message == "the Job is suspended: it waits for quota in the queue gpus"
    assert len(server.asked) == 2  # once for each version, and not again for ten minutes
    clock[0] = 1011
    explained(asks, (found,))
    assert len(server.asked) == 4


def test_few_questions_are_asked_however_many_wait_and_are_looked_at(clock: list[float]) -> None:
    pods = [starts(n) for n in range(40)]
    queued = [
        (job(of=OF, launch=Launch(Stage.TRAIN, n, 1), suspend=True),) for n in range(100, 300)
    ]
    server = Server({"events": [warning("FailedMount", MOUNT, 0.9)]})
    asks = WaitReasons(server, "science")
    for _ in range(20):
        found = explained(asks, *pods, *queued)
    assert len(server.asked) == wait_reasons.OBJECTS + 1
    assert [a.reason for a in found].count("FailedMount") == wait_reasons.OBJECTS
    longest = max(len(query) for asked in server.asked for query in asked)
    assert longest < 3000  # of a URL
    clock[0] += 1
    explained(asks, *pods, *queued)
    assert len(server.asked) == 2 * (wait_reasons.OBJECTS + 1)


def test_what_has_just_begun_to_wait_is_not_asked_about() -> None:
    server = Server()
    assert said(server, *starts(), minute=0.4) == ("Starting", "the pod starts")
    assert server.asked == []


def test_what_was_said_stands_while_the_api_server_does_not_answer(clock: list[float]) -> None:
    server = Server({"events": [warning("FailedMount", MOUNT, 0.9)]})
    asks = WaitReasons(server, "science")
    explained(asks, starts())
    clock[0] += 2
    server.answers = {"events": ApiUnavailable("500")}
    (found,) = explained(asks, starts())
    assert found.reason == "FailedMount"
    clock[0] += 2
    server.answers = {}
    (found,) = explained(asks, starts())
    assert found.reason == "Starting"
