"""PURE: which trainings end early, because they will not improve the front. ``decide`` asks.

A rung is a share of a training's steps after which every trial is measured. :class:`Rule` looks at
one set of trials, their curves as stored, and says of any of them whether it should stop, by one
word and one sentence. Nothing else is remembered: whoever asks again gets the same answer.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from distillery_contract import metrics, parameters, rungs
from distillery_contract.metrics import Direction
from distillery_operator import judge, pareto, space
from distillery_operator.forecast import Forecast, LocalForecast
from distillery_operator.resources import Objective, Spec, StoppingType
from distillery_operator.trials import Point, State, Trial

CANNOT_IMPROVE: Final = "CannotImprove"
OUTRANKED: Final = "Outranked"
PAUSED: Final = "Paused"

RESUMABLE: Final = (CANNOT_IMPROVE, OUTRANKED, PAUSED)
"""Reasons of trials that may go on later, when more is known."""

UNTRAINED: Final = -1
"""The rung of a suggestion of which only the hyperparameters are known."""
UNTRAINED_CONFIDENCE: Final = 4.0
"""Standard deviations that a suggestion is given the benefit of, before it is trained. With three a
sampler that has settled somewhere can suggest without end what is never started."""
UNTRAINED_TRIALS: Final = 10
"""Completed trials from which is learnt what hyperparameters alone can lead to."""

FEASIBLE_TRIALS: Final = 4
"""Completed trials that must be feasible before anything stops. The first to end are small
and end alike, so they say little of others: of the stops that rested on fewer, one in six was
wrong (the recorded trainings of bench/search.py)."""

COLLAPSE_SHARE: Final = 0.3
COLLAPSE_POINTS: Final = 2
"""From which share of a training, and in how many evaluations in a row, a model must have collapsed
to be given up. Students of a real teacher begin so and leave it within an eighth to a quarter of
their steps. Single evaluations fall back into it, and are forgiven to who was better before. Of the
203 trainings in bench/data this stops 140; 21 of those left the collapse later, and one of them
reached the threshold of 55, with 57.6."""

WITNESSES: Final = 10
"""Trials that had collapsed at the first rung and trained on long enough: if none of so many has
left the collapse, the next is given up at that rung. If one in four did, 94 % of such tens would
have shown it."""

LATE: Final = 0.1
"""Share of a training by which an evaluation may come after its rung."""

KNOWN: Final = ("parameter_count",)
"""Objectives that a suggestion decides before it is trained."""


@dataclass(frozen=True)
class Stop:
    """Why a training should end: one word, one sentence, and the end that was expected of it."""

    reason: str
    message: str
    expected: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Hope:
    """The best end of a training that can be expected, in one objective."""

    objective: Objective
    value: float
    sentence: str = ""

    def misses(self, value: float) -> bool:
        """Tell whether a value is out of reach."""
        return _sign(self.objective) * (value - self.value) > 0


def resumable(trials: Sequence[Trial]) -> set[int]:
    """Return the stopped trials whose checkpoint may still be needed."""
    goes_on = {t.continues: t for t in trials if t.continues is not None}
    return {
        t.number
        for t in trials
        if t.state is State.STOPPED and t.reason in RESUMABLE and t.seconds and not t.collected
        if t.number not in goes_on or goes_on[t.number].state is State.RUNNING
    }


def reading(trial: Trial, rung: float) -> Point | None:
    """Return the first evaluation of a trial at a rung or soon after; None if there is none.

    A scrape may miss the very one; a much later one is not comparable.
    """
    for point in trial.curve:
        if point.steps and point.step >= rungs.step(rung, point.steps):
            late = point.step > rungs.step(rung + LATE, point.steps)
            return None if late else point
    return None


class Rule:
    """Early stopping by one spec, with what is known of all trials at one moment."""

    def __init__(self, spec: Spec, trials: Sequence[Trial]) -> None:
        """Look at one moment.

        Args:
            spec: of the experiment.
            trials: all of its own, in their order.
        """
        self._spec, self._trials = spec, trials
        self._wanted = spec.early_stopping
        measured = [trial for trial in trials if trial.state is State.COMPLETED]
        self._rivals = pareto.front(spec, measured)  # who is beaten is beaten by one of them
        self._examples = [trial for trial in measured if not judge.collapsed(trial.metrics)]
        self._halves = [b for b in judge.bounds(spec) if b.metric in metrics.COLLAPSE]
        limited = {bound.metric for bound in judge.bounds(spec)}
        self._judged = sorted({*limited, *(o.metric for o in spec.objectives)} - {*KNOWN})
        self._trained = [o for o in spec.objectives if o.metric not in KNOWN]
        self._forecasts: dict[tuple[int, str], Forecast | None] = {}

    def start(self, trial: Trial) -> Stop | None:
        """Return why a suggestion should not be trained at all; None if it may.

        Its size is known, and what trainings of such hyperparameters come to can be estimated.
        """
        if trial.baseline or self._wanted.type is not StoppingType.FRONT_AWARE:
            return None
        return None if trial.curve else self._hopeless(trial, UNTRAINED)

    def stop(self, trial: Trial) -> Stop | None:
        """Return why a trial that trains should end now; None if it goes on.

        Baselines are there to be compared, so they train to their end. What continues a stopped
        trial is judged anew at the next rung.
        """
        if trial.baseline:
            return None
        if found := self._collapsed(trial):
            return found
        rung = self.rung(trial)
        if rung is None:
            return None
        if trial.continues is not None and rung == self.rung(self._trials[trial.continues]):
            return None
        if self._wanted.type is StoppingType.FRONT_AWARE:
            found = self._hopeless(trial, rung)
            return found and replace(found, expected=self._end(trial, rung))
        if self._wanted.type is StoppingType.ASHA:
            return self._outranked(trial, rung)
        return None

    def promotions(self) -> list[int]:
        """Return the stopped trials that should go on, the one that got farthest first."""
        begun = {trial.continues for trial in self._trials}
        waiting = [self._trials[n] for n in resumable(self._trials) - begun]
        chosen = self._promising(waiting)
        return [t.number for t in sorted(chosen, key=lambda t: (-(self.rung(t) or 0), t.number))]

    def _promising(self, waiting: Sequence[Trial]) -> list[Trial]:
        """Return the stopped trials that would be let go on by what is known now.

        The expected end counts, not the best that can be hoped for: a trial does not stop and go on
        with every change of the estimate.
        """
        if self._wanted.type is StoppingType.FRONT_AWARE:
            hopes = defaultdict[int, list[Hope]](list)
            for objective in self._trained:
                for trial, mean in self._means(waiting, objective.metric):
                    hopes[trial.number].append(Hope(objective, mean))
            known = [t for t in waiting if len(hopes[t.number]) == len(self._trained) > 0]
            return [trial for trial in known if self._beaten(trial, hopes[trial.number]) is None]
        if self._wanted.type is StoppingType.ASHA:
            return [trial for trial in waiting if self._leads(trial)]
        return []

    def _leads(self, trial: Trial) -> bool:
        """Tell whether a trial is among the best at its rung by now (MO-ASHA)."""
        rung = self.rung(trial)
        if rung is None:
            return False
        place, count = self._place(trial, rung)
        return place * self._wanted.reduction_factor < count

    def rung(self, trial: Trial) -> int | None:
        """Return which rung a trial was measured at last, counted from 0; None before the first."""
        places = range(len(self._wanted.rungs))
        reached = [n for n in places if reading(trial, self._wanted.rungs[n])]
        return max(reached, default=None)

    def _collapsed(self, trial: Trial) -> Stop | None:
        """Stop a model that answers nothing, or everything, when it has had time to learn.

        How long that is, earlier trials may show. One that would be acceptable even so goes on.
        """
        guarded = self._spec.data.unanswerable and self._wanted.collapse
        if not guarded or not trial.curve:
            return None
        last = trial.curve[-1]
        if not any(
            limit.violation(last.metrics.get(limit.metric, 0.0)) > 0 for limit in self._halves
        ):
            return None
        if not judge.collapsed(last.metrics):
            return None
        if not _lasting(trial) and (self.rung(trial) is None or not self._none_leaves):
            return None
        pair = ", ".join(f"{name} {last.metrics[name]:.4g}" for name in metrics.COLLAPSE)
        return Stop(judge.COLLAPSED, f"the model collapsed: {pair} at step {last.step}")

    @cached_property
    def _none_leaves(self) -> bool:
        """Whether many had collapsed at the first rung, and all of them stayed so."""
        begun = [
            trial
            for trial in self._trials
            if (first := reading(trial, self._wanted.rungs[0])) and judge.collapsed(first.metrics)
            if _after(trial, COLLAPSE_SHARE)
        ]
        return len(begun) >= WITNESSES and all(
            judge.collapsed(trial.curve[-1].metrics) for trial in begun
        )

    @cached_property
    def _feasible(self) -> int:
        """How many of the examples hold to all limits."""
        return len(judge.feasible(self._spec, self._examples))

    def _hopeless(self, trial: Trial, rung: int) -> Stop | None:
        """Stop what would, at its best, miss a threshold or be beaten in everything."""
        if self._feasible < FEASIBLE_TRIALS:
            return None
        confidence = UNTRAINED_CONFIDENCE if rung == UNTRAINED else self._wanted.confidence
        return self._beaten(trial, self._hopes(trial, rung, confidence))

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
        for rival in self._rivals:
            beaten = all(h.misses(judge.measured(rival, h.objective.metric)) for h in known)
            if beaten and self._as_good_unseen(rival, trial):
                reached = judge.measured(rival, known[0].objective.metric)
                return Stop(
                    CANNOT_IMPROVE,
                    f"{known[0].sentence}, but trial {rival.number}, which is not larger,"
                    f" has {reached:.6g}",
                )
        return None

    def _hopes(self, trial: Trial, rung: int, confidence: float) -> list[Hope | None]:
        """Estimate the best end in each objective that only the training decides."""
        return [self._hope(objective, trial, rung, confidence) for objective in self._trained]

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
            expected.mean + _sign(objective) * margin,
            f"{metric} of {expected.mean:.4g} ± {margin:.3g} can be expected"
            f" {self._ground(trial, metric, rung)}",
        )

    def _end(self, trial: Trial, rung: int) -> dict[str, float]:
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
            rung = self.rung(trial)
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
        now = reading(trial, share)
        assert now is not None
        return f"from {now.metrics[metric]:.4g} after {share:.0%} of the training"

    def _forecast(self, metric: str, rung: int) -> Forecast | None:
        if (rung, metric) not in self._forecasts:
            self._forecasts[rung, metric] = self._learn(metric, rung)
        return self._forecasts[rung, metric]

    def _learn(self, metric: str, rung: int) -> Forecast | None:
        """Learn from the trials that trained to their end how this metric ends.

        Without those that collapsed: what has not left the collapse yet is compared with those that
        did. Of hyperparameters alone trials that were stopped tell too: for each stands the end
        that was expected of it.
        """
        pairs = [
            (row, trial.metrics[metric])
            for trial in self._examples
            if metric in trial.metrics and (row := self._row(trial, metric, rung)) is not None
        ]
        least = UNTRAINED_TRIALS if rung == UNTRAINED else 0
        if len(pairs) < max(least, self._wanted.min_trials):
            return None
        if rung == UNTRAINED:
            stopped = (trial for trial in self._trials if metric in trial.expected)
            pairs += [(_hyperparameters(self._spec, t), t.expected[metric]) for t in stopped]
        rows, ends = zip(*pairs, strict=True)
        return Forecast(rows, ends, curved=True) if rung == UNTRAINED else LocalForecast(rows, ends)

    def _row(self, trial: Trial, metric: str, rung: int) -> list[float] | None:
        """Return what is known of a training at a rung; None where a measurement is missing."""
        if rung == UNTRAINED:
            return _hyperparameters(self._spec, trial)
        points = [reading(trial, share) for share in self._wanted.rungs[: rung + 1]]
        values = [point.metrics.get(metric, math.nan) if point else math.nan for point in points]
        if not all(map(math.isfinite, values)) or points[-1] is None:
            return None
        size, rate = _log_size(trial), trial.parameters.get("learning_rate")
        if rate is None:
            rate = parameters.PARAMETERS["learning_rate"].default
        pace = math.log(max(1e-12, float(rate or 0.0)))
        now, before = values[-1], values[-2] if rung else values[-1]
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
        """Stop what is not among the best of those that were at the rung no later (MO-ASHA).

        With ``pause`` everything stops, and the best are promoted.
        """
        share, factor = self._wanted.rungs[rung], self._wanted.reduction_factor
        if self._wanted.pause:
            said = f"after {share:.0%} of the training it waits to be one of the best"
            return Stop(PAUSED, f"{said}, of which one in {factor} goes on")
        own = reading(trial, share)
        assert own is not None
        place, count = self._place(trial, rung, own.at)
        if place * factor <= count:
            return None
        return Stop(
            OUTRANKED,
            f"of {count} trials after {share:.0%} of the training it ranks {place + 1}, and one in"
            f" {factor} goes on",
        )

    def _place(self, trial: Trial, rung: int, until: float = math.inf) -> tuple[int, int]:
        """Return how many trials were better at a rung, and how many were there by some time."""
        share, points = self._wanted.rungs[rung], dict[int, tuple[Trial, Point]]()
        for other in (trial, *self._trials):
            point = reading(other, share)
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
            -_sign(o) * seen.get(o.metric, metrics.EVALUATIONS[o.metric].worst)
            for o in self._spec.objectives
        ]


def _hyperparameters(spec: Spec, trial: Trial) -> list[float]:
    """Return what is known of a suggestion: its place in the search space, and its size."""
    return [*space.coordinates(spec, trial.parameters), _log_size(trial)]


def _log_size(trial: Trial) -> float:
    """Return the logarithm of the number of weights."""
    return math.log(trial.parameter_count or 1)


def _after(trial: Trial, share: float) -> bool:
    """Tell whether a trial's last evaluation is at a share of its training or later."""
    last = trial.curve[-1]
    return last.steps is not None and last.step >= rungs.step(share, last.steps)


def _lasting(trial: Trial) -> bool:
    """Tell whether a collapse has lasted for as long as students take to leave it."""
    if not _after(trial, COLLAPSE_SHARE):
        return False
    points = trial.curve[-COLLAPSE_POINTS:]
    if len(points) == COLLAPSE_POINTS and all(judge.collapsed(p.metrics) for p in points):
        return True
    sums = [sum(p.metrics.get(name, 0.0) for name in metrics.COLLAPSE) for p in trial.curve]
    return max(sums) <= sums[-1]


def _sign(objective: Objective) -> int:
    return 1 if objective.direction is Direction.MAXIMIZE else -1
