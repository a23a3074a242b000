"""PURE: containers that outlive the trainer of a pod, which would never end by themselves."""

from collections.abc import Iterator
from typing import Final

from distillery_operator.engine.actions import Close
from distillery_operator.trials.attempt import Attempt
from distillery_operator.trials.observation import Observation

LINGER_SECONDS: Final = 30.0
"""Time that the other containers of a pod have to end by themselves: one that ships logs does so
when the trainer has ended, and the pod stays for its own log."""


def close(seen: Observation) -> Iterator[Close]:
    """Yield the attempts that have ended, but for containers that do not end by themselves."""
    for attempt in seen.attempts:
        ended = attempt.ended if attempt.ended is not None else 0.0
        if attempt.lingers and not attempt.closing and seen.now - ended >= LINGER_SECONDS:
            yield Close(attempt)


def lingering(attempt: Attempt) -> str:
    """Say what keeps the pod of an attempt alive."""
    names = ", ".join(attempt.lingers)
    return f"the trainer has ended, but containers of its pod still run: {names}; the pod is ended"
