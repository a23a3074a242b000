"""What is measured: one search with many finished trials, and many searches at once.

Times are those at which a watch of the bench's own shows the Jobs.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from katib.side import Side, Spent
from measured import figures, setting
from measured.setting import Bench

PATIENCE_SECONDS: Final = 900.0
"""For a side that is slow."""


@dataclass(frozen=True)
class OneSearch:
    """The first trials of a search, and those after many have finished.

    Attributes:
        finished: trials before the second look.
        refills: freed slots at each look.
        parallelism: trials at a time.
        seconds: mean run time of a trial; each takes between half and one and a half of it.
    """

    finished: int
    refills: int
    parallelism: int
    seconds: float

    searches: ClassVar = 1

    async def measure(self, bench: Bench, side: Side) -> dict[str, Any]:
        """Return the figures of a side."""
        (name,), jobs = names(1), bench.jobs
        bench.kubelet.seconds = self.seconds
        await side.create(name, self.parallelism)
        await setting.until(lambda: len(jobs.trials) >= self.parallelism)
        before, ended = side.spent(), jobs.completed()
        wanted = self.parallelism + self.finished + self.refills
        await setting.until(lambda: len(jobs.trials) >= wanted, PATIENCE_SECONDS)
        spent, ended = side.spent().since(before), jobs.completed() - ended
        spans = [taken - freed for freed, taken in jobs.refills(name, self.parallelism)]
        first, last = spans[: self.refills], spans[self.finished :][: self.refills]
        return {
            "first_p50_s": figures.percentile(first, 50),
            "first_p95_s": figures.percentile(first, 95),
            "last_p50_s": figures.percentile(last, 50),
            "last_p95_s": figures.percentile(last, 95),
            **costs(side, spent, ended),
        }


@dataclass(frozen=True)
class ManySearches:
    """Searches that were begun at once, when trials end as steadily as they begin.

    Attributes:
        searches: how many.
        parallelism: trials at a time, of each.
        seconds: mean run time of a trial.
        watched_seconds: how long they are watched.
    """

    searches: int
    parallelism: int
    seconds: float
    watched_seconds: float

    async def measure(self, bench: Bench, side: Side) -> dict[str, Any]:
        """Return the figures of a side."""
        jobs, slots = bench.jobs, self.searches * self.parallelism
        bench.kubelet.seconds = self.seconds
        for name in names(self.searches):
            await side.create(name, self.parallelism)
        await setting.until(lambda: len(jobs.trials) >= slots, PATIENCE_SECONDS)
        await asyncio.sleep(2 * self.seconds)
        before, start = side.spent(), time.monotonic()
        await asyncio.sleep(self.watched_seconds)
        spent, end = side.spent().since(before), time.monotonic()
        created, ended = (count(start, end) for count in (jobs.created, jobs.completed))
        spans: list[float] = []
        while len(spans) < ended:  # what was freed last is taken later, by a slow side much later
            await asyncio.sleep(1)
            assert time.monotonic() < end + PATIENCE_SECONDS, "freed slots stay free"
            spans = jobs.turnarounds(self.parallelism, start, end)
        return {
            "creations_per_s": round(created / (end - start), 2),
            "slots_allow_per_s": round(slots / self.seconds, 2),
            "turnaround_p50_s": figures.percentile(spans, 50),
            "turnaround_p95_s": figures.percentile(spans, 95),
            **costs(side, spent, ended),
        }


Part = OneSearch | ManySearches


def names(count: int) -> list[str]:
    """Return the names of searches."""
    return [f"search-{number}" for number in range(count)]


def costs(side: Side, spent: Spent, trials: int) -> dict[str, Any]:
    """Return what trials have cost, in all and by process."""
    cpu = {name: seconds / trials for name, seconds in spent.cpu_seconds.items()}
    memory = side.memory_mib()
    return {
        "api_calls_per_trial": round(spent.api_calls / trials, 2),
        "cpu_s_per_trial": round(sum(cpu.values()), 4),
        "memory_mib": round(sum(memory.values())),
        "cpu_s_per_trial_by_process": rounded(cpu, 4),
        "memory_mib_by_process": rounded(memory, 1),
        "trials": trials,
    }


def rounded(values: Mapping[str, float], digits: int) -> dict[str, float]:
    """Return values of so many digits."""
    return {name: round(value, digits) for name, value in values.items()}
