"""Two processes, a Lease and a real API server."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from distillery_operator.cluster import lease
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.kinds import Key
from distillery_operator.cluster.kubeconfig import Access
from distillery_operator.errors import LeaseLost
from support.cluster.access import Cluster

TIMES = lease.Times(lease=3, renewal=2.5, retry=1.0)


class Worker:
    """Somebody who wants to work."""

    def __init__(self, api: Api, place: Key, name: str) -> None:
        self.working = asyncio.Event()
        self.lock = api.lock(place, name)
        self.task = asyncio.create_task(lease.lead(self.lock, self._work, TIMES))

    async def _work(self) -> None:
        self.working.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.working.clear()

    async def begins(self) -> None:
        """Wait until it works; raise why it cannot."""
        waiting = asyncio.create_task(self.working.wait())
        await asyncio.wait([waiting, self.task], return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            waiting.cancel()
            await self.task

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def run(control_plane: Cluster, scenario: Callable[[Api], Awaitable[None]]) -> None:
    async def whole() -> None:
        api = Api(lambda *_: None)
        await api.open(Access(control_plane.kubeconfig))
        try:
            await scenario(api)
        finally:
            await api.close()

    asyncio.run(whole())


def holder(control_plane: Cluster, name: str) -> str:
    return control_plane.kubectl("get", "lease", name, "-o=jsonpath={.spec.holderIdentity}")


def test_one_works_and_whoever_ends_gives_the_lease_back(control_plane: Cluster) -> None:
    async def scenario(api: Api) -> None:
        first = Worker(api, Key("default", "given"), "first")
        await first.begins()
        second = Worker(api, Key("default", "given"), "second")
        await asyncio.sleep(2 * TIMES.lease)
        assert first.working.is_set()  # renewed
        assert not second.working.is_set()
        assert holder(control_plane, "given") == "first"
        await first.end()
        assert not first.working.is_set()
        assert holder(control_plane, "given") == ""
        await second.begins()
        await second.end()

    run(control_plane, scenario)


def test_a_dead_holder_is_replaced_and_a_holder_that_cannot_renew_ends(
    control_plane: Cluster,
) -> None:
    async def scenario(api: Api) -> None:
        first = Worker(api, Key("default", "dead"), "first")
        await first.begins()
        second = Worker(api, Key("default", "dead"), "second")

        async def silent(*_: object) -> bool:
            return False

        first.lock.update = first.lock.release = silent  # type: ignore[assignment, method-assign]
        with pytest.raises(LeaseLost, match="default/dead could not be renewed in time"):
            await first.task
        assert not first.working.is_set()
        assert holder(control_plane, "dead") == "first"  # as if the network was cut
        await second.begins()
        await second.end()

    run(control_plane, scenario)


def test_work_that_fails_ends_the_lease_and_is_raised(control_plane: Cluster) -> None:
    async def scenario(api: Api) -> None:
        async def work() -> None:
            raise ZeroDivisionError

        lock = api.lock(Key("default", "failed"), "only")
        with pytest.raises(ZeroDivisionError):
            await lease.lead(lock, work, TIMES)
        assert holder(control_plane, "failed") == ""

    run(control_plane, scenario)


def test_a_server_that_does_not_answer_is_asked_again(
    control_plane: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def scenario(api: Api) -> None:
        place = Key("nowhere", "lease")
        worker = Worker(api, place, "first")  # a namespace that is not there yet
        await asyncio.sleep(2 * TIMES.retry)
        assert not worker.task.done()
        control_plane.kubectl("create", "namespace", "nowhere")
        await worker.begins()
        await worker.end()

    run(control_plane, scenario)
    assert "the Lease nowhere/lease cannot be had yet: it cannot be written" in caplog.text
    control_plane.kubectl("delete", "namespace", "nowhere", "--wait=false")
