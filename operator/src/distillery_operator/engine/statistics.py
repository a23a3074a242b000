"""PURE: figures of an experiment that alerts and dashboards need, beyond what its status says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from distillery_contract import metrics
from distillery_operator.engine import budgets, reasons
from distillery_operator.engine.budgets import Closing, Use
from distillery_operator.resource.spec import COLLAPSE_GUARD, Spec
from distillery_operator.trials.attempt import Phase
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State, Trial


@dataclass(frozen=True)
class Statistics:
    """What an observation tells; times in seconds since the epoch.

    Attributes:
        ended: trials that ended, by state and reason as the spec of today judges them.
        one_sided: trials that fail on one half of the questions only, by that half.
        latest: evaluation of the trial that was measured last, by metric.
        trial_seconds: median run time of the completed trials; None before there is one.
        ended_time: when a trial ended last.
        improved_time: when a trial joined the front last.
        unimproved: trials that ended since.
        pending_times: creation of the attempt that has waited longest, by what it waits for.
        budgets: share of each budget that is used, 0 to 1.
    """

    ended: Mapping[tuple[str, str], int] = field(default_factory=dict)
    one_sided: Mapping[str, int] = field(default_factory=dict)
    latest: Mapping[str, float] = field(default_factory=dict)
    trial_seconds: float | None = None
    ended_time: float | None = None
    improved_time: float | None = None
    unimproved: int = 0
    pending_times: Mapping[str, float] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)


LOST: Final = (str(State.FAILED), reasons.METRICS_UNAVAILABLE)
"""An ending that is counted from 0 on, for an alert looks for its increase."""

HALVES: Final = ("answerable", "unanswerable")
"""Kinds of questions, in the order of the metrics that measure each, ``metrics.COLLAPSE``."""


def derive(spec: Spec, seen: Observation, done: Closing | None) -> Statistics:
    """Return the statistics of an experiment, which may be done."""
    trials = [trial for trial in seen.trials if trial.state is not State.RUNNING]
    # A point that has left the front was beaten by one that joined it later.
    verdicts = seen.verdicts(spec)
    improved = max((t.ended or 0.0 for t in verdicts.front), default=None)
    return Statistics(
        ended={LOST: 0} | {(str(e.state), e.reason): n for e, n in verdicts.counts.items()},
        one_sided=_one_sided(trials) if spec.data.unanswerable else {},
        latest=_latest(trials),
        trial_seconds=_median(trials),
        ended_time=max((t.ended or 0.0 for t in trials), default=None),
        improved_time=improved,
        unimproved=sum((t.ended or 0.0) > (improved or 0.0) for t in trials),
        pending_times=_pending_times(seen),
        budgets=_budgets(spec, seen, done),
    )


def _one_sided(trials: Sequence[Trial]) -> dict[str, int]:
    """Count by half the trials below the guard there and not on the other half.

    Wider than a collapse: where data lost their unanswerable questions, students learn well on the
    others and are below 97 percent there.
    """
    guard, measured = COLLAPSE_GUARD, [t.metrics for t in trials]
    pairs = [
        [m[name] for name in metrics.COLLAPSE] for m in measured if {*metrics.COLLAPSE} <= m.keys()
    ]
    return {
        half: sum(pair[place] < guard <= max(pair) for pair in pairs)
        for place, half in enumerate(HALVES)
    }


def _latest(trials: Sequence[Trial]) -> Mapping[str, float]:
    measured = [trial for trial in trials if trial.metrics.keys() - {"parameter_count"}]
    return max(measured, key=lambda t: t.ended or 0.0).metrics if measured else {}


def _median(trials: Sequence[Trial]) -> float | None:
    seconds = [trial.seconds for trial in trials if trial.state is State.COMPLETED]
    return median(seconds) if seconds else None


def _pending_times(seen: Observation) -> dict[str, float]:
    times: dict[str, float] = {}
    for attempt in seen.attempts:
        if attempt.phase is Phase.PENDING and attempt.created is not None:
            known = times.get(attempt.reason, attempt.created)
            times[attempt.reason] = min(known, attempt.created)
    return times


def _ended(seen: Observation, state: State) -> int:
    return sum(trial.state is state for trial in seen.trials)


def _budgets(spec: Spec, seen: Observation, done: Closing | None) -> dict[str, float]:
    uses = [
        *budgets.uses(spec, seen, done),
        # One failure more than allowed ends the experiment.
        Use("maxFailedTrials", _ended(seen, State.FAILED), spec.max_failed_trials + 1),
    ]
    return {use.name: min(1.0, use.used / use.limit) for use in uses}
