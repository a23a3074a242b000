"""PURE: which trainings end because too many others were better at the same rung (MO-ASHA).

Called by :mod:`distillery_operator.stopping`. Trials are ranked by non-domination and, within a
front, by how far they lie from others, as in Syne Tune (Schmucker et al. 2021).
"""

import math
from collections.abc import Sequence

from distillery_contract import metrics
from distillery_operator import curves, pareto
from distillery_operator.resources import Spec
from distillery_operator.stops import OUTRANKED, PAUSED, Stop
from distillery_operator.trials import Point, Trial


class Ranking:
    """The rule that lets one in so many go on."""

    def __init__(self, spec: Spec, trials: Sequence[Trial]) -> None:
        """Look at one moment: the spec of an experiment, and all its trials in their order."""
        self._spec, self._trials = spec, trials
        self._wanted = spec.early_stopping

    def stop(self, trial: Trial, rung: int) -> Stop | None:
        """Return why a trial that trains should end at a rung; None if it goes on.

        It is compared with those that were there no later. With ``pause`` everything stops, and the
        best are promoted.
        """
        share, factor = self._wanted.rungs[rung], self._wanted.reduction_factor
        if self._wanted.pause:
            said = f"after {share:.0%} of the training it waits to be one of the best"
            return Stop(PAUSED, f"{said}, of which one in {factor} goes on")
        own = curves.reading(trial, share)
        assert own is not None
        place, count = self._place(trial, rung, own.at)
        if place * factor <= count:
            return None
        return Stop(
            OUTRANKED,
            f"of {count} trials after {share:.0%} of the training it ranks {place + 1}, and one in"
            f" {factor} goes on",
        )

    def promising(self, waiting: Sequence[Trial]) -> list[Trial]:
        """Return the stopped trials that are among the best at their rung by now."""
        return [trial for trial in waiting if self._leads(trial)]

    def _leads(self, trial: Trial) -> bool:
        rung = curves.rung(trial, self._wanted.rungs)
        if rung is None:
            return False
        place, count = self._place(trial, rung)
        return place * self._wanted.reduction_factor < count

    def _place(self, trial: Trial, rung: int, until: float = math.inf) -> tuple[int, int]:
        """Return how many trials were better at a rung, and how many were there by some time."""
        share, points = self._wanted.rungs[rung], dict[int, tuple[Trial, Point]]()
        for other in (trial, *self._trials):
            point = curves.reading(other, share)
            if point and (other is trial or point.at <= until):
                points.setdefault(self._origin(other), (other, point))
        costs = [self._cost(other, point) for other, point in points.values()]
        return pareto.place(costs, 0), len(costs)

    def _origin(self, trial: Trial) -> int:
        """Return the number of the trial whose training this one continues, or its own."""
        while trial.continues is not None:
            trial = self._trials[trial.continues]
        return trial.number

    def _cost(self, trial: Trial, point: Point) -> list[float]:
        """Return the objectives as far as they are known at a rung, to be minimised."""
        seen = dict(point.metrics)
        if trial.parameter_count is not None:
            seen["parameter_count"] = trial.parameter_count
        return [
            o.direction.sign * seen.get(o.metric, metrics.EVALUATIONS[o.metric].worst)
            for o in self._spec.objectives
        ]
