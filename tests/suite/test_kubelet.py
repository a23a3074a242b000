"""The pretend kubelet watches on whatever an API server answers that has just started."""

import asyncio
import json

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from support import kubelet

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
