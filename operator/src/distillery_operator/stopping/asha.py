"""PURE: which trainings end because too many others were better at the same rung (MO-ASHA).

Called by :mod:`distillery_operator.stopping.rule`. Trials are ranked by non-domination and, within
a front, by how far they lie from others, as in Syne Tune (Schmucker et al. 2021).
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from distillery_contract import metrics
from distillery_operator.resource.spec import Spec
from distillery_operator.stopping.reasons import OUTRANKED, PAUSED, Stop
from distillery_operator.trials import learning_curve, pareto
from distillery_operator.trials.trial import Point, Trial, lineage


class ASHA:
    """The rule that lets one in so many go on."""

    def __init__(self, spec: Spec, trials: Sequence[Trial]) -> None:
        """Look at one moment: the spec of an experiment, and all its trials in their order."""
        self._spec, self._trials = spec, trials
        self._wanted = spec.early_stopping
        self._reached: dict[int, list[tuple[float, int, list[float]]]] = {}

    def stop(self, trial: Trial, rung: int) -> Stop | None:
        """Return why a trial that trains should end at a rung; None if it goes on.

        It is compared with those that were there no later. With ``pause`` everything stops, and the
        best are promoted.
        """
        share, factor = self._wanted.rungs[rung], self._wanted.reduction_factor
        if self._wanted.pause:
            said = f"after {share:.0%} of the training it waits to be one of the best"
            return Stop(PAUSED, f"{said}, of which one in {factor} goes on")
        own = learning_curve.reading(trial, share)
        assert own is not None
        ranking, known = self._ranking(rung, own.at)
        place, count = ranking.place(known.index(self._origin(trial))), len(known)
        if place * factor <= count:
            return None
        return Stop(
            OUTRANKED,
            f"of {count} trials after {share:.0%} of the training it ranks {place + 1}, and one in"
            f" {factor} goes on",
        )

    def promising(self, waiting: Sequence[Trial]) -> list[Trial]:
        """Return the stopped trials that are among the best at their rung by now."""
        at_rung = defaultdict[int, list[Trial]](list)
        for trial in waiting:
            if (rung := learning_curve.rung(trial, self._wanted.rungs)) is not None:
                at_rung[rung].append(trial)
        return [trial for rung, found in at_rung.items() for trial in self._leading(rung, found)]

    def _leading(self, rung: int, waiting: Sequence[Trial]) -> list[Trial]:
        ranking, known = self._ranking(rung)
        best = ranking.first(-(-len(known) // self._wanted.reduction_factor))
        leading = {known[place] for place in best}
        return [trial for trial in waiting if self._origin(trial) in leading]

    def _ranking(self, rung: int, until: float = math.inf) -> tuple[pareto.Ranking, list[int]]:
        """Rank the trainings that were at a rung by some time; return whose each one is, too.

        A training goes by the number of its suggestion.
        """
        if rung not in self._reached:
            self._reached[rung] = [*self._readings(self._wanted.rungs[rung])]
        costs = dict[int, list[float]]()
        for at, origin, cost in self._reached[rung]:
            if at <= until:
                costs.setdefault(origin, cost)
        return pareto.Ranking([*costs.values()]), [*costs]

    def _readings(self, share: float) -> Iterator[tuple[float, int, list[float]]]:
        """Yield when each training was measured at a rung, whose it is, and what it cost."""
        for trial in self._trials:
            if point := learning_curve.reading(trial, share):
                yield point.at, self._origin(trial), self._cost(trial, point)

    def _origin(self, trial: Trial) -> int:
        """Return the number of the trial whose training this one continues, or its own."""
        *_, first = lineage(self._trials, trial)
        return first.number

    def _cost(self, trial: Trial, point: Point) -> list[float]:
        """Return the objectives as far as they are known at a rung, to be minimised."""
        seen = dict(point.metrics)
        if trial.parameter_count is not None:
            seen["parameter_count"] = trial.parameter_count
        return [
            o.direction.sign * seen.get(o.metric, metrics.EVALUATIONS[o.metric].worst)
            for o in self._spec.objectives
        ]
