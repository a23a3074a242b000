"""Which experiments to look at: each key stands once, and is never in two hands.

The queue of the Kubernetes controllers, for asyncio: a key that is added while somebody works on it
comes again afterwards; one that failed comes again later and later; one that comes again at once
waits for ``spacing``, so that a burst of events costs one look. Owners take turns: of the keys that
are due, one comes first whose owner has the fewest in hand.
"""

import asyncio
import heapq
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from distillery_operator.errors import DistilleryError

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF_SECONDS: Final = 1.0
LAST_BACKOFF_SECONDS: Final = 300.0


class WorkQueue(Generic[K]):
    """Keys that are due, in the order of their times. For one event loop."""

    def __init__(
        self, spacing: float = 0.1, owner: Callable[[K], Hashable] = lambda _: None
    ) -> None:
        """Hold no keys yet.

        Args:
            spacing: seconds between two looks at a key, at least.
            owner: of a key.
        """
        self._spacing, self._owner = spacing, owner
        self._due: dict[K, float] = {}
        self._heaps: dict[Hashable, list[tuple[float, int, K]]] = {}
        self._entries = 0
        self._busy: set[K] = set()
        self._again: dict[K, float] = {}
        self._earliest: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: K, delay: float = 0.0) -> None:
        """Make a key due after a delay; if it is due sooner already, that stands."""
        when = max(_now() + delay, self._earliest.get(key, 0.0))
        if key in self._busy:
            self._again[key] = min(when, self._again.get(key, when))
        elif when < self._due.get(key, float("inf")):
            self._due[key] = when
            self._entries += 1
            heap = self._heaps.setdefault(self._owner(key), [])
            heapq.heappush(heap, (when, self._entries, key))
            self._changed.set()

    async def get(self) -> K:
        """Wait for a due key and take it into the hands of the caller, who calls ``done``."""
        while True:
            self._changed.clear()
            heap = self._next()
            wait = heap[0][0] - _now() if heap else None
            if heap and wait is not None and wait <= 0:
                key = heapq.heappop(heap)[2]
                del self._due[key]
                self._busy.add(key)
                self._earliest[key] = _now() + self._spacing
                return key
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def _next(self) -> list[tuple[float, int, K]] | None:
        """Return the heap whose first key comes next; None if there is no key."""
        for owner, heap in list(self._heaps.items()):
            while heap and self._due.get(heap[0][2]) != heap[0][0]:
                heapq.heappop(heap)  # was made due sooner, or taken
            if not heap:
                del self._heaps[owner]
        in_hand, now = Counter(map(self._owner, self._busy)), _now()
        due = [(in_hand[o], heap) for o, heap in self._heaps.items() if heap[0][0] <= now]
        if due:
            return min(due, key=lambda one: (one[0], one[1][0][:2]))[1]
        return min(self._heaps.values(), key=lambda heap: heap[0][:2], default=None)

    def done(self, key: K, failed: bool = False) -> None:
        """Give a key back; one that failed comes again after a growing delay."""
        self._busy.discard(key)
        again = self._again.pop(key, None)
        if failed:
            count = self._failures[key] = self._failures.get(key, 0) + 1
            delay = min(FIRST_BACKOFF_SECONDS * 2 ** (count - 1), LAST_BACKOFF_SECONDS)
            self.add(key, delay * random.uniform(0.8, 1.2))
        else:
            self._failures.pop(key, None)
        if again is not None:
            self.add(key, max(0.0, again - _now()))

    def forget(self, key: K) -> None:
        """Drop what is remembered of a key that is gone; what was added meanwhile stands."""
        self._earliest.pop(key, None)
        self._failures.pop(key, None)

    @property
    def depth(self) -> int:
        """Return how many keys are due now. May be read from any thread."""
        now = _now()
        return sum(when <= now for when in list(self._due.values()))

    @property
    def oldest_seconds(self) -> float:
        """Return for how long the first key has been due."""
        now = _now()
        return max((now - when for when in list(self._due.values()) if when <= now), default=0.0)

    async def work(self, visit: Callable[[K], Awaitable[float | None]]) -> None:
        """Visit due keys for ever; a visit returns after how many seconds it wants the next.

        What a visit raises concerns its key alone: it is logged, and the key comes again later.
        """
        while True:
            key = await self.get()
            delay, failed = None, True
            try:
                delay = await visit(key)
                failed = False
            except DistilleryError as error:
                log.warning("%s: %s", key, error)
            except Exception:
                log.exception("%s: this is a fault of the program", key)
            finally:
                self.done(key, failed)
            if delay is not None:
                self.add(key, delay)


def _now() -> float:
    return time.monotonic()
