"""What a bad minute of the API server may cost: nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from distillery_operator.cluster.api import Api
from distillery_operator.errors import ApiUnavailable, Refused

T = TypeVar("T")

log = logging.getLogger(__name__)

BACKOFFS: Final = (1, 1, 2, 3, 5, 8, 13, 21, *(30,) * 20)
"""Seconds between two tries of a request that the API server does not answer, or answers with an
error of its own: ten minutes in all, for an upgrade of a control plane takes some of them."""


UNREAD: Final = 4
"""Refusals for want of rights that are not believed: an API server that has just started knows
nobody's rights until it has read them."""


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call until the API server answers; return what it returns.

    Raises:
        ApiUnavailable: it has not done so for ten minutes.
        Refused: it refuses for another reason than rights, or for want of rights again and again.
    """
    refusals = 0
    for seconds in BACKOFFS:
        error: ApiUnavailable | Refused
        try:
            return await call()
        except ApiUnavailable as unavailable:
            error = unavailable
        except Refused as refusal:
            refusals += 1
            if refusal.reason != "Forbidden" or refusals > UNREAD:
                raise
            error = refusal
        log.warning("%s; tried again in %d s", error, seconds)
        await asyncio.sleep(seconds)
    return await call()


async def cluster(api: Api) -> str:
    """Return what tells this cluster from others; empty if this user may not know.

    Raises:
        ApiUnavailable: the API server has not answered for ten minutes.
    """
    try:
        return await patiently(api.cluster)
    except Refused:
        return ""
