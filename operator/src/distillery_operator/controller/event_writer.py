"""What the operator tells of experiments: in its log, and as events that the API server keeps.

Written apart from the visits, which do not wait for them.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from distillery_operator.cluster.api import MANAGER, Api
from distillery_operator.cluster.kinds import Key
from distillery_operator.controller import events
from distillery_operator.controller.events import Event
from distillery_operator.engine import conditions
from distillery_operator.resource.experiment import API_VERSION, KIND

log = logging.getLogger(__name__)

WRITERS: Final = 4

WAITING: Final = 10_000
"""Events that wait to be written; more are dropped, for they must not fill the memory."""

BURST: Final = 40
"""Routine events of an experiment that are written at once, at most: it has two for each trial."""

TRICKLE_SECONDS: Final = 30.0
"""Time between two routine events after a burst; the others are in the log alone. Otherwise the
events of a hundred pods would be most of what the API server stores. client-go does likewise."""


class Allowance:
    """How many routine events an experiment may still write: a burst, then a trickle."""

    def __init__(self) -> None:
        self._left, self._counted = float(BURST), 0.0

    def take(self, now: float) -> bool:
        """Tell whether one more may be written at this time, in seconds of any clock."""
        earned = (now - self._counted) / TRICKLE_SECONDS
        self._left, self._counted = min(float(BURST), self._left + earned), now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Announcer:
    """Tells events; for one event loop."""

    def __init__(self, api: Api) -> None:
        """Write to this API server."""
        self._api = api
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)
        self._told_ns = 0
        self._allowances: dict[Key, Allowance] = defaultdict(Allowance)

    def tell(self, metadata: Mapping[str, Any], event: Event) -> None:
        """Log an event of an experiment, of which these are the metadata, and have it written."""
        level = logging.WARNING if event.type == events.WARNING else logging.INFO
        key = Key(metadata["namespace"], metadata["name"])
        more = {"reason": event.reason}
        log.log(level, "%s: %s: %s", key, event.reason, event.message, extra=more)
        if event.routine and not self._allowances[key].take(time.monotonic()):
            return
        self._told_ns = max(self._told_ns + 1, time.time_ns())
        try:
            self._events.put_nowait(_event(metadata, event, self._told_ns))
        except asyncio.QueueFull:
            log.warning("%s: the event %s is dropped: too many wait", key, event.reason)

    async def write(self) -> None:
        """Write events for ever; ``WRITERS`` do so at the same time."""
        while True:
            await self._api.event(await self._events.get())

    def forget(self, key: Key) -> None:
        """Drop what is known of an experiment that is gone."""
        self._allowances.pop(key, None)


def _event(metadata: Mapping[str, Any], event: Event, now_ns: int) -> dict[str, Any]:
    """Return an event of an experiment.

    The API server lists events by their names, and their times have whole seconds: by its name,
    each comes after those that were told before it.
    """
    moment = conditions.timestamp(now_ns / 1e9)
    name, namespace = metadata["name"], metadata["namespace"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{now_ns:016x}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": name,
            "namespace": namespace,
            "uid": metadata["uid"],
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
