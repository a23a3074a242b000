"""The part of the API server that kopf's watches need, in memory: pods by namespace, and errors.

A real API server sends an error within a stream at moments that no test can choose.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

VERBS = ["get", "list", "watch", "patch"]


class Pods:
    """Pods that are listed and watched.

    Attributes:
        url: of the server.
        lines: what the next watches send, each a list of lines, and then end; further watches send
            nothing, and stay.
        lists, watches: namespaces that were listed, and that are being watched.
        opened: watches so far.
    """

    def __init__(self) -> None:
        self.url = ""
        self.lines: list[list[str]] = []
        self.lists: list[str] = []
        self.watches: list[str] = []
        self.opened = 0

    async def _pods(self, request: web.Request) -> web.StreamResponse:
        namespace = request.match_info["namespace"]
        if "watch" not in request.query:
            self.lists.append(namespace)
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        self.watches.append(namespace)
        self.opened += 1
        try:
            response = web.StreamResponse()
            await response.prepare(request)
            if self.lines:
                for line in self.lines.pop(0):
                    await response.write(line.encode() + b"\n")
            else:
                await asyncio.Event().wait()
            return response
        finally:
            self.watches.remove(namespace)


def line(kind: str, **found: Any) -> str:
    """Return a line of a watch."""
    return json.dumps({"type": kind, "object": found})


@asynccontextmanager
async def serving() -> AsyncIterator[Pods]:
    """Serve for the length of a block."""
    pods, application = Pods(), web.Application()
    kinds = [
        {"name": plural, "singularName": "", "kind": kind, "namespaced": own, "verbs": VERBS}
        for plural, kind, own in (("pods", "Pod", True), ("namespaces", "Namespace", False))
    ]
    known: dict[str, Any] = {
        "/api": {"versions": ["v1"]},
        "/apis": {"groups": []},
        "/api/v1": {"resources": kinds},
    }

    async def describe(request: web.Request) -> web.Response:
        return web.json_response(known[request.path])

    for path in known:
        application.router.add_get(path, describe)
    application.router.add_get("/api/v1/namespaces/{namespace}/pods", pods._pods)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    pods.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield pods
    finally:
        await runner.cleanup()
