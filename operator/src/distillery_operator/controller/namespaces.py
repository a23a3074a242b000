"""EDGE: the namespaces whose experiments are looked at: all, those of some names, or of a label.

One that refuses or goes is left out, and no other one notices. What was known of it is forgotten,
for nobody knows what happens there. It is asked again and again; when it answers, its Jobs and pods
are taken in first, and then it is watched again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence, Set
from typing import Final

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.cluster.runner import SELECTOR
from distillery_operator.controller import events
from distillery_operator.controller.event_writer import Announcer
from distillery_operator.controller.work_queue import WorkQueue
from distillery_operator.errors import ApiUnavailable, Refused
from distillery_operator.telemetry import operator_metrics

log = logging.getLogger(__name__)

EVERYWHERE: Final = ""
"""Stands for all namespaces in a request."""

LOOK_SECONDS: Final = 15.0
"""Time between two questions which namespaces there are, and whether they answer."""


class Namespaces:
    """The namespaces that are watched, for one event loop."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        queue: WorkQueue[Key],
        announcer: Announcer,
        *,
        names: Sequence[str] = (),
        selector: str = "",
    ) -> None:
        """Watch namespaces; all of them, if neither names nor labels are given.

        Args:
            api: the API server.
            cache: gets what runs in a namespace before it is watched.
            queue: gets the experiments of a namespace that is left.
            announcer: tells them so.
            names: of the namespaces.
            selector: labels that they have, as kubectl takes them.
        """
        self._api, self._cache, self._queue, self._announcer = api, cache, queue, announcer
        self._names, self._selector = frozenset(names), selector
        self._watched: set[str] = set()
        self._refused: dict[str, str] = {}

    @property
    def everywhere(self) -> bool:
        """Tell whether all namespaces are watched, by requests for all at once."""
        return not self._names and not self._selector

    @property
    def watched(self) -> list[str]:
        """Return the namespaces that are watched now; one that stands for all, if all are."""
        return sorted(self._watched)

    def holds(self, namespace: str) -> bool:
        """Tell whether a namespace is watched now."""
        return self.everywhere or namespace in self._watched

    async def look(self) -> None:
        """Ask which namespaces there are, and whether they answer.

        Raises:
            ApiUnavailable: the API server does not answer.
            Refused: namespaces may not be listed, or there is none but all.
        """
        wanted = await self._wanted()
        for name in self._watched - wanted:
            self._leave(name, f"it is gone, or has the labels {self._selector} no more")
        for name in self._refused.keys() - wanted:
            del self._refused[name]
            operator_metrics.NAMESPACE_WATCHED.remove(name)
        for name in sorted(wanted):
            try:
                await self._ask(name)
            except Refused as refusal:
                self.refuse(name, refusal)

    def refuse(self, name: str, refusal: Refused) -> None:
        """Leave a namespace out until it answers again.

        Raises:
            Refused: it is all of them.
        """
        if self.everywhere:
            raise refusal
        if name in self._watched:
            self._leave(name, f"it refuses: {refusal}")
        self._cache.leave(name)  # what was taken in before the refusal
        if name not in self._refused:
            log.warning("the namespace %s is left out, for it refuses: %s", name, refusal)
        self._refused[name] = str(refusal)
        operator_metrics.NAMESPACE_WATCHED.labels(name).set(0)

    async def follow(self, tell: Callable[[Collection[str]], Awaitable[None]]) -> None:
        """Look for ever, and tell each time which namespaces are watched."""
        while True:
            await tell(self.watched)
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except (ApiUnavailable, Refused) as error:
                log.warning("the namespaces stay as they are: %s", error)

    async def _wanted(self) -> Set[str]:
        if self._selector:
            return {found["metadata"]["name"] async for found in self._api.spaces(self._selector)}
        return self._names or {EVERYWHERE}

    async def _ask(self, name: str) -> None:
        if name in self._watched:
            if not self.everywhere:
                await self._api.may_list(Kind.EXPERIMENT, name)
            return
        # Before the first decision everything that runs must be known.
        for kind in (Kind.JOB, Kind.POD):
            async for found in self._api.found(kind, name, SELECTOR):
                key = self._cache.put(kind, found)
                if key and self._cache.held(key):  # its experiment may be gone meanwhile
                    self._queue.add(key)
        await self._api.may_list(Kind.EXPERIMENT, name)
        self._watched.add(name)
        if not self.everywhere:
            again = " again" if self._refused.pop(name, "") else ""
            log.info("the namespace %s is watched%s", name, again)
            operator_metrics.NAMESPACE_WATCHED.labels(name).set(1)

    def _leave(self, name: str, why: str) -> None:
        """Forget what is known of a namespace; tell its experiments, where that is possible."""
        self._watched.discard(name)
        operator_metrics.NAMESPACE_WATCHED.remove(name)
        for key, found in self._cache.leave(name).items():
            self._announcer.tell(found["metadata"], events.not_watched(name, why))
            self._queue.add(key)
