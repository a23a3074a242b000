import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_contract.request import Stage
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.cluster.runner import SELECTOR, Runner
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.resource import label_names
from distillery_operator.resource.experiment import GROUP
from distillery_operator.trials.attempt import Attempt
from support import shapes
from support.shapes import Object, complete, condition, job, pod, running, terminated, waiting

KEY = Key("science", "tiny")


def edited(found: Object, **parts: Any) -> Object:
    """The object with parts of its metadata, spec or status replaced."""
    made = copy.deepcopy(found)
    for part, values in parts.items():
        made[part] |= values
    return made


def document(**metadata: Any) -> Object:
    known = {"name": "tiny", "namespace": "science", "uid": shapes.UID, "generation": 1}
    return {"metadata": {**known, **metadata}, "spec": {}, "status": {}}


def names(objects: list[Any]) -> list[str]:
    return [o["metadata"]["name"] for o in objects]


def attempts(cache: Cache) -> list[Attempt]:
    """What a runner makes of a cache, which asks the API server nothing here."""
    api = Api(lambda *_: None)
    runner = Runner(api, cache, shapes.experiment(), shapes.DEFAULTS)
    return list(asyncio.run(runner.list()))


def labelled(**labels: str | None) -> Object:
    made = job()
    known = made["metadata"]["labels"]
    for name, value in labels.items():
        label = f"{GROUP}/{name.replace('_', '-')}"
        known.pop(label)
        if value is not None:
            known[label] = value
    return made


def test_a_pod_alone_still_says_which_request_it_was_made_for() -> None:
    cache = Cache()
    cache.put(Kind.POD, pod(job(), "Running", running()))
    (found,) = attempts(cache)
    annotations = job()["metadata"]["annotations"]
    assert found.digest == annotations[label_names.REQUEST]
    assert (found.generation, found.image) == (1, annotations[label_names.IMAGE])


JOB_CHANGES: dict[str, tuple[Callable[[Object], Object], bool]] = {
    "nothing": (lambda o: o, False),
    "versions": (lambda o: edited(o, metadata={"resourceVersion": "9", "generation": 2}), False),
    "managers": (lambda o: edited(o, metadata={"managedFields": []}), False),
    "counts of pods": (lambda o: edited(o, status={"active": 1, "ready": 1}), False),
    "retention": (lambda o: edited(o, spec={"ttlSecondsAfterFinished": 60}), False),
    "suspension": (lambda o: edited(o, spec={"suspend": True}), True),
    "its end": (lambda o: edited(o, status={"conditions": [complete()]}), True),
    "halt": (lambda o: edited(o, metadata={"annotations": {label_names.HALTED: "true"}}), True),
}
POD_CHANGES: dict[str, tuple[Callable[[Object], Object], bool]] = {
    "nothing": (lambda o: o, False),
    "versions": (lambda o: edited(o, metadata={"resourceVersion": "9", "generation": 2}), False),
    "readiness": (
        lambda o: edited(
            o, status={"conditions": [*o["status"]["conditions"], condition("Ready", "False")]}
        ),
        False,
    ),
    "a probe's time": (
        lambda o: edited(
            o, status={"conditions": [{**shapes.scheduled(), "lastProbeTime": shapes.at(9)}]}
        ),
        False,
    ),
    "state": (lambda o: edited(o, status=pod(job(), "Running", running())["status"]), True),
    "address": (lambda o: edited(o, status={"podIP": "10.1.0.9"}), True),
    "disruption": (
        lambda o: edited(o, status={"conditions": [shapes.disruption("DeletionByPodGC", "x")]}),
        True,
    ),
    "deletion": (lambda o: edited(o, metadata={"deletionTimestamp": shapes.at(9)}), True),
}


@pytest.mark.parametrize("name", JOB_CHANGES)
def test_a_job_is_looked_at_if_something_of_it_matters(name: str) -> None:
    change, matters = JOB_CHANGES[name]
    cache, found = Cache(), job()
    assert cache.put(Kind.JOB, found) == KEY
    assert cache.put(Kind.JOB, change(found)) == (KEY if matters else None)


@pytest.mark.parametrize("name", POD_CHANGES)
def test_a_pod_is_looked_at_if_something_of_it_matters(name: str) -> None:
    change, matters = POD_CHANGES[name]
    cache, found = Cache(), pod(job(), "Pending", waiting("ContainerCreating"))
    assert cache.put(Kind.POD, found) == KEY
    assert cache.put(Kind.POD, change(found)) == (KEY if matters else None)


