"""PURE: what a study holds, rebuilt from what is stored, as a process keeps it in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_operator.search import warm_start
from distillery_operator.study import curves, records
from distillery_operator.study.curves import Aside
from distillery_operator.study.records import RESTORED, STUDENT, WARM
from distillery_operator.study.rows import Row
from distillery_operator.study.specs import SPACE
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.trial import Trial

Attributes = Mapping[str, Any]


@dataclass
class Contents:
    """What a study holds.

    Attributes:
        started: seconds since the epoch.
        preparation: what was prepared; None before that.
        preparing: what is kept of attempts of the preparation.
        trials: all of them, by their numbers.
        collected: numbers of those whose files are gone.
        warm: trials that were taken of other experiments, by the names of these.
        asides: what a later release stored with the curves of trials that have not ended, by the
            trials' numbers.
        restored: why the study differs from what was told of it earlier; empty if it does not.
    """

    started: float
    preparation: Preparation | None
    preparing: tuple[PastAttempt, ...]
    trials: list[Trial]
    collected: set[int]
    warm: dict[str, tuple[Trial, ...]]
    asides: dict[int, Aside]
    restored: str

    def size(self, parameters: Mapping[str, Value]) -> int | None:
        """Return the parameter count of a student; None before the preparation, or without one."""
        if self.preparation is None:
            return None
        try:
            return size.student_size(self.preparation.sources, parameters)
        except ValueError:  # no such student: decide ends the trial with the reason
            return None


def of(attributes: Attributes, own: Sequence[Row]) -> Contents:
    """Rebuild the contents of a study.

    Args:
        attributes: of the study.
        own: the rows of its trials, by their numbers.

    Raises:
        ValueError: a later release stored what this one cannot read.
    """
    if reason := records.unreadable(attributes.get(records.FORMAT)):
        raise ValueError(reason)
    collected = set(attributes.get("collected", []))
    prepared = attributes.get("preparation")
    stored = [row.attributes for row in own]
    return Contents(
        started=float(attributes["started"]),
        preparation=records.preparation_of(prepared) if prepared else None,
        preparing=records.attempts(attributes),
        trials=[records.restored(n, trial, collected) for n, trial in enumerate(stored)],
        collected=collected,
        warm={
            key.removeprefix(WARM): tuple(records.taken(trial) for trial in trials)
            for key, trials in attributes.items()
            if key.startswith(WARM)
        },
        asides={
            number: kept
            for number, trial in enumerate(stored)
            if "ending" not in trial and (kept := curves.aside(trial))
        },
        restored=str(attributes.get(RESTORED, {}).get("message", "")),
    )


def source(attributes: Attributes, own: Sequence[Row]) -> warm_start.Source:
    """Return the contents of another experiment's study, as far as they inform a sampler."""
    objectives = {o["metric"]: o["direction"] for o in attributes[SPACE]["objectives"]}
    key = attributes.get("preparation", {}).get("key")
    found = tuple(records.restored(n, row.attributes, set()) for n, row in enumerate(own))
    students = {n: r.attributes[STUDENT] for n, r in enumerate(own) if STUDENT in r.attributes}
    return warm_start.Source(objectives, key, found, students)
