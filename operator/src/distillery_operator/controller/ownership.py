"""PURE: whose an experiment is. One operator works on it, and every other one leaves it alone.

``status.owner`` has the identity of the operator, which is that of its release and not of its pod:
two pods of one release are one owner. The first operator that sees an experiment claims it. A
person names another one by an annotation; then the owner lets go, and the other takes over.
"""

from enum import Enum, auto
from typing import Any, Final

from distillery_operator.cluster.kinds import Object
from distillery_operator.resource import label_names

REMINDER_SECONDS: Final = 3600.0
"""Time between two visits to an experiment that another operator owns: events live that long."""

HANDOVER_SECONDS: Final = 60.0
"""Time that the owner has to let go of an experiment, before it is taken for gone."""


class Step(Enum):
    """What an operator does about the owner of an experiment."""

    WORK = auto()  # it is ours
    CLAIM = auto()  # it is nobody's
    TAKE_OVER = auto()  # a person wants it to be ours, but it is still another operator's
    LET_GO = auto()  # it is ours, but a person wants it to be another operator's
    LEAVE = auto()  # it is another operator's


def step(found: Object, identity: str) -> Step:
    """Say what an operator does about an experiment, before it does anything else there."""
    owned, wanted = owner(found), named(found)
    if wanted not in ("", identity):
        return Step.LET_GO if owned == identity else Step.LEAVE
    if owned in ("", identity):
        return Step.WORK if owned else Step.CLAIM
    return Step.TAKE_OVER if wanted else Step.LEAVE


def owner(found: Object) -> str:
    """Return the identity of the operator that an experiment belongs to; empty for none."""
    return _text((found.get("status") or {}).get("owner"))


def named(found: Object) -> str:
    """Return the identity of the operator that a person wants it to belong to; empty for any."""
    return _text((found["metadata"].get("annotations") or {}).get(label_names.OWNER))


def sentence(found: Object, identity: str) -> str:
    """Say that another operator works on an experiment, and how that can be changed."""
    metadata = found["metadata"]
    return (
        f"the operator {identity} leaves this experiment alone, for it is {_whose(found)}'s; if"
        f" that one is gone for good: kubectl annotate dexp {metadata['name']} --overwrite"
        f" --namespace {metadata['namespace']} {label_names.OWNER}={identity}"
    )


def _whose(found: Object) -> str:
    return named(found) or owner(found) or "another"


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
