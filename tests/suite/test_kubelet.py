"""The pretend kubelet watches on whatever an API server answers that has just started."""

import asyncio
import json

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from support import kubelet
from support.cluster.access import Cluster

NOT_READY = {"kind": "Status", "status": "Failure", "code": 429, "message": "not ready yet"}
ADDED = {"type": "ADDED", "object": {"kind": "Pod"}}


def test_a_watch_that_is_refused_begins_again() -> None:
    answers = [web.Response(status=429, text=json.dumps(NOT_READY) + "\n")]
    answers += [web.Response(text=json.dumps(ADDED) + "\n")]

    async def answer(_: web.Request) -> web.Response:
        return answers.pop(0)

    async def first() -> kubelet.Object:
        application = web.Application()
        application.router.add_get("/api/v1/pods", answer)
        async with (
            TestServer(application) as server,
            ClientSession(server.make_url("/")) as session,
        ):
            async for event in kubelet.events(session, "/api/v1/pods", kubelet.SELECTOR):
                return event
        raise AssertionError("a watch ends only with its reader")

    assert asyncio.run(first()) == ADDED
    assert not answers


def test_a_watch_opens_while_nothing_that_it_is_for_changes(control_plane: Cluster) -> None:
    """The API server's memory of the kind is behind then, for something else has changed."""
    labels = "distillery-test=watch"
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}

    def make(number: int) -> None:
        metadata = {"name": f"watched-{number}", "labels": {"distillery-test": "watch"}}
        control_plane.kubectl(
            "create", "--filename=-", stdin=json.dumps({**lease, "metadata": metadata})
        )

    async def names() -> list[str]:
        found = list[str]()
        path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
        async with kubelet.connect(control_plane.kubeconfig) as session:
            async for event in kubelet.events(session, path, labels):
                found.append(event["object"]["metadata"]["name"])
                if len(found) == 2:
                    return found
                await asyncio.to_thread(make, 1)
        raise AssertionError("a watch ends only with its reader")

    make(0)
    control_plane.kubectl("create", "configmap", "beside", "--namespace=default")
    try:
        assert asyncio.run(asyncio.wait_for(names(), 120)) == ["watched-0", "watched-1"]
    finally:
        control_plane.kubectl("delete", "leases", f"--selector={labels}", "--namespace=default")
        control_plane.kubectl("delete", "configmap", "beside", "--namespace=default")
