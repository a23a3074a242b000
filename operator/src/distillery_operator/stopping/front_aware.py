"""PURE: which trainings end because, at their best, they will not improve the front.

Called by :mod:`distillery_operator.stopping.rule` and, for suggestions, by ``crossover``. How a
training may end is foreseen from those that did (:mod:`distillery_operator.stopping.forecast`);
what that is worth depends on the front of today.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from distillery_contract import metrics, parameters
from distillery_operator.resource.spec import Objective, Spec
from distillery_operator.stopping import hyperparameters
from distillery_operator.stopping.forecast import Forecast, LocalForecast
from distillery_operator.stopping.reasons import CANNOT_IMPROVE, Stop
from distillery_operator.trials import feasibility, learning_curve, pareto
from distillery_operator.trials.trial import Trial, continued
from distillery_operator.trials.verdicts import Places, Verdicts

UNTRAINED: Final = -1
"""The rung of a suggestion of which only the hyperparameters are known."""
UNTRAINED_TRIALS: Final = 10
"""Completed trials that a forecast from hyperparameters alone needs."""

EXAMPLES: Final = 1000
"""Trials at most that a forecast learns from, and stopped ones that are foreseen anew: with more,
decisions would take longer and be no better."""

FEASIBLE_TRIALS: Final = 4
"""Completed trials that must be feasible before anything stops. The first to end are small
and end alike, so they say little of others: of the stops that rested on fewer, one in six was
wrong (the recorded trainings of bench/search.py)."""


@dataclass(frozen=True)
class Hope:
    """The best end of a training that can be expected, in one objective."""

    objective: Objective
    value: float
    sentence: str = ""

    def misses(self, value: float) -> bool:
        """Tell whether a value is out of reach."""
        return self.objective.direction.sign * (self.value - value) > 0


class FrontAware:
    """The rule that asks whether a training can still beat the front, by one spec at one moment."""

    def __init__(
        self, spec: Spec, trials: Sequence[Trial], verdicts: Verdicts | None = None
    ) -> None:
        """Look at one moment.

        Args:
            spec: of the experiment.
            trials: all of its own, in their order.
            verdicts: how the spec judges them; found out unless given.
        """
        self._spec, self._trials = spec, trials
        self._verdicts = verdicts or Verdicts.of(spec, trials)
        self._wanted = spec.early_stopping
        self._trained = [o for o in spec.objectives if o.metric not in feasibility.KNOWN]
        self._sized = len(self._trained) < len(spec.objectives)

    @cached_property
    def _foreseen(self) -> list[Trial]:
        """The stopped trainings whose end was foreseen and that did not go on."""
        known = (t for t in self._trials if t.expected and t.number not in self._begun)
        own = [trial for trial in known if trial.reason != feasibility.DUPLICATE]
        return self._nearest(own)

    @cached_property
    def _begun(self) -> frozenset[int]:
        """The stopped trials that go on."""
        return frozenset(continued(self._trials))

    @cached_property
    def front(self) -> list[Trial]:
        """The front of this moment: who is beaten is beaten by one of it."""
        return self._verdicts.measured_front

    @cached_property
    def _examples(self) -> list[Trial]:
        """What is learnt from: what is still collapsed is compared with what left it."""
        return [self._trials[place] for place in self._places]

    @cached_property
    def _places(self) -> Places:
        """Where the examples stand among all trials."""
        return self._verdicts.once("examples", self._chosen)

    def _chosen(self) -> Places:
        """Choose the examples among all trials; who repeats a training adds nothing."""
        facts = self._verdicts.facts
        (known,) = np.nonzero(facts["measured"] & ~facts["collapsed"])
        costs, feasible = self._verdicts.costs[known], facts["feasible"][known]
        chosen: Places = known[pareto.sampled(costs, feasible, EXAMPLES)]
        return chosen

    @cached_property
    def _feasible(self) -> int:
        """How many of the examples hold to all limits."""
        return int(self._verdicts.facts["feasible"][self._places].sum())

    @cached_property
    def _judged(self) -> list[str]:
        """The metrics that count and that only a training tells."""
        limited = {bound.metric for bound in feasibility.bounds(self._spec)}
        wanted = {objective.metric for objective in self._spec.objectives}
        return sorted((limited | wanted) - {*feasibility.KNOWN})

    def improves(self, trial: Trial, luck: float) -> bool:
        """Tell whether a suggestion may improve the front if its training has so much luck.

        Its size is known, and what trainings of such hyperparameters come to can be estimated. It
        ends that many standard deviations better than expected then; worse if they are negative.
        """
        return self._hopeless(trial, UNTRAINED, luck) is None

    def stop(self, trial: Trial, rung: int) -> Stop | None:
        """Return why a trial that trains should end at a rung; None if it goes on."""
        found = self._hopeless(trial, rung, self._wanted.confidence)
        return found and replace(found, expected=self._end(trial, rung))

    def promising(self, waiting: Sequence[Trial]) -> list[Trial]:
        """Return the stopped trials that would be let go on by what is known now.

        The expected end counts, not the best that can be hoped for: a trial does not stop and go on
        with every change of the estimate.
        """
        what = ("promising", tuple(trial.number for trial in waiting))
        return self._verdicts.once(what, lambda: self._promising(waiting))

    def _promising(self, waiting: Sequence[Trial]) -> list[Trial]:
        hopes = defaultdict[int, list[Hope]](list)
        waiting = self._nearest(waiting)
        for objective in self._trained:
            for trial, mean in self._means(waiting, objective.metric):
                hopes[trial.number].append(Hope(objective, mean))
        known = [t for t in waiting if len(hopes[t.number]) == len(self._trained) > 0]
        return [trial for trial in known if self._beaten(trial, hopes[trial.number]) is None]

    def _nearest(self, stopped: Sequence[Trial]) -> list[Trial]:
        """Return those of many stopped trials whose ends were expected to be nearest to a front."""
        if len(stopped) <= EXAMPLES:
            return [*stopped]
        ends = self._verdicts.costs[[trial.number for trial in stopped]]
        return [stopped[place] for place in pareto.nearest(ends, EXAMPLES)]

    def _hopeless(self, trial: Trial, rung: int, confidence: float) -> Stop | None:
        """Stop what would, at its best, miss a threshold or be beaten in everything."""
        if self._feasible < FEASIBLE_TRIALS:
            return None
        hopes = [self._hope(objective, trial, rung, confidence) for objective in self._trained]
        return self._beaten(trial, hopes)

    def _beaten(self, trial: Trial, hopes: Sequence[Hope | None]) -> Stop | None:
        """Say what is out of reach of a trial that has these hopes: a threshold, or the front.

        An objective that the suggestion decides is compared as it is; of each of the others the
        best end is estimated from its values at the rungs.
        """
        known = [hope for hope in hopes if hope]
        for hope in known:
            limit = hope.objective.threshold
            if limit is not None and hope.misses(limit):
                return Stop(CANNOT_IMPROVE, f"{hope.sentence}, but the threshold is {limit:.6g}")
        if not known or len(known) < len(hopes):
            return None
        for rival in self.front:
            beaten = all(h.misses(feasibility.measured(rival, h.objective.metric)) for h in known)
            if beaten and self._as_good_unseen(rival, trial):
                reached = feasibility.measured(rival, known[0].objective.metric)
                who = f"trial {rival.number}{', which is not larger,' if self._sized else ''}"
                return Stop(CANNOT_IMPROVE, f"{known[0].sentence}, but {who} has {reached:.6g}")
        return None

    def _as_good_unseen(self, rival: Trial, trial: Trial) -> bool:
        """Tell whether a rival is at least as good in what a suggestion decides."""
        return all(
            feasibility.measured(rival, o.metric) <= (trial.parameter_count or math.inf)
            for o in self._spec.objectives
            if o.metric in feasibility.KNOWN
        )

    def _hope(
        self, objective: Objective, trial: Trial, rung: int, confidence: float
    ) -> Hope | None:
        """Estimate the best end of a training; None where too few have ended to tell."""
        metric = objective.metric
        forecast, row = self._forecast(metric, rung), self._row(trial, metric, rung)
        if forecast is None or row is None:
            return None
        expected = forecast.of(row)
        margin = confidence * expected.deviation
        return Hope(
            objective,
            expected.mean - objective.direction.sign * margin,
            f"{metric} of {expected.mean:.4g} ± {margin:.3g} can be expected"
            f" {self._ground(trial, metric, rung)}",
        )

    def _end(self, trial: Trial, rung: int) -> Mapping[str, float]:
        """Return the metrics to expect of a training; none unless all that count are foreseen."""
        found = {}
        for metric in self._judged:
            forecast, row = self._forecast(metric, rung), self._row(trial, metric, rung)
            if forecast is None or row is None:
                return {}
            found[metric] = forecast.of(row).mean
        return found

    def _means(self, trials: Sequence[Trial], metric: str) -> Iterator[tuple[Trial, float]]:
        """Yield trials with the end to expect of each, by the last rung that it was measured at.

        All of a rung are foreseen at once: one by one they take longer.
        """
        at_rung = defaultdict[int, list[tuple[Trial, list[float]]]](list)
        for trial in trials:
            rung = learning_curve.rung(trial, self._wanted.rungs)
            row = None if rung is None else self._row(trial, metric, rung)
            if rung is not None and row is not None:
                at_rung[rung].append((trial, row))
        for rung, found in at_rung.items():
            if forecast := self._forecast(metric, rung):
                means = forecast.means([row for _, row in found])
                yield from zip((trial for trial, _ in found), map(float, means), strict=True)

    def _ground(self, trial: Trial, metric: str, rung: int) -> str:
        """Say what an estimate rests on."""
        if rung == UNTRAINED:
            return "of its hyperparameters"
        share = self._wanted.rungs[rung]
        now = learning_curve.reading(trial, share)
        assert now is not None
        return f"from {now.metrics[metric]:.4g} after {share:.0%} of the training"

    def _forecast(self, metric: str, rung: int) -> Forecast | None:
        learnt_from = self._begun if rung == UNTRAINED else None
        what = ("forecast", rung, metric, learnt_from)
        return self._verdicts.once(what, lambda: self._learn(metric, rung))

    def _learn(self, metric: str, rung: int) -> Forecast | None:
        """Learn from the trials that trained to their end how this metric ends."""
        if rung == UNTRAINED:
            return self._learn_untrained(metric)
        pairs = [
            (row, trial.metrics[metric])
            for trial in self._examples
            if metric in trial.metrics and (row := self._row(trial, metric, rung)) is not None
        ]
        if len(pairs) < self._wanted.min_trials:
            return None
        rows, ends = zip(*pairs, strict=True)
        return LocalForecast(rows, ends)

    def _learn_untrained(self, metric: str) -> Forecast | None:
        """Learn from hyperparameters alone.

        Trials that were stopped tell too: for each stands the end that was expected of it.
        """
        ends = [(t, t.metrics[metric]) for t in self._examples if metric in t.metrics]
        if len(ends) < max(UNTRAINED_TRIALS, self._wanted.min_trials):
            return None
        ends += [(t, t.expected[metric]) for t in self._foreseen if metric in t.expected]
        rows = [hyperparameters.row(self._spec, trial) for trial, _ in ends]
        return hyperparameters.learn(rows, [end for _, end in ends])

    def _row(self, trial: Trial, metric: str, rung: int) -> list[float] | None:
        """Return what is known of a training at a rung; None where a measurement is missing."""
        if rung == UNTRAINED:
            return hyperparameters.row(self._spec, trial)
        points = [learning_curve.reading(trial, share) for share in self._wanted.rungs[: rung + 1]]
        values = [point.metrics.get(metric, math.nan) if point else math.nan for point in points]
        if not all(map(math.isfinite, values)) or points[-1] is None:
            return None
        size, rate = hyperparameters.log_size(trial), trial.parameters.get("learning_rate")
        if rate is None:
            rate = parameters.PARAMETERS["learning_rate"].default
        pace = math.log(max(1e-12, float(rate or 0.0)))
        now, before = values[-1], values[-2] if rung else values[-1]
        halves = [points[-1].metrics.get(name, now) for name in metrics.COLLAPSE]
        return [now, now * now, now - before, min(halves), size, pace, now * size]
