"""What a bad minute of the API server may cost: nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from distillery_operator.errors import ApiUnavailable

log = logging.getLogger(__name__)

BACKOFFS: Final = (1, 1, 2, 3, 5, 8, 13, 21, *(30,) * 20)
"""Seconds between two tries of a request that the API server does not answer, or answers with an
error of its own: ten minutes in all, for an upgrade of a control plane takes some of them."""


async def patiently(call: Callable[[], Awaitable[None]]) -> None:
    """Repeat a call until the API server answers.

    Raises:
        ApiUnavailable: it has not done so for ten minutes.
    """
    for seconds in BACKOFFS:
        try:
            return await call()
        except ApiUnavailable as error:
            log.warning("%s; tried again in %d s", error, seconds)
            await asyncio.sleep(seconds)
    return await call()
