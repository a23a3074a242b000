"""SIGTERM and Ctrl-C: end at once where nothing is lost, else after a checkpoint.

``__main__`` installs the handler, ``train`` defers it while it trains.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class StoppedError(Exception):
    """The process was asked to end; the same request, run again, goes on where it stood."""


class Stop:
    """Turns signals into :class:`StoppedError`, raised at once or at the end of a deferral."""

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False

    def install(self) -> None:
        """Receive SIGTERM and SIGINT from now on (main thread only)."""
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, self._receive)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold signals back; ``requested`` tells of one, which is raised at the end."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.requested:
            raise StoppedError("stopped by a signal; a checkpoint was written")

    def _receive(self, number: int, frame: FrameType | None) -> None:
        repeated, self.requested = self.requested, True
        if not self._deferred and not repeated:  # the first one is being obeyed already
            raise StoppedError(f"stopped by {signal.Signals(number).name}")
