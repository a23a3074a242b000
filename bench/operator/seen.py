"""What a watch of the bench's own shows of Jobs, with the times at which it was shown."""

import asyncio
from dataclasses import dataclass, field

import aiohttp

import kubelet
from distillery_operator import attempts, manifests

SELECTOR = "app.kubernetes.io/managed-by=distillery"


@dataclass
class Moments:
    """When a Job was first seen, seen complete, seen with the label that its trial is told."""

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
        async for event in kubelet.events(session, "/apis/batch/v1/jobs", SELECTOR):
            job = event["object"]
            if event["type"] not in ("ADDED", "MODIFIED"):
                continue
            labels, name = job["metadata"]["labels"], job["metadata"]["name"]
            stage = labels[manifests.STAGE]
            table = {"train": self.trials, "prepare": self.preparations}.get(stage)
            if table is None:
                continue
            seen = table.setdefault(name, Moments(now()))
            if seen.complete is None and attempts.finished(job):
                seen.complete = now()
            if seen.told is None and manifests.TOLD in labels:
                seen.told = now()

    def created(self, since: float) -> list[float]:
        """Return when trials' Jobs were created, from a moment on."""
        return [seen.added for seen in self.trials.values() if seen.added >= since]

    def completed(self) -> list[float]:
        """Return when trials' Jobs were complete, in order."""
        return sorted(s.complete for s in self.trials.values() if s.complete is not None)

    def told(self) -> int:
        """Return how many trials are told."""
        return sum(seen.told is not None for seen in self.trials.values())

    def turnarounds(self, parallelism: int) -> list[float]:
        """Return the time from each freed slot to the Job that took it.

        The first Jobs, as many as run in parallel, take no freed slot; then each Job takes the slot
        that has been free for longest.
        """
        created = sorted(seen.added for seen in self.trials.values())[parallelism:]
        return [after - freed for freed, after in zip(self.completed(), created, strict=False)]