@pytest.mark.parametrize(
    ("metadata", "matters"),
    [
        ({}, False),
        ({"resourceVersion": "9", "annotations": {"a": "b"}}, False),
        ({"generation": 2}, True),
        ({"deletionTimestamp": shapes.at(3)}, True),
        ({"uid": "another", "generation": 1}, True),
    ],
)
def test_an_experiment_is_looked_at_if_a_person_changed_it(metadata: Object, matters: bool) -> None:
    cache = Cache()
    assert cache.put(Kind.EXPERIMENT, document()) == KEY
    newest = edited(document(**metadata), status={"state": "Running"})
    assert cache.put(Kind.EXPERIMENT, newest) == (KEY if matters else None)
    assert cache.experiments[KEY] == newest  # its status too


def test_an_experiment_is_dropped_once() -> None:
    cache = Cache()
    cache.put(Kind.EXPERIMENT, document())
    assert cache.drop(Kind.EXPERIMENT, document()) == KEY
    assert cache.drop(Kind.EXPERIMENT, document()) is None
    assert not cache.experiments


def test_the_end_of_a_predecessor_does_not_drop_what_has_its_name() -> None:
    cache = Cache()
    cache.put(Kind.EXPERIMENT, document(uid="second"))
    assert cache.drop(Kind.EXPERIMENT, document(uid="first")) is None
    assert cache.experiments[KEY]["metadata"]["uid"] == "second"
    old, new = job(), edited(job(), metadata={"uid": "second"})
    cache.put(Kind.JOB, new)
    assert cache.drop(Kind.JOB, old) is None
    assert names(cache.jobs(KEY, shapes.UID)) == names([new])


def test_an_object_that_was_never_seen_is_dropped_in_silence() -> None:
    cache = Cache()
    assert cache.drop(Kind.JOB, job()) is None
    assert cache.drop(Kind.POD, pod(job(), "Running", running())) is None


def test_told_jobs_disappear() -> None:
    cache, found = Cache(), job(complete())
    cache.put(Kind.JOB, found)
    labels = {"labels": {**found["metadata"]["labels"], label_names.TOLD: "true"}}
    told = edited(found, metadata=labels)
    assert cache.put(Kind.JOB, told) == KEY
    assert cache.jobs(KEY, shapes.UID) == []
    assert cache.put(Kind.JOB, told) is None
    assert cache.drop(Kind.JOB, told) is None


def test_told_pods_disappear_though_their_job_is_there() -> None:
    cache, found = Cache(), job(complete())
    ended = pod(found, "Succeeded", terminated(0))
    cache.put(Kind.JOB, found)
    cache.put(Kind.POD, ended)
    labels = {"labels": {**ended["metadata"]["labels"], label_names.TOLD: "true"}}
    assert cache.put(Kind.POD, edited(ended, metadata=labels)) == KEY
    assert cache.pods(KEY, shapes.UID) == []
    # A watch of what lacks the label shows this as a deletion, of the pod as it was before.
    assert cache.drop(Kind.POD, ended) is None
    assert cache.pods(KEY, shapes.UID) == []


@pytest.mark.parametrize(
    ("kind", "found", "presses"),
    [
        (Kind.EXPERIMENT, document(), True),
        (Kind.JOB, job(), False),
        (Kind.JOB, job(condition("SuccessCriteriaMet", "True")), False),
        (Kind.JOB, job(complete()), True),
        (Kind.JOB, job(shapes.failed_with(1)), True),
        (Kind.POD, pod(job(), "Pending", waiting("ContainerCreating")), False),
        (Kind.POD, pod(job(), "Running", running()), False),
        (Kind.POD, pod(job(), "Running", running(), deleted=3), True),
        (Kind.POD, pod(job(), "Succeeded", terminated(0)), False),
    ],
)
def test_what_may_free_a_slot_presses(kind: Kind, found: Object, presses: bool) -> None:
    cache = Cache()
    cache.put(Kind.JOB, job())
    assert cache.presses(kind, found, gone=False) is presses


