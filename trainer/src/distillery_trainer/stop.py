"""SIGTERM and Ctrl-C: the process ends at once where nothing is lost, else after a checkpoint.

``__main__`` receives signals from its first moment on, and lets them end the stage while it runs;
``train`` holds them back while it trains.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

AGAIN_SECONDS: Final = 1.0
"""After this time an error that some library has swallowed is raised again."""


class StoppedError(BaseException):
    """The process was asked to end. The same request, run again, continues there.

    Like KeyboardInterrupt it is no Exception: libraries take those for failures of their own.
    """


class Stop:
    """Turns signals into :class:`StoppedError`, within :meth:`heeded` alone.

    Attributes:
        requested: whether a signal came.
    """

    def __init__(self) -> None:
        self.requested = False
        self._raises = False

    def install(self) -> None:
        """Receive SIGTERM and SIGINT from now on (main thread only)."""
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, self._receive)
        signal.signal(signal.SIGALRM, self._receive)

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """Raise the error wherever a signal comes within the block, or has come before it.

        It is raised again and again until the block has ended.
        """
        self._raises = True
        try:
            if self.requested:
                raise StoppedError("stopped by a signal")
            yield
        finally:
            self._raises = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold signals back: one sets ``requested``, and the error is raised at the end."""
        raises, self._raises = self._raises, False
        try:
            yield
        finally:
            self._raises = raises
        if self.requested:
            raise StoppedError("stopped by a signal; a checkpoint was written")

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._raises:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
            raise StoppedError("stopped by a signal")
