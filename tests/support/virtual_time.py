"""An event loop that waits for nothing: its clock jumps to when the next thing is due."""

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

START = 1000.0
"""What the clock shows at first, in seconds."""


class Clock(selectors.DefaultSelector):
    """A clock, and the selector that moves it instead of waiting."""

    now = START

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing will ever happen"
        # As a real clock it never stands still: a wait that is too short to be added would not end.
        self.now = max(self.now + timeout, math.nextafter(self.now, math.inf))
        return super().select(0)


def run(work: Callable[[], Coroutine[Any, Any, T]], clock: Clock | None = None) -> T:
    """Run to the end in no time; ``time.monotonic`` shows the clock as well."""
    chosen = clock or Clock()
    with (
        pytest.MonkeyPatch.context() as patch,
        asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(chosen)) as runner,
    ):
        patch.setattr(time, "monotonic", lambda: chosen.now)
        return runner.run(work())


def now() -> float:
    """Return the seconds since the start, within `run`."""
    return round(time.monotonic() - START, 6)
