"""EDGE: answers to probes. Alive is an event loop that turns; ready also needs the database.

Whoever else wants to know whether the database answers asks here, too.

A database that does not answer must not get the operator restarted: that would mend nothing.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp import web

from distillery_contract.listening import listening
from distillery_operator.errors import DatabaseUnavailable

CHECK_SECONDS: Final = 4.0
"""Time that the database has for its answer: less than a probe waits."""

FRESH_SECONDS: Final = 5.0
"""For how long an answer stands, however often probes come."""


class Health:
    """Serves ``/healthz`` and ``/readyz``."""

    def __init__(self, check: Callable[[], None]) -> None:
        """Serve, with a check of the database, which raises DatabaseUnavailable."""
        self._check = check
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._checking = asyncio.Lock()
        self._checked, self._fault = float("-inf"), ""
        application = web.Application()
        application.router.add_get("/healthz", self._alive)
        application.router.add_get("/readyz", self._ready)
        self._runner = web.AppRunner(application, access_log=None)

    async def open(self, port: int) -> None:
        """Listen everywhere."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening(port)).start()

    async def close(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def database(self) -> None:
        """Ask whether the database answers.

        Raises:
            DatabaseUnavailable: it does not.
        """
        async with self._checking:
            if time.monotonic() - self._checked > FRESH_SECONDS:
                self._fault = await self._ask()
                self._checked = time.monotonic()
        if self._fault:
            raise DatabaseUnavailable(self._fault)

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _ready(self, _: web.Request) -> web.Response:
        try:
            await self.database()
        except DatabaseUnavailable as error:
            return web.Response(status=503, text=f"{error}\n")
        return web.Response(text="ready\n")

    async def _ask(self) -> str:
        """Return why the database is not there; nothing if it is."""
        answer = asyncio.get_running_loop().run_in_executor(self._thread, self._check)
        try:
            await asyncio.wait_for(answer, CHECK_SECONDS)
        except DatabaseUnavailable as error:
            return str(error)
        except TimeoutError:
            return f"the database has not answered for {CHECK_SECONDS:g} s"
        return ""
