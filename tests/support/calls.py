"""How much work something is, as a count of calls: the same on every machine, busy or not."""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType


def counted(work: Callable[[], object]) -> Counter[str]:
    """Return how often each function of Python was called, in this thread, as ``module.name``."""
    found = Counter[str]()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            found[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return found
