"""What a watch of the bench's own shows of Jobs, with the times at which it was shown."""

import asyncio
from dataclasses import dataclass, field
from math import inf

import aiohttp

from distillery_operator.cluster import objects
from distillery_operator.resource import label_names
from support import kubelet


@dataclass
class Moments:
    """When a Job was first seen, seen complete, seen with the label that its trial is told."""

    experiment: str
    added: float
    complete: float | None = None
    told: float | None = None


@dataclass
class Jobs:
    """The Jobs of all trials, by name in the order of their creation."""

    trials: dict[str, Moments] = field(default_factory=dict)
    preparations: dict[str, Moments] = field(default_factory=dict)

    async def follow(self, session: aiohttp.ClientSession) -> None:
        """Note what the watch shows, for ever."""
        now = asyncio.get_running_loop().time
        async for event in kubelet.events(session, "/apis/batch/v1/jobs", kubelet.SELECTOR):
            job = event["object"]
            if event["type"] not in ("ADDED", "MODIFIED"):
                continue
            labels, name = job["metadata"]["labels"], job["metadata"]["name"]
            stage = labels[label_names.STAGE]
            table = {"train": self.trials, "prepare": self.preparations}.get(stage)
            if table is None:
                continue
            seen = table.setdefault(name, Moments(labels[label_names.EXPERIMENT], now()))
            if seen.complete is None and objects.finished(job):
                seen.complete = now()
            if seen.told is None and label_names.TOLD in labels:
                seen.told = now()

    def created(self, begin: float, end: float) -> int:
        """Return how many trials' Jobs were created within a time."""
        return sum(begin <= seen.added < end for seen in self.trials.values())

    def completed(self, begin: float = 0.0, end: float = inf) -> int:
        """Return how many trials' Jobs were complete within a time."""
        return sum(begin <= (seen.complete or -1) < end for seen in self.trials.values())

    def turnarounds(self, parallelism: int, begin: float, end: float) -> list[float]:
        """Return the times from slots that were freed within a time to the Jobs that took them."""
        return [
            taken - freed
            for name in {seen.experiment for seen in self.trials.values()}
            for freed, taken in self.refills(name, parallelism)
            if begin <= freed < end
        ]

    def refills(self, experiment: str, parallelism: int) -> list[tuple[float, float]]:
        """Return when each slot of an experiment was freed and when it was taken, in order.

        An experiment's first Jobs, as many as run in parallel, take no freed slot; then each Job
        takes the slot that has been free for longest.
        """
        own = [seen for seen in self.trials.values() if seen.experiment == experiment]
        freed = sorted(seen.complete for seen in own if seen.complete is not None)
        taken = sorted(seen.added for seen in own)[parallelism:]
        return list(zip(freed, taken, strict=False))
