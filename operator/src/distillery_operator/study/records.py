"""PURE: trials and preparations as they are stored, and back.

What is stored has a version. A release reads the records of all earlier ones: a field that they
lack has its default. It reads those of the next release too, as long as that one says so: fields
that it does not know stay where they are, and states that it does not know are failures. Nothing
that was stored is ever given another meaning; a default of a stored field never changes.
"""

import functools
from collections.abc import Mapping, Set
from dataclasses import asdict, fields
from typing import Any, Final, TypeVar

from distillery_contract import metrics, size
from distillery_contract.request import Stage
from distillery_operator.engine.actions import Tell
from distillery_operator.study import curves
from distillery_operator.study.curves import CURVE
from distillery_operator.trials.attempt import Report
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import Provenance, Trainer
from distillery_operator.trials.trial import Confirmation, FinalTest, Point, State, Trial

T = TypeVar("T")

VERSION: Final = 2
"""Of the records that this release writes. 1: the first release. 2: each trial has a record, and
says what made its result; attempts are kept."""
READERS: Final = 1
"""The earliest version whose releases read what this one writes."""

FORMAT: Final = "format"
"""Attribute of the study: the latest version that wrote to it, and who reads that."""
THIS_FORMAT: Final = {"version": VERSION, "readers": READERS}

RESTORED: Final = "restored"
"""Attribute of the study: when and why it differs from what was told of it, if it does."""

REMOVED: Final = "removed"
"""Attribute of the study: it is being removed, and nobody may open it any more."""

WARM: Final = "warm:"
"""Begins the names of the study's attributes that hold trials of other experiments."""
TAKEN_FIELDS: Final = ("number", "parameters", "state", "expected", "metrics", "ended")
"""Of another experiment's trial: what samplers look at."""

BY_HAND: Final = "by_hand"
"""Attribute of an enqueued trial: the name of the suggestion, where it has one."""

STUDENT: Final = "student"
"""Attribute of a trial that starts from a pretrained student: which one. Other experiments ask."""

ENDING_FIELDS: Final = (
    "state",
    "reason",
    "message",
    "expected",
    "metrics",
    "source",
    "seconds",
    "gpus",
    "model",
    "ended",
    "provenance",
)

ATTEMPT: Final = "attempt:"
"""Begins the names of attributes that hold what is kept of an attempt: of a trial those of its
trainings, of the study those of the preparation. What tells an attempt from others follows."""

TEST: Final = "test"
"""Attribute of a trial: what it did on the test questions. Nothing that decides reads it."""
TEST_ATTEMPT: Final = "test-attempt:"
"""Begins the names of attributes of a trial that hold what is kept of an attempt of that."""

CONFIRMATION: Final = "confirmation:"
"""Begins the names of attributes of a trial that hold its further trainings with other seeds; how
many are before it follows. Nothing that leads a search reads them."""
CONFIRMATIONS_COLLECTED: Final = "confirmations-collected"
"""Attribute of a trial: the seeds of the confirmations whose files are gone."""
CONFIRMATION_ATTEMPT: Final = "confirmation-attempt:"
"""Begins the names of attributes of a trial that hold what is kept of an attempt of those."""

KEPT: Final = {
    Stage.TRAIN: ("attempts", ATTEMPT),
    Stage.TEST: ("testing", TEST_ATTEMPT),
    Stage.CONFIRM: ("confirming", CONFIRMATION_ATTEMPT),
}
"""Where attempts of a trial are kept, by their stage: its field, and how the attributes begin."""


def outdated(stored: Mapping[str, int] | None) -> bool:
    """Tell whether a study was written by earlier releases alone."""
    return stored is None or stored["version"] < VERSION


def unreadable(stored: Mapping[str, int] | None) -> str:
    """Return why this release cannot read a study; nothing if it can."""
    if stored is None or stored["readers"] <= VERSION:
        return ""
    return (
        f"a later release wrote records of version {stored['version']} there, which releases read"
        f" from version {stored['readers']} on, and this one is of version {VERSION}"
    )


def taken(stored: Mapping[str, Any]) -> Trial:
    """Rebuild what was taken of another experiment's trial."""
    return _known(Trial, {**stored, "state": _state(stored["state"])})


