"""What is leaned on of kopf beyond its documentation.

kopf is used for its watches alone, but it has no switch for the rest: for each event it copies the
object, compares the copy with a state that it would keep in the object, and looks for traces of
unfinished handlers. These classes take the place of what does that.
"""

from typing import Any, Final

import kopf

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
