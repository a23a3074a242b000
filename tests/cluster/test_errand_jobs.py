"""Jobs that remove files: what they remove is gone once they have succeeded, and not before."""

import asyncio
from typing import Any, cast

import pytest

from distillery_operator.cluster import errand_jobs, errands, jobs
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.kinds import Key
from distillery_operator.errors import Refused
from support import shapes
from support.jobs_in_memory import Server
from support.shapes import DEFAULTS, experiment

Object = dict[str, Any]
OF = experiment()
NAME = Key("science", jobs.removal_name(OF))


@pytest.fixture
def server() -> Server:
    return Server()


async def make() -> Object:
    return errands.removal(OF, ["experiments/tiny"], DEFAULTS)


def done(server: Server) -> bool:
    return asyncio.run(errand_jobs.done(cast(Api, server), NAME, make))


def test_an_errand_is_started_once_and_is_done_when_it_has_succeeded(server: Server) -> None:
    assert [done(server), done(server), len(server.created)] == [False, False, 1]
    server.end("Complete")
    assert done(server)
    assert len(server.created) == 1


def test_an_errand_that_failed_says_why_and_is_started_again(server: Server) -> None:
    done(server)
    server.end("Failed", "Job has reached the specified backoff limit")
    with pytest.raises(Refused, match="has failed: Job has reached the specified backoff limit"):
        done(server)
    assert [done(server), len(server.created)] == [False, 2]


WAITING = {
    "no pod": ([], {}, "it has no pod yet"),
    "queue": ([], {"suspend": True}, "it is suspended"),
    "volume": (['persistentvolumeclaim "work" not found'], {}, 'claim "work" not found'),
}


@pytest.mark.parametrize(("said", "spec", "words"), WAITING.values(), ids=WAITING.keys())
def test_an_errand_that_does_not_begin_says_what_it_waits_for(
    server: Server, said: list[str], spec: Object, words: str
) -> None:
    done(server)
    server.jobs[NAME]["spec"] |= spec
    for message in said:
        condition = {"type": "PodScheduled", "status": "False", "message": message}
        metadata = {"name": "pod", "creationTimestamp": "2026-11-24T10:00:00Z"}
        server.pods.append({"metadata": metadata, "status": {"conditions": [condition]}})
    assert not done(server)  # it is new
    server.age()
    with pytest.raises(Refused, match=words):
        done(server)


def test_an_errand_that_runs_is_waited_for(server: Server) -> None:
    done(server)
    server.age()
    state = {"name": "trainer", "state": {"running": {}}}
    metadata = {"name": "pod", "creationTimestamp": "2026-11-24T10:00:00Z"}
    server.pods.append({"metadata": metadata, "status": {"containerStatuses": [state]}})
    assert not done(server)


def test_an_errand_is_over_though_a_sidecar_keeps_its_pod_alive(server: Server) -> None:
    done(server)
    job = server.jobs[NAME] | {"metadata": server.jobs[NAME]["metadata"] | {"uid": "errand"}}
    beside = (shapes.container("sleeper", shapes.running()),)
    server.pods = [shapes.pod(job, "Running", shapes.terminated(1), others=beside)]
    with pytest.raises(Refused, match="has failed: its container ended with exit code 1"):
        done(server)
    assert not done(server)  # it is begun anew
    server.pods = [shapes.pod(job, "Running", shapes.terminated(0), others=beside)]
    assert done(server)


def test_a_job_that_outlives_its_experiment_is_owned_by_nobody() -> None:
    job = errands.removal(OF, ["experiments/tiny"], DEFAULTS)
    assert "ownerReferences" not in job["metadata"]
    assert job["metadata"]["name"] == "tiny-8f1c2f7e-delete"
