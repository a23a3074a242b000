"""PURE: which trainings end early, because they will not improve the front. ``decide`` asks.

A rung is a share of a training's steps after which every trial is measured. :class:`Rule` looks at
one set of trials, their curves as stored, and says of any of them whether it should stop, by one
word and one sentence. Nothing else is remembered: whoever asks again gets the same answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from distillery_contract import metrics, parameters, rungs
from distillery_contract.metrics import Direction
from distillery_operator import judge, pareto
from distillery_operator.forecast import Forecast
from distillery_operator.resources import Objective, Spec, StoppingType
from distillery_operator.trials import Point, State, Trial

CANNOT_IMPROVE: Final = "CannotImprove"
OUTRANKED: Final = "Outranked"

KNOWN: Final = ("parameter_count",)
"""Objectives that a suggestion decides before it is trained."""


@dataclass(frozen=True)
class Stop:
    """Why a training should end: one word and one sentence."""

    reason: str
    message: str


@dataclass(frozen=True)
class Hope:
    """The best end of a training that can be expected, in one objective."""

    objective: Objective
    value: float
    sentence: str

    def misses(self, value: float) -> bool:
        """Tell whether a value is out of reach."""
        return _sign(self.objective) * (value - self.value) > 0


def reading(trial: Trial, rung: float) -> Point | None:
    """Return the first evaluation of a trial at or after a rung; None if there is none yet."""
    reached = (p for p in trial.curve if p.steps and p.step >= rungs.step(rung, p.steps))
    return next(reached, None)


class Rule:
    """Early stopping by one spec, with what is known of all trials at one moment."""

    def __init__(self, spec: Spec, trials: Sequence[Trial]) -> None:
        self._spec, self._trials = spec, trials
        self._wanted = spec.early_stopping
        measured = [trial for trial in trials if trial.state is State.COMPLETED]
        self._rivals = judge.feasible(spec, measured)
        self._examples = [trial for trial in measured if not judge.collapsed(trial.metrics)]
        self._forecasts: dict[tuple[int, str], Forecast | None] = {}

    def stop(self, trial: Trial) -> Stop | None:
        """Return why a trial that trains should end now; None if it goes on."""
        rung = self.rung(trial)
        if rung is None:
            return None
        if found := self._collapsed(trial, rung):
            return found
        if self._wanted.type is StoppingType.FRONT_AWARE:
            return self._hopeless(trial, rung)
        if self._wanted.type is StoppingType.ASHA:
            return self._outranked(trial, rung)
        return None

    def rung(self, trial: Trial) -> int | None:
        """Return which rung a trial was measured at last, counted from 0; None before the first."""
        places = range(len(self._wanted.rungs))
        reached = [n for n in places if reading(trial, self._wanted.rungs[n])]
        return max(reached, default=None)

    def _collapsed(self, trial: Trial, rung: int) -> Stop | None:
        """Stop a model that still answers nothing, or everything, once it has had time to learn.

        Many students begin so and leave it; of those that have not by the last rung few do.
        """
        now = trial.curve[-1].metrics
        guarded = self._spec.data.unanswerable and self._wanted.collapse
        if not guarded or rung < len(self._wanted.rungs) - 1 or not judge.collapsed(now):
            return None
        pair = ", ".join(f"{name} {now[name]:.4g}" for name in metrics.COLLAPSE)
        share = self._wanted.rungs[rung]
        return Stop(judge.COLLAPSED, f"the model collapsed: {pair} after {share:.0%} and more")

    def _hopeless(self, trial: Trial, rung: int) -> Stop | None:
        """Stop what would, at its best, miss a threshold or be beaten in everything.

        An objective that the suggestion decides is compared as it is; of each of the others the
        best end is estimated from its values at the rungs.
        """
        judged = [o for o in self._spec.objectives if o.metric not in KNOWN]
        hopes = [self._hope(objective, trial, rung) for objective in judged]
        for hope in hopes:
            limit = hope.objective.threshold if hope else None
            if hope and limit is not None and hope.misses(limit):
                return Stop(CANNOT_IMPROVE, f"{hope.sentence}, but the threshold is {limit:.6g}")
        known = [hope for hope in hopes if hope]
        if not known or len(known) < len(hopes):
            return None
        for rival in self._rivals:
            beaten = all(h.misses(judge.measured(rival, h.objective.metric)) for h in known)
            if beaten and self._as_good_unseen(rival, trial):
                first = known[0]
                reached = judge.measured(rival, first.objective.metric)
                return Stop(
                    CANNOT_IMPROVE,
                    f"{first.sentence}, but trial {rival.number}, which is not larger,"
                    f" has {reached:.6g}",
                )
        return None

    def _hope(self, objective: Objective, trial: Trial, rung: int) -> Hope | None:
        """Estimate the best end of a training; None where too few have ended to tell."""
        metric = objective.metric
        if (rung, metric) not in self._forecasts:
            self._forecasts[rung, metric] = self._learn(metric, rung)
        forecast, row = self._forecasts[rung, metric], self._row(trial, metric, rung)
        if forecast is None or row is None:
            return None
        expected = forecast.of(row)
        margin = self._wanted.confidence * expected.deviation
        share, now = self._wanted.rungs[rung], reading(trial, self._wanted.rungs[rung])
        assert now is not None
        return Hope(
            objective,
            expected.mean + _sign(objective) * margin,
            f"{metric} of {expected.mean:.4g} ± {margin:.3g} can be expected, from"
            f" {now.metrics[metric]:.4g} after {share:.0%} of the training",
        )

    def _learn(self, metric: str, rung: int) -> Forecast | None:
        """Learn from the trials that trained to their end how this metric ends.

        Without those that collapsed: what has not left the collapse yet is compared with those that
        did.
        """
        pairs = [
            (row, trial.metrics[metric])
            for trial in self._examples
            if (row := self._row(trial, metric, rung)) is not None
        ]
        if len(pairs) < self._wanted.min_trials:
            return None
        return Forecast([row for row, _ in pairs], [end for _, end in pairs])

    def _row(self, trial: Trial, metric: str, rung: int) -> list[float] | None:
        """Return what is known of a training at a rung; None where a measurement is missing."""
        points = [reading(trial, share) for share in self._wanted.rungs[: rung + 1]]
        values = [point.metrics.get(metric, math.nan) if point else math.nan for point in points]
        if not all(map(math.isfinite, values)) or points[-1] is None:
            return None
        now, before = values[-1], values[-2] if rung else values[-1]
        size = math.log(max(1, trial.parameter_count or 1))
        rate = trial.parameters.get("learning_rate", parameters.PARAMETERS["learning_rate"].default)
        pace = math.log(max(1e-12, float(rate or 0.0)))
        halves = [points[-1].metrics.get(name, now) for name in metrics.COLLAPSE]
        return [now, now * now, now - before, min(halves), size, pace, now * size]

    def _as_good_unseen(self, rival: Trial, trial: Trial) -> bool:
        """Tell whether a rival is at least as good in what a suggestion decides."""
        return all(
            judge.measured(rival, o.metric) <= (trial.parameter_count or math.inf)
            for o in self._spec.objectives
            if o.metric in KNOWN
        )

    def _outranked(self, trial: Trial, rung: int) -> Stop | None:
        """Stop what is not among the best of those that were at the rung no later (MO-ASHA)."""
        share = self._wanted.rungs[rung]
        own = reading(trial, share)
        assert own is not None
        peers = [
            other
            for other in self._trials
            if other is not trial and (point := reading(other, share)) and point.at <= own.at
        ]
        costs = [self._cost(other, share) for other in [*peers, trial]]
        place = pareto.place(costs, len(peers))
        if place * self._wanted.reduction_factor <= len(costs):
            return None
        return Stop(
            OUTRANKED,
            f"of {len(costs)} trials after {share:.0%} of the training it ranks {place + 1}, and"
            f" one in {self._wanted.reduction_factor} goes on",
        )

    def _cost(self, trial: Trial, share: float) -> list[float]:
        """Return the objectives as far as they are known at a rung, to be minimised."""
        point = reading(trial, share)
        seen = {**(point.metrics if point else {})}
        if trial.parameter_count is not None:
            seen["parameter_count"] = trial.parameter_count
        return [
            -_sign(o) * seen.get(o.metric, metrics.EVALUATIONS[o.metric].worst)
            for o in self._spec.objectives
        ]


def _sign(objective: Objective) -> int:
    return 1 if objective.direction is Direction.MAXIMIZE else -1
