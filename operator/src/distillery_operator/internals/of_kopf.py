"""What is leaned on of kopf beyond its documentation.

kopf is used for its watches alone, but it has no switch for the rest: for each event it copies the
object, compares the copy with a state that it would keep in the object, and looks for traces of
unfinished handlers. Classes here take the place of what does that. Others let its watches change
their namespaces, and live on after errors.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

import kopf
from kopf._cogs.clients import watching
from kopf._cogs.structs.references import Insights, NamespaceName

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 0.5
"""Life of what kopf makes for an object after its last event: it holds the whole object."""


def keep_nothing(settings: kopf.OperatorSettings) -> None:
    """Let kopf store nothing in objects, write no events, and hold no object for long."""
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoStates()
    settings.persistence.progress_storage = _NoProgress()
    settings.queueing.idle_timeout = IDLE_SECONDS


class _NoStates(kopf.DiffBaseStorage):
    """Keeps no states of objects to compare; kopf would copy each object at each event for it."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()  # as build: what differs not is cheap to compare

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.AnnotationsProgressStorage):
    """Looks for no traces of handlers that go on after a failure: there are none."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


NAMED_LATER: Final = "*"
"""Given to kopf as its namespaces: a pattern, of which it makes none without looking for itself."""


class Scope:
    """The namespaces that kopf watches, which may change while it runs.

    kopf starts and ends its watches by what it calls insights. By itself it finds namespaces by
    their names alone, or needs rights to list all of them.
    """

    def __init__(self) -> None:
        self.insights = Insights()

    async def set(self, names: Collection[str]) -> None:
        """Let kopf watch these namespaces and no others."""
        async with self.insights.revised:
            if self.insights.namespaces != {*names}:
                self.insights.namespaces.clear()
                self.insights.namespaces.update(map(NamespaceName, names))
                self.insights.revised.notify_all()


GONE: Final = 410
"""Code of the error that kopf lives with: it lists everything again, and watches from there."""

_watch_objs = watching.watch_objs


def outlive_errors(pauses: Sequence[float]) -> None:
    """Let watches outlive errors that the API server sends within its answer.

    kopf repeats a request that was answered by an error. An error in the middle of a stream, or a
    line that is cut off, ends kopf. Now it lists again instead, which is a request.

    Args:
        pauses: seconds before each further list while no watch has shown anything else; one more
            error ends kopf.
    """
    watching.watch_objs = _Patience(pauses).watch


class _Patience:
    def __init__(self, pauses: Sequence[float]) -> None:
        self._pauses = pauses
        self._errors = Counter[tuple[Any, Any]]()

    async def watch(self, **given: Any) -> AsyncIterator[Any]:
        """Yield what kopf's own watch shows."""
        place, error = (given["resource"], given["namespace"]), None
        stream = cast(AsyncGenerator[Any, None], _watch_objs(**given))
        async with aclosing(stream):  # it has a timer, which must not run on
            try:
                async for found in stream:
                    if found["type"] == "ERROR" and found["object"].get("code") != GONE:
                        error = found
                        break
                    if found["type"] != "ERROR":
                        self._errors.pop(place, None)
                    yield found
            except ValueError as cut_off:
                error = {"type": "ERROR", "object": {"code": 500, "message": f"{cut_off}"}}
        if error is None:
            return
        if self._errors[place] < len(self._pauses):
            pause = self._pauses[self._errors[place]]
            self._errors[place] += 1
            said = error["object"].get("message", "")
            log.warning("a watch of %s ends by an error: %s; listed in %d s", place, said, pause)
            await asyncio.sleep(pause)
            error = {"type": "ERROR", "object": {"code": GONE}}
        yield error
