"""What a runner does where its watches are late, or other operators work beside it."""

import asyncio
from typing import Any, cast

import pytest

from distillery_contract.request import Stage
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.cluster.runner import Runner
from distillery_operator.resource import label_names
from distillery_operator.resource.experiment import STUDY
from distillery_operator.trials.attempt import Attempt, AttemptKey
from support import shapes
from support.jobs_in_memory import Server
from support.shapes import Object, job, pod, running, waiting

KEY: AttemptKey = (Stage.TRAIN, 0, 1)


class World:
    """A server with the Job of one attempt, and a runner whose watches show what a test says."""

    def __init__(self, server: Server, *pods: Object) -> None:
        self.server, self.cache, self.job = server, Cache(), job()
        self.uid = self.job["metadata"]["uid"]
        metadata = self.job["metadata"]
        server.jobs[Key(metadata["namespace"], metadata["name"])] = self.job
        server.pods = [*pods]
        api = cast(Api, server)
        self.runner = Runner(api, self.cache, shapes.experiment(), shapes.DEFAULTS)

    def listed(self) -> list[Attempt]:
        async def look() -> list[Attempt]:
            await self.runner.look_for({self.uid: KEY})
            return [*await self.runner.list()]

        return asyncio.run(look())

    def stop_what_is_pending(self, uid: str = "") -> None:
        metadata = {**self.job["metadata"], "uid": uid or self.uid}
        self.cache.put(Kind.JOB, {**self.job, "metadata": metadata})
        (attempt,) = asyncio.run(self.runner.list())
        assert attempt.started is None
        asyncio.run(self.runner.stop(attempt, "Suspended"))


def test_what_has_begun_is_listed_though_no_watch_has_shown_it() -> None:
    world = World(Server(), pod(job(), "Running", running()))
    (attempt,) = world.listed()
    assert attempt.live
    assert attempt.identity == world.uid
    assert attempt.started is not None


def test_what_is_gone_is_looked_for_once() -> None:
    class Counting(Server):
        asked = 0

        async def get(self, kind: Kind, key: Key) -> Object:
            self.asked += 1
            return await super().get(kind, key)

    world = World(server := Counting())
    server.jobs.clear()
    assert [world.listed(), world.listed()] == [[], []]
    assert server.asked == 1


def test_of_a_deleted_job_the_pod_is_listed_as_long_as_it_lives() -> None:
    world = World(Server())
    last = pod(world.job, "Running", running())
    last["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] = world.uid
    world.server.jobs.clear()
    world.server.pods = [last]
    (attempt,) = world.listed()
    assert (attempt.live, attempt.identity) == (True, world.uid)


@pytest.mark.parametrize("pods", [[], [pod(job(), "Pending", waiting("ContainerCreating"))]])
def test_the_job_of_what_waits_is_deleted(pods: list[Object]) -> None:
    world = World(Server(), *pods)
    world.stop_what_is_pending()
    assert not world.server.jobs


def test_a_job_that_is_discarded_goes_though_its_experiment_was_created_again() -> None:
    """It has the labels of the study's name, which is the uid that the experiment had first."""
    world = World(Server())
    world.cache.put(Kind.JOB, world.job)
    first = shapes.experiment()
    known = {"uid": "5b0c8a0e-0000-4000-8000-000000000002", "annotations": {STUDY: shapes.UID}}
    metadata = first.metadata.model_copy(update=known)
    again = first.model_copy(update={"metadata": metadata})
    runner = Runner(cast(Api, world.server), world.cache, again, shapes.DEFAULTS)
    (attempt,) = asyncio.run(runner.list())
    asyncio.run(runner.discard(attempt))
    assert not world.server.jobs


def test_what_has_begun_meanwhile_keeps_its_job() -> None:
    world = World(Server(), pod(job(), "Running", running()))
    world.stop_what_is_pending()
    assert world.server.jobs
    (attempt,) = asyncio.run(world.runner.list())
    assert attempt.started is not None  # the next pass stops it as what runs


def test_a_job_that_changes_while_it_is_looked_at_stays() -> None:
    class Moving(Server):
        async def get(self, kind: Kind, key: Key) -> Object:
            found: dict[str, Any] = await super().get(kind, key)
            metadata = {**found["metadata"], "resourceVersion": "4712"}
            self.jobs[key] = {**found, "metadata": metadata}
            return found

    world = World(Moving())
    world.stop_what_is_pending()
    assert world.server.jobs


def test_another_job_of_the_name_stays() -> None:
    world = World(Server())
    world.stop_what_is_pending(uid="earlier")
    assert world.server.jobs


@pytest.mark.parametrize("goes", [True, False])
def test_a_held_pod_is_free_to_go_with_its_namespace_and_is_read_all_the_same(goes: bool) -> None:
    server, words = Server(), "unable to create new content in namespace science because it is"
    server.refusal = f"{words} being terminated" if goes else ""
    ended = pod(job(), "Failed", shapes.terminated(75, message="# EOF\n"), deleted=64)
    ended["metadata"]["finalizers"].append(label_names.METRICS)
    world = World(server, ended)
    world.cache.put(Kind.JOB, {**world.job, "status": {"conditions": [shapes.failed_with(75)]}})
    world.cache.put(Kind.POD, ended)
    (attempt,) = world.listed()
    assert attempt.termination_message == "# EOF\n"
    unheld = {"metadata": {"$deleteFromPrimitiveList/finalizers": [label_names.METRICS]}}
    assert server.patched == [unheld] * goes
