"""A few threads for work that would block the event loop: databases, samplers.

Called by :mod:`distillery_operator.study.study`, and by whoever has something to compute.
"""

import asyncio
import functools
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Threads with a queue each. Work of the same key runs in one thread, in its order."""

    def __init__(self, count: int) -> None:
        self._threads = [
            ThreadPoolExecutor(1, thread_name_prefix=f"worker-{n}") for n in range(count)
        ]

    def __len__(self) -> int:
        return len(self._threads)

    async def run(self, key: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns, called in the thread of a key."""
        thread = self._threads[zlib.crc32(key.encode()) % len(self._threads)]
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(thread, call)

    def close(self) -> None:
        """Wait for what is running; what has not begun is given up."""
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
