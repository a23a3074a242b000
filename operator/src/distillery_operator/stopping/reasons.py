"""PURE: what early stopping says of a training, and which stops may be taken back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from distillery_operator.trials.trial import State, Trial

CANNOT_IMPROVE: Final = "CannotImprove"
OUTRANKED: Final = "Outranked"
PAUSED: Final = "Paused"

RESUMABLE: Final = (CANNOT_IMPROVE, OUTRANKED, PAUSED)
"""Reasons of trials that may go on later, when more is known."""


@dataclass(frozen=True)
class Stop:
    """Why a training should end: one word, one sentence, and the end that was expected of it."""

    reason: str
    message: str
    expected: Mapping[str, float] = field(default_factory=dict)


def refused(trial: Trial) -> bool:
    """Tell whether a suggestion was never trained, because a forecast spoke against it.

    No suggestion ends so any more; stored searches may have some.
    """
    return trial.state is State.STOPPED and not trial.curve and trial.reason == CANNOT_IMPROVE


def resumable(trials: Sequence[Trial]) -> set[int]:
    """Return the stopped trials whose checkpoint may still be needed."""
    goes_on = {t.continues: t for t in trials if t.continues is not None}
    return {
        t.number
        for t in trials
        if t.state is State.STOPPED and t.reason in RESUMABLE and t.seconds and not t.collected
        if t.number not in goes_on or goes_on[t.number].state is State.RUNNING
    }