def restored(number: int, attributes: Mapping[str, Any], collected: Set[int]) -> Trial:
    """Rebuild a trial from what is stored with it."""
    stored = {**attributes["suggestion"], **attributes.get("ending", {})}
    if "ending" in attributes:
        stored["state"] = _state(stored["state"])
        stored["model"] = None if number in collected else stored.get("model")
        stored["collected"] = number in collected
        stored["provenance"] = _provenance(stored.get("provenance"))
    for name, mark in KEPT.values():
        stored[name] = attempts(attributes, mark)
    stored["test"] = _test(attributes.get(TEST))
    stored["confirmations"] = _confirmations(attributes)
    curve = tuple(_known(Point, point) for point in attributes.get(CURVE, []))
    return _known(Trial, {**stored, "number": number, "curve": curve})


def _test(stored: Mapping[str, Any] | None) -> FinalTest | None:
    if stored is None:
        return None
    return _known(FinalTest, {**stored, "provenance": _provenance(stored["provenance"])})


def _confirmations(attributes: Mapping[str, Any]) -> tuple[Confirmation, ...]:
    gone = attributes.get(CONFIRMATIONS_COLLECTED, [])
    found = [
        _known(
            Confirmation,
            {
                **stored,
                "state": _state(stored["state"]),
                "model": None if stored["seed"] in gone else stored["model"],
                "collected": stored["seed"] in gone,
                "provenance": _provenance(stored["provenance"]),
            },
        )
        for name, stored in attributes.items()
        if name.startswith(CONFIRMATION)
    ]
    return tuple(sorted(found, key=lambda confirmation: confirmation.attempt))


def attempts(attributes: Mapping[str, Any], mark: str = ATTEMPT) -> tuple[PastAttempt, ...]:
    """Return what is kept of attempts among the attributes of a trial, or of the study."""
    kept = [
        _known(PastAttempt, {**stored, "provenance": _provenance(stored["provenance"])})
        for name, stored in attributes.items()
        if name.startswith(mark)
    ]
    return tuple(sorted(kept, key=lambda past: past.number))


def name_of(past: PastAttempt, mark: str = ATTEMPT) -> str:
    """Return the name of the attribute that keeps an attempt."""
    return f"{mark}{past.identity or past.number}"


def ended(before: Trial, ending: Tell, model: str | None, now: float) -> dict[str, Any]:
    """Return the fields of a trial that its ending sets."""
    report: Report = ending.report
    known = (
        {} if before.parameter_count is None else {"parameter_count": float(before.parameter_count)}
    )
    measured = metrics.sound(report.metrics)
    point = report.continuing(before.curve, now)
    return {
        "curve": curves.thin((*before.curve, point)) if point else before.curve,
        "state": ending.state,
        "reason": str(ending.reason),
        "message": ending.message,
        "expected": dict(ending.expected),
        "metrics": {**measured, **known},
        "source": report.source,
        "seconds": ending.seconds,
        "gpus": ending.gpus,
        "model": model if ending.state is State.COMPLETED else None,
        "ended": now,
        "provenance": ending.provenance,
    }


def ending_of(trial: Trial) -> dict[str, Any]:
    """Return how a trial ended in the form that is stored."""
    made = asdict(trial.provenance) if trial.provenance else None
    return {**{name: getattr(trial, name) for name in ENDING_FIELDS}, "provenance": made}


def preparation_of(stored: Mapping[str, Any]) -> Preparation:
    """Rebuild what the preparation found.

    Raises:
        ValueError: a model is of a family that this release does not know.
    """
    families = {source["family"] for source in stored["sources"].values()}
    if strange := sorted(families - {*size.Family}):
        raise ValueError(f"a later release prepared a model of the family {strange[0]} there")
    sources = {
        name: _known(size.Architecture, {**source, "family": size.Family(source["family"])})
        for name, source in stored["sources"].items()
    }
    return _known(Preparation, {**stored, "sources": sources})


def _provenance(stored: Mapping[str, Any] | None) -> Provenance | None:
    if stored is None:
        return None
    return _known(Provenance, {**stored, "trainer": _trainer(**stored["trainer"])})


@functools.lru_cache
def _trainer(**stored: str) -> Trainer:
    """Return what a trainer says of itself, in memory once for all its trials."""
    return _known(Trainer, stored)


def _known(kind: type[T], stored: Mapping[str, Any]) -> T:
    """Build an object of the fields that this release knows."""
    known = _names(kind)  # type: ignore[arg-type]
    if not stored.keys() <= known:
        stored = {name: value for name, value in stored.items() if name in known}
    return kind(**stored)


@functools.cache  # for each point of each curve
def _names(kind: type[Any]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))


def _state(word: str) -> State:
    """Return the state of a trial; one that this release does not know says nothing of it."""
    return State(word) if word in {*State} else State.FAILED
