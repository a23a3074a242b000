"""Jobs that wait, on a real API server and Job controller: what is said of them, and their end."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_operator.cluster import jobs, wait_reasons
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.cluster.kubeconfig import Access
from distillery_operator.cluster.runner import SELECTOR, Runner
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.errors import Refused
from distillery_operator.resource import parsing
from distillery_operator.resource.experiment import Experiment
from distillery_operator.trials.attempt import Attempt
from support import shapes, worlds
from support.cluster.access import Cluster
from support.spaces import Space

LAUNCH = Launch(Stage.TRAIN, 0, 1)


@pytest.fixture
def space(control_plane: Cluster) -> Iterator[Space]:
    made = Space(control_plane)
    yield made
    control_plane.kubectl("delete", "namespace", made.name, "--wait=false")


def experiment(space: Space) -> Experiment:
    document = worlds.document()
    document["metadata"] = {"name": "tiny", "namespace": space.name, "uid": shapes.UID}
    return parsing.parse(document)


@asynccontextmanager
async def started(space: Space) -> AsyncIterator[Api]:
    """An API server with the Job of a first attempt, which nobody owns."""
    api, of = Api(lambda *_: None), experiment(space)
    await api.open(Access(space.cluster.kubeconfig))
    job: dict[str, Any] = jobs.job(of, LAUNCH, requests.order(of, LAUNCH), shapes.DEFAULTS)
    del job["metadata"]["ownerReferences"]
    await api.create(Kind.JOB, job)
    try:
        yield api
    finally:
        await api.close()


async def until(api: Api, space: Space, *reasons: str) -> tuple[Runner, Attempt]:
    """Look anew until the attempt has one of these reasons."""
    async with asyncio.timeout(60):
        while True:
            cache = Cache()
            runner = Runner(api, cache, experiment(space), shapes.DEFAULTS)
            for kind in (Kind.JOB, Kind.POD):
                async for each in api.found(kind, space.name, SELECTOR):
                    cache.put(kind, each)
            (attempt,) = await runner.list()
            if attempt.reason in reasons:
                return runner, attempt
            await asyncio.sleep(0.2)


def test_a_job_that_no_machine_takes_in_time_ends_and_says_so(space: Space) -> None:
    async def run() -> Attempt:
        async with started(space) as api:
            runner, waits = await until(api, space, "Starting", "Unschedulable")
            assert waits.waiting_since is not None
            await runner.expire(waits)
            return (await until(api, space, "PendingTimeout"))[1]

    ended = asyncio.run(run())
    assert (ended.live, ended.disrupted, ended.started, ended.halted) == (False, True, None, False)
    assert "pendingTimeoutSeconds" in ended.message


def test_the_job_of_what_waits_is_deleted_only_as_it_was_looked_at(space: Space) -> None:
    async def run() -> list[bool]:
        async with started(space) as api:
            runner, waits = await until(api, space, "Starting", "Unschedulable")
            key = Key(space.name, jobs.name(experiment(space), LAUNCH))
            await api.delete(Kind.JOB, key, waits.identity, version="1")
            before = [job async for job in api.found(Kind.JOB, space.name, SELECTOR)]
            await runner.stop(waits, "Suspended")
            return [bool(before), "deletionTimestamp" in await metadata(api, key)]

    async def metadata(api: Api, key: Key) -> dict[str, Any]:
        try:
            found: dict[str, Any] = (await api.get(Kind.JOB, key))["metadata"]
        except Refused:
            return {"deletionTimestamp": "it is gone"}
        return found

    assert asyncio.run(run()) == [True, True]


def test_a_quota_says_why_a_job_has_no_pod(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_reasons, "PATIENCE_SECONDS", 0.0)
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    space.kubectl("create", "--filename=-", stdin=json.dumps(quota))

    async def run() -> Attempt:
        async with started(space) as api:
            return (await until(api, space, "FailedCreate"))[1]

    assert "exceeded quota: none" in asyncio.run(run()).message


def test_an_api_server_without_kueue_answers_that_there_is_none(
    space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_reasons, "PATIENCE_SECONDS", -1.0)

    async def run() -> Attempt:
        async with started(space) as api:
            suspended = json.dumps({"spec": {"suspend": True}})
            name = jobs.name(experiment(space), LAUNCH)
            space.kubectl("patch", "job", name, "--type=merge", f"--patch={suspended}")
            return (await until(api, space, "Queued"))[1]

    assert "names no queue" in asyncio.run(run()).message
