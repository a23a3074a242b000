"""Distillery's side: its operator, which suggests by itself."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from katib.side import Side, Spent
from measured import objects, operators, setting, usage
from measured.setting import Bench
from support.operators import Operator


class Distillery:
    """An operator that runs; see :class:`katib.side.Side`."""

    def __init__(self, bench: Bench, operator: Operator) -> None:
        self._bench, self._operator = bench, operator

    async def create(self, name: str, parallelism: int) -> None:
        """Create an experiment."""
        document = objects.document(name, objects.MAX_TRIALS, parallelism)
        await self._bench.create(objects.EXPERIMENTS, document)

    def spent(self) -> Spent:
        """Return the operator's processor time, and its own count of requests."""
        calls = [
            value
            for name, value in self._operator.metrics().items()
            if name.startswith("distillery_api_requests_total")
        ]
        return Spent({"operator": usage.cpu_seconds(self._operator.pid)}, sum(calls))

    def memory_mib(self) -> Mapping[str, float]:
        """Return the operator's."""
        return {"operator": usage.peak_mib(self._operator.pid)}


@asynccontextmanager
async def running(bench: Bench, searches: Sequence[str]) -> AsyncIterator[Side]:
    """Run an operator on a fresh control plane for the length of a block."""
    operators.install(bench.plane)
    with operators.operator(bench) as operator:
        await setting.until(lambda: operator.serving)
        yield Distillery(bench, operator)