@pytest.mark.parametrize(
    ("kind", "found", "presses"),
    [
        (Kind.EXPERIMENT, document(), True),
        (Kind.JOB, job(), True),
        (Kind.JOB, job(complete()), False),
        (Kind.POD, pod(job(), "Running", running()), True),
    ],
)
def test_what_vanishes_before_its_end_presses(kind: Kind, found: Object, presses: bool) -> None:
    cache = Cache()
    cache.put(Kind.JOB, job())
    assert cache.presses(kind, found, gone=True) is presses


def test_the_end_of_a_pod_presses_if_its_job_ended_before() -> None:
    cache = Cache()
    cache.put(Kind.JOB, job(complete()))
    assert cache.presses(Kind.POD, pod(job(), "Succeeded", terminated(0)), gone=False)
    assert not cache.presses(Kind.POD, pod(job(), "Running", running()), gone=False)


def test_a_job_counts_from_its_creation_though_no_watch_has_shown_it() -> None:
    class Taking(Api):
        async def create(self, *_: object) -> bool:
            return True

    async def listed() -> list[list[bool]]:
        cache, launch = Cache(), Launch(Stage.TRAIN, 0, 1)
        runner = Runner(Taking(lambda *_: None), cache, shapes.experiment(), shapes.DEFAULTS)
        await runner.start(launch, requests.order(shapes.experiment(), launch))
        found = [await runner.list()]
        for shown in (job(), job(complete())):
            cache.put(Kind.JOB, shown)
            cache.put(Kind.POD, pod(job(), "Succeeded", terminated(0)))
            found.append(await runner.list())
        cache.drop(Kind.JOB, job())
        found.append(await runner.list())
        return [[attempt.live for attempt in attempts] for attempts in found]

    assert asyncio.run(listed()) == [[True], [True], [False], []]


def test_objects_of_an_earlier_experiment_of_the_name_are_not_listed() -> None:
    cache = Cache()
    earlier = job(of=shapes.experiment(uid="11111111-earlier"))
    for found in (job(), earlier):
        cache.put(Kind.JOB, found)
        cache.put(Kind.POD, pod(found, "Running", running()))
    for uid, own in ((shapes.UID, job()), ("11111111-earlier", earlier)):
        assert names(cache.jobs(KEY, uid)) == names([own])
        assert names(cache.pods(KEY, uid)) == [f"{own['metadata']['name']}-x7k2p"]


@pytest.mark.parametrize(
    "stranger",
    [
        {"metadata": {"name": "a", "namespace": "science"}},
        {"metadata": {"name": "a", "namespace": "science", "labels": None}},
        labelled(stage=None),
        labelled(stage="describe"),
        labelled(stage="elsewhere"),
        labelled(experiment=None),
        labelled(experiment_uid=None),
        labelled(trial=None),
        labelled(trial="first"),
        labelled(trial="-1"),
        labelled(attempt="１"),
        labelled(attempt="9" * 30),
    ],
)
def test_what_names_no_attempt_belongs_to_nobody(stranger: Object) -> None:
    cache = Cache()
    for kind in (Kind.JOB, Kind.POD):
        assert cache.put(kind, stranger) is None
        assert cache.drop(kind, stranger) is None


def test_a_pod_that_has_ended_speaks_for_its_job_after_its_deletion() -> None:
    """The Job controller lets go of a deleted pod before it calls the Job finished."""
    cache, found = Cache(), job()
    cache.put(Kind.JOB, found)
    cache.put(Kind.POD, pod(found, "Running", running()))
    last = pod(found, "Failed", terminated(137, message="# EOF\n"), deleted=63)
    assert cache.drop(Kind.POD, last) == KEY
    cache.put(Kind.JOB, job(shapes.failed_with(137)))
    (attempt,) = attempts(cache)
    assert (attempt.reason, attempt.seconds) == ("Deleted", 3600.0)
    assert attempt.termination_message == "# EOF\n"
    assert cache.drop(Kind.JOB, found) == KEY
    assert cache.pods(KEY, shapes.UID) == []


def test_a_deleted_pod_that_has_not_ended_leaves_nothing() -> None:
    cache, found = Cache(), job()
    cache.put(Kind.JOB, found)
    cache.put(Kind.POD, pod(found, "Running", running()))
    assert cache.drop(Kind.POD, pod(found, "Running", running(), deleted=3)) == KEY
    assert cache.pods(KEY, shapes.UID) == []


