"""Where benches measure: a control plane whose pods a pretend kubelet runs, and PostgreSQL."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from measured.jobs import Jobs
from support import kubelet, postgres
from support.cluster import ControlPlane
from support.kubelet import Kubelet
from support.postgres import Postgres


@dataclass
class Bench:
    """What all parts of a bench share."""

    plane: ControlPlane
    session: aiohttp.ClientSession
    kubelet: Kubelet
    server: Postgres
    jobs: Jobs

    async def create(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create an object."""
        async with self.session.post(path, json=document) as answer:
            made: dict[str, Any] = await answer.json()
            assert answer.status == 201, made
            return made

    async def clear(self, *paths: str) -> None:
        """Delete all objects of lists, such as experiments and Jobs, and wait for their pods."""
        for path in paths:
            query = {"propagationPolicy": "Background"}
            async with self.session.delete(path, params=query) as answer:
                assert answer.status == 200, await answer.text()
        while await self.count("/api/v1/pods", kubelet.SELECTOR):
            await asyncio.sleep(0.5)
        self.jobs.trials.clear()
        self.jobs.preparations.clear()

    async def count(self, path: str, selector: str) -> int:
        """Return how many objects have labels."""
        async with self.session.get(path, params={"labelSelector": selector}) as answer:
            return len((await answer.json())["items"])


@asynccontextmanager
async def running() -> AsyncIterator[Bench]:
    """Bring up a fresh one for the length of a block."""
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres.running() as server,
        ControlPlane(Path(folder) / "plane", lean=True) as plane,
    ):
        seen = Jobs()
        async with (
            kubelet.connect(plane.kubeconfig) as session,
            Kubelet(plane.kubeconfig, 0.0) as runs,
        ):
            following = asyncio.create_task(seen.follow(session))
            yield Bench(plane, session, runs, server, seen)
            following.cancel()


async def until(condition: Callable[[], Any], seconds: float = 300.0) -> None:
    """Wait for something true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this takes too long"
        await asyncio.sleep(0.02)
