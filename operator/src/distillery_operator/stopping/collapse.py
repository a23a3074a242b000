"""PURE: which trainings end because their model answers nothing, or everything, and will go on so.

Called by :mod:`distillery_operator.stopping.rule`.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from distillery_contract import metrics
from distillery_operator.resource.spec import Spec
from distillery_operator.stopping.reasons import Stop
from distillery_operator.trials import feasibility, learning_curve
from distillery_operator.trials.trial import Trial

SHARE: Final = 0.3
POINTS: Final = 2
"""A model is given up if it is collapsed after this share of its training, in this number of
evaluations in a row. Students of a real teacher begin collapsed, and recover within an eighth to a
quarter of their steps. A single evaluation may fall back; it is forgiven if an earlier one was
better. Of the 203 trainings in bench/data this stops 140; 21 of those left the collapse later, and
one of them reached the threshold of 55, with 57.6."""

WITNESSES: Final = 10
"""Trials that had collapsed at the first rung and trained on long enough: if none of so many has
left the collapse, the next is given up at that rung. If one in four did, 94 % of such tens would
have shown it."""


class Collapse:
    """The rule that gives up a collapsed model when it has had time to learn.

    How long that is, earlier trials may show. One that would be acceptable even so goes on.
    """

    def __init__(self, spec: Spec, trials: Sequence[Trial]) -> None:
        """Look at one moment: the spec of an experiment, and all its trials in their order."""
        self._trials, self._shares = trials, spec.early_stopping.rungs
        self._guarded = spec.data.unanswerable and spec.early_stopping.collapse
        self._halves = [b for b in feasibility.bounds(spec) if b.metric in metrics.COLLAPSE]

    def stop(self, trial: Trial) -> Stop | None:
        """Return why a trial that trains should end now; None if it goes on."""
        if not self._guarded or not trial.curve:
            return None
        last = trial.curve[-1]
        broken = any(b.violation(last.metrics.get(b.metric, 0.0)) > 0 for b in self._halves)
        if not broken or not feasibility.collapsed(last.metrics):
            return None
        begun = learning_curve.rung(trial, self._shares) is not None
        if not _lasting(trial) and not (begun and self._none_leaves):
            return None
        pair = ", ".join(f"{name} {last.metrics[name]:.4g}" for name in metrics.COLLAPSE)
        return Stop(feasibility.COLLAPSED, f"the model collapsed: {pair} at step {last.step}")

    @cached_property
    def _none_leaves(self) -> bool:
        """Whether many had collapsed at the first rung, and all of them stayed so."""
        witnesses = [
            trial
            for trial in self._trials
            if (first := learning_curve.reading(trial, self._shares[0]))
            and feasibility.collapsed(first.metrics)
            if learning_curve.after(trial, SHARE)
        ]
        return len(witnesses) >= WITNESSES and all(
            feasibility.collapsed(trial.curve[-1].metrics) for trial in witnesses
        )


def _lasting(trial: Trial) -> bool:
    """Tell whether a collapse has lasted for as long as students take to leave it."""
    if not learning_curve.after(trial, SHARE):
        return False
    points = trial.curve[-POINTS:]
    if len(points) == POINTS and all(feasibility.collapsed(p.metrics) for p in points):
        return True
    sums = [sum(p.metrics.get(name, 0.0) for name in metrics.COLLAPSE) for p in trial.curve]
    return max(sums) <= sums[-1]
