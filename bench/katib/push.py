"""The pods' side of Katib's collector `Push`: a training reports its metrics before it ends.

:mod:`katib.report` does it, in the environment of Katib's Python, for all pods.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from distillery_contract.request import Request
from distillery_operator.measurements import exposition
from katib import environment, resources


class Reporter:
    """What delivers trials' metrics; see :attr:`support.kubelet.Kubelet.deliver`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def deliver(self, request: Request, message: str) -> None:
        """Report what a termination message has of the objective, and wait until it is stored."""
        found = exposition.parse(message, exposition.TERMINATION_MESSAGE)
        assert found
        name = request.experiment
        told = {"trial": name, "metrics": {resources.METRIC: found.metrics[resources.METRIC]}}
        assert self._process.stdin
        self._waiting[name] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        await self._waiting[name]

    async def confirm(self) -> None:
        """Tell those that wait what is stored, for ever."""
        assert self._process.stdout
        async for line in self._process.stdout:
            self._waiting.pop(line.decode().strip()).set_result(None)


@asynccontextmanager
async def reporting(manager: str) -> AsyncIterator[Reporter]:
    """Report to the DB manager at an address for the length of a block."""
    pipe = asyncio.subprocess.PIPE
    command = environment.command("report.py", manager)
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    reporter = Reporter(process)
    confirming = asyncio.create_task(reporter.confirm())
    try:
        yield reporter
    finally:
        confirming.cancel()
        process.kill()
        await process.wait()