def test_pods_without_a_job_are_listed_while_they_live() -> None:
    cache = Cache()
    live = pod(job(), "Running", running())
    ended = pod(job(launch=Launch(Stage.TRAIN, 1, 1)), "Succeeded", terminated(0))
    cache.put(Kind.POD, live)
    cache.put(Kind.POD, ended)
    assert [a.trial for a in attempts(cache)] == [0]
    assert names(cache.pods(KEY, shapes.UID)) == names([live])


def test_the_watches_show_what_the_cache_takes() -> None:
    labels = job()["metadata"]["labels"]
    wanted, unwanted = SELECTOR.split(",")
    assert wanted in labels
    assert unwanted == f"!{label_names.TOLD}"


STATES = {
    "Pending": waiting("ContainerCreating"),
    "Running": running(),
    "Failed": terminated(75),
    "Succeeded": terminated(0),
}


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["job", "told", "gone", *STATES, "dropped"]))
    )
)
def test_the_cache_has_what_is_there_and_the_last_words_of_what_is_not(
    events: list[tuple[int, str]],
) -> None:
    cache = Cache()
    whole = [job(launch=Launch(Stage.TRAIN, trial, 1)) for trial in range(3)]
    jobs: set[int] = set()
    pods: dict[int, str] = {}
    kept: dict[int, str] = {}
    for trial, event in events:
        found = whole[trial]
        if event == "job":
            cache.put(Kind.JOB, found)
            jobs.add(trial)
        elif event in ("told", "gone"):
            label = {label_names.TOLD: "true"} if event == "told" else {}
            labels = {**found["metadata"]["labels"], **label}
            cache.drop(Kind.JOB, edited(found, metadata={"labels": labels}))
            if trial in jobs:
                ended = ("Succeeded", "Failed")
                pods = {t: p for t, p in pods.items() if t != trial or p not in ended}
                kept.pop(trial, None)
            jobs.discard(trial)
        elif event == "dropped":
            if trial in pods:
                phase = pods.pop(trial)
                cache.drop(Kind.POD, pod(found, phase, STATES[phase], deleted=1))
                if trial in jobs and phase in ("Succeeded", "Failed"):
                    kept[trial] = phase
        else:
            cache.put(Kind.POD, pod(found, event, STATES[event]))
            pods[trial] = event
            kept.pop(trial, None)
        shown = {
            int(j["metadata"]["labels"][label_names.TRIAL]) for j in cache.jobs(KEY, shapes.UID)
        }
        assert shown == jobs
        phases = {
            int(p["metadata"]["labels"][label_names.TRIAL]): p["status"]["phase"]
            for p in cache.pods(KEY, shapes.UID)
        }
        assert phases == {**kept, **pods}


def test_what_vanished_unseen_is_lost_but_an_ended_pods_words_are_kept() -> None:
    cache = Cache()
    ended = pod(job(), "Succeeded", terminated(0))
    for kind, found in ((Kind.JOB, job()), (Kind.POD, ended), (Kind.EXPERIMENT, document())):
        cache.put(kind, found)
    assert cache.known(Kind.POD) == {}
    for kind in (Kind.JOB, Kind.EXPERIMENT):
        ((key, lost),) = cache.known(kind).values()
        assert key == KEY
        cache.lose(kind, key, lost)
        assert cache.known(kind) == {}


@pytest.mark.parametrize("kind", list(Kind))
def test_what_matters_and_no_watch_has_shown_is_lacking(kind: Kind) -> None:
    owner = job()
    found = {
        Kind.EXPERIMENT: document(),
        Kind.JOB: owner,
        Kind.POD: pod(owner, "Running", running()),
    }[kind]
    cache = Cache()
    assert cache.lacks(kind, found)
    cache.put(kind, found)
    assert not cache.lacks(kind, found)
    successor = edited(found, metadata={"uid": "of a successor"})
    assert cache.lacks(kind, successor)
    going = edited(successor, metadata={"deletionTimestamp": shapes.at(70)})
    assert not cache.lacks(kind, going)


def test_what_no_decision_needs_is_not_lacking() -> None:
    owner, cache = job(), Cache()
    assert not cache.lacks(Kind.POD, pod(owner, "Succeeded", terminated(0)))
    owner["metadata"]["labels"][label_names.TOLD] = "true"
    assert not cache.lacks(Kind.JOB, owner)
    owner["metadata"]["labels"] = {}
    assert not cache.lacks(Kind.JOB, owner)
