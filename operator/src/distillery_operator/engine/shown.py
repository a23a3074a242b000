"""PURE: how a status shows trials: their states, their values, and the newest of them."""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Final

from distillery_contract import metrics
from distillery_contract.request import Stage
from distillery_operator.engine import conditions, endings, sidecars
from distillery_operator.engine.reasons import LINGERING
from distillery_operator.resource.spec import Spec
from distillery_operator.resource.status import RECENT_LIMIT, RecentTrial
from distillery_operator.trials import feasibility
from distillery_operator.trials.attempt import Attempt, Phase
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State, Trial

RECENT_BYTES: Final = 512
"""Limit of the message of a recent trial."""


def state(spec: Spec, trial: Trial) -> State:
    """Return a trial's state as people see it, by the spec of today."""
    return feasibility.state(trial, feasibility.verdict(spec, trial))


def values(spec: Spec, trial: Trial) -> dict[str, float]:
    """Return the objectives that a trial ended with."""
    return objectives(spec, trial.metrics)


def objectives(spec: Spec, found: Mapping[str, float]) -> dict[str, float]:
    """Return the objectives among metrics."""
    names = {objective.metric for objective in spec.objectives}
    return plain({name: value for name, value in found.items() if name in names})


def plain(found: Mapping[str, float]) -> dict[str, float]:
    """Return metrics the way a person writes them: counts as integers.

    A trainer may expose what the contract does not know, or what is no number (yet).
    """
    known = {n: v for n, v in found.items() if n in metrics.EVALUATIONS and isfinite(v)}
    counts = {n for n in known if metrics.EVALUATIONS[n].unit == "parameters"}
    return {n: int(v) if n in counts else v for n, v in known.items()}


def recent(spec: Spec, seen: Observation) -> list[RecentTrial]:
    """Return trials that have not ended, then those that ended last; at most ``RECENT_LIMIT``."""
    live = {a.trial: a for a in seen.attempts if a.stage is Stage.TRAIN and a.remains}
    running = [trial for trial in seen.trials if trial.state is State.RUNNING]
    newest = [*running, *seen.verdicts(spec).newest(RECENT_LIMIT)]
    return [
        _unfinished(spec, seen, trial, live.get(trial.number))
        if trial.state is State.RUNNING
        else _finished(spec, trial)
        for trial in newest[:RECENT_LIMIT]
    ]


def _finished(spec: Spec, trial: Trial) -> RecentTrial:
    verdict = feasibility.verdict(spec, trial)
    return RecentTrial(
        trial=trial.number,
        suggestion=trial.by_hand,
        state=feasibility.state(trial, verdict),
        reason=verdict.reason,
        message=conditions.cut(verdict.message, RECENT_BYTES),
        values=values(spec, trial),
    )


def _between(spec: Spec, seen: Observation, trial: Trial) -> str:
    """Say why no process works on a trial."""
    for last in seen.attempts_of(Stage.TRAIN, trial.number)[-1:]:
        if endings.rests(spec, seen, last):
            return f"{last.message}; it starts again after as long a time"
    return "no process works on it yet"


def _unfinished(
    spec: Spec, seen: Observation, trial: Trial, attempt: Attempt | None
) -> RecentTrial:
    if attempt is not None and attempt.lingers:
        said = sidecars.lingering(attempt)
        attempt = replace(attempt, phase=Phase.PENDING, reason=LINGERING, message=said)
    runs = attempt is not None and attempt.phase is Phase.RUNNING
    report = attempt and seen.reports.get(attempt.key)
    said = attempt.message if attempt else _between(spec, seen, trial)
    return RecentTrial(
        trial=trial.number,
        suggestion=trial.by_hand,
        state=str(State.RUNNING if runs else Phase.PENDING),
        reason=(attempt.reason if attempt else "") or str(State.RUNNING if runs else Phase.PENDING),
        message=conditions.cut(
            said or f"attempt {attempt.number if attempt else 1} runs", RECENT_BYTES
        ),
        values=objectives(spec, report.metrics) if report else {},
        progress=report.progress if report else None,
    )
