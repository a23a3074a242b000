"""A way to an API server on which open watches can fall silent, while all else passes.

So it is where a load balancer or a NAT has forgotten a connection: neither end hears of it.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from ruamel.yaml import YAML

from support import certificates, kubelet

NAME = "half-open"
PASSED = ("Accept", "Content-Type")


class HalfOpen:
    """Passes requests on to an API server, those of one account.

    Attributes:
        kubeconfig: the way through.
    """

    def __init__(self, upstream: Path, folder: Path) -> None:
        """Stand before the API server of a kubeconfig; what this needs is in the folder."""
        certificates.make(folder, NAME, NAME, "-addext", "subjectAltName=IP:127.0.0.1")
        self.kubeconfig = folder / "half-open.kubeconfig"
        self._upstream = upstream
        self._certificate, self._key = (folder / f"{NAME}.{part}" for part in ("crt", "key"))
        self._loop = asyncio.new_event_loop()
        self._session: aiohttp.ClientSession
        self._watches: set[asyncio.Event] = set()

    def silence(self) -> int:
        """Hold back, for ever, what is sent on the watches that are open; return their number."""
        return asyncio.run_coroutine_threadsafe(self._silence(), self._loop).result()

    async def _silence(self) -> int:
        for passing in self._watches:
            passing.clear()
        return len(self._watches)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in PASSED if name in request.headers}
        passing = asyncio.Event()
        passing.set()
        if "watch" in request.query:
            self._watches.add(passing)
        try:
            body = await request.read() or None
            async with self._session.request(
                request.method, request.raw_path, data=body, headers=headers
            ) as answer:
                kind = {"Content-Type": answer.headers["Content-Type"]}  # with its parameters
                response = web.StreamResponse(status=answer.status, headers=kind)
                await response.prepare(request)
                async for part in answer.content.iter_any():
                    await passing.wait()
                    await response.write(part)
                return response
        finally:
            self._watches.discard(passing)

    async def _serve(self) -> web.AppRunner:
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._pass)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        self._session = kubelet.connect(self._upstream)
        return runner

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve for the length of a block."""
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        try:
            runner = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()
            try:
                self._lead_here(runner.addresses[0][1])
                yield
            finally:
                asyncio.run_coroutine_threadsafe(self._end(runner), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    async def _end(self, runner: web.AppRunner) -> None:
        await runner.cleanup()
        await self._session.close()

    def _lead_here(self, port: int) -> None:
        config = YAML(typ="safe").load(self._upstream.read_text())
        cluster = config["clusters"][0]["cluster"]
        cluster["server"] = f"https://127.0.0.1:{port}"
        del cluster["certificate-authority-data"]
        cluster["certificate-authority"] = str(self._certificate)
        self.kubeconfig.write_text(json.dumps(config))
