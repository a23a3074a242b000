"""SIGTERM and Ctrl-C: the process ends at once where nothing is lost, else after a checkpoint.

``__main__`` installs the handler; ``train`` holds signals back while it trains.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class StoppedError(Exception):
    """The process was asked to end. The same request, run again, goes on from there."""


class Stop:
    """Turns a signal into :class:`StoppedError`, at once or at the end of :meth:`deferred`."""

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False

    def install(self) -> None:
        """Receive SIGTERM and SIGINT from now on (main thread only)."""
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, self._receive)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold signals back: one sets ``requested``, and the error is raised at the end."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.requested:
            raise StoppedError("stopped by a signal; a checkpoint was written")

    def _receive(self, number: int, frame: FrameType | None) -> None:
        repeated, self.requested = self.requested, True
        if not self._deferred and not repeated:  # the first signal is being obeyed already
            raise StoppedError(f"stopped by {signal.Signals(number).name}")
