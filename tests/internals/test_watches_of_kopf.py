"""What is assumed of kopf's watches: they change their namespaces, and outlive errors."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import kopf
import pytest

from distillery_operator.internals import of_kopf
from support import watched_pods
from support.watched_pods import Pods, line

POD = {"metadata": {"name": "a", "namespace": "one", "uid": "1", "resourceVersion": "2"}}
ERROR = line("ERROR", code=500, message="etcdserver: no leader")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


class Run:
    """kopf over pods that a test makes."""

    def __init__(self, pods: Pods) -> None:
        self.pods, self.scope, self.seen = pods, of_kopf.Scope(), list[str]()
        self.ended: asyncio.Task[None]


@asynccontextmanager
async def running(silence_seconds: float = 70.0) -> AsyncIterator[Run]:
    async with watched_pods.serving() as pods:
        run, stop, registry = Run(pods), asyncio.Event(), kopf.OperatorRegistry()
        settings = kopf.OperatorSettings()
        of_kopf.keep_nothing(settings)
        settings.scanning.disabled = True
        settings.watching.inactivity_timeout = silence_seconds

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(server=pods.url)

        @kopf.on.event("", "v1", "pods", registry=registry)
        async def changed(event: Any, **_: Any) -> None:
            run.seen.append(event["object"]["metadata"]["name"])

        run.ended = asyncio.create_task(
            kopf.operator(
                registry=registry,
                settings=settings,
                standalone=True,
                namespaces=[of_kopf.NAMED_LATER],
                insights=run.scope.insights,
                stop_flag=stop,
            )
        )
        try:
            yield run
        finally:
            stop.set()
            await asyncio.wait([run.ended])


def test_namespaces_come_and_go_while_kopf_runs() -> None:
    async def test() -> None:
        async with running() as run:
            await run.scope.set({"one"})
            await until(lambda: run.pods.watches == ["one"])
            await run.scope.set({"one", "two"})
            await until(lambda: sorted(run.pods.watches) == ["one", "two"])
            await run.scope.set({"two"})
            await until(lambda: run.pods.watches == ["two"])
            await run.scope.set({"one", "two"})
            await until(lambda: sorted(run.pods.watches) == ["one", "two"])
            assert sorted(run.pods.lists) == ["one", "one", "two"]  # nobody disturbs the other

    asyncio.run(test())


@pytest.mark.parametrize("broken", [ERROR, '{"type": "ADD'], ids=["error", "cut off"])
def test_a_watch_lists_again_after_an_error_within_its_stream(broken: str) -> None:
    of_kopf.outlive_errors([0, 0])

    async def test() -> None:
        async with running() as run:
            added = line("ADDED", **POD)
            run.pods.lines = [[broken], [broken], [added, broken], [broken], []]
            await run.scope.set({"one"})
            await until(lambda: len(run.pods.lists) == 5)  # what is shown between two errors counts
            await until(lambda: run.pods.watches == ["one"])
            assert run.seen == ["a"]
            assert not run.ended.done()

    asyncio.run(test())


def test_a_watch_that_falls_silent_is_opened_again_from_where_it_was() -> None:
    async def test() -> None:
        async with running(silence_seconds=0.2) as run:
            await run.scope.set({"one"})
            await until(lambda: run.pods.opened >= 3)
            assert run.pods.lists == ["one"]
            assert not run.ended.done()

    asyncio.run(test())


def test_errors_in_a_row_beyond_patience_end_kopf() -> None:
    of_kopf.outlive_errors([0, 0])

    async def test() -> None:
        async with running() as run:
            run.pods.lines = [[ERROR]] * 9
            await run.scope.set({"one"})
            await until(run.ended.done)
            assert len(run.pods.lists) == 3
            assert "no leader" in str(run.ended.exception())

    asyncio.run(test())
