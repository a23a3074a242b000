"""PURE: what students promise that may be trained next. ``choice`` asks.

Two models say it: of the chance that a student is acceptable at all, from all trainings, and of
what it comes to, from those that learnt anything.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from distillery_operator.resource.spec import Objective, Spec
from distillery_operator.search import expectation, hypervolume_gain
from distillery_operator.search.gaussian_process import Array, Draws, Process
from distillery_operator.trials import feasibility, pareto
from distillery_operator.trials.trial import State, Trial, continued

MOST: Final = 300
"""Trainings that a model learns from at most: its time grows with the cube."""

STUDENTS: Final = 40
"""Trained students that the staircases are made of, at most."""
OF_ONE_SIZE: Final = 2
"""How many of them have the same size at most; a third one is hardly its best."""

STAIRCASES: Final = 16

DOUBT: Final = 0.02
"""Variance of a chance, beside what its model does not know."""


@dataclass(frozen=True)
class Example:
    """A training that has ended.

    Attributes:
        trial: the training.
        end: the metrics that it ended with; of a stopped one, those expected of it.
        learnt: whether the student learnt anything.
        holds: whether it did, and holds to the limits. The threshold of the objective is none of
            these: what a student comes to decides that.
    """

    trial: Trial
    end: Mapping[str, float]
    learnt: bool
    holds: bool

    @property
    def guessed(self) -> bool:
        """Whether it was stopped."""
        return self.trial.state is State.STOPPED


class Promise:
    """By how much students are expected to enlarge the front."""

    def __init__(
        self,
        spec: Spec,
        ended: Sequence[Example],
        known: Sequence[Example],
        running: Sequence[Trial],
        corner: float,
        luck: np.random.Generator,
    ) -> None:
        """Learn from trainings.

        Args:
            spec: of the experiment.
            ended: the trainings that have ended.
            known: those of them that a model of what students come to learns from, see ``learnt``.
            running: trials whose ends are not known yet.
            corner: the size from which on a student adds nothing.
            luck: of the draws.
        """
        self._spec, self._corner = spec, corner
        self._acceptable = _acceptable(spec, ended)
        (objective,) = trained_objectives(spec)
        sign = -objective.direction.sign
        ends = sign * np.array([example.end[objective.metric] for example in known])
        if objective.threshold is None:
            least = float(ends.min())
        else:
            least = sign * objective.threshold
            ends = softened(ends, least)
        places, sizes = expectation.placed(spec, [example.trial for example in known])
        guessed = np.array([example.guessed for example in known], np.bool_)
        model = Process(places, sizes, ends, guessed)
        held = np.flatnonzero([example.holds for example in known])
        steps = _steps(sizes[held], model.means(places[held], sizes[held]))
        students = [*(known[held[step]].trial for step in steps), *running]
        places, sizes = expectation.placed(spec, students)
        normals = luck.standard_normal((STAIRCASES, len(students)))
        self._draws = Draws(model, places, sizes, normals)
        if len(spec.objectives) == 1:  # size is no objective, so one counts as much as another
            sizes, self._corner = np.zeros_like(sizes), 1.0
        self._stairs = hypervolume_gain.Staircase(sizes, self._draws.values, least)

    def of(self, students: Sequence[Trial]) -> Array:
        """Return what each of n students promises, (n,): hypervolume, and 0 where it adds none."""
        places, sizes = expectation.placed(self._spec, students)
        return self._chance(places, sizes) * self._gain(places, sizes)

    def _chance(self, places: Array, sizes: Array) -> Array:
        """Return the chance of each to learn, and to hold to the limits."""
        if self._acceptable is None:
            return np.ones(len(sizes))
        spread = np.sqrt(self._acceptable.deviations(places) ** 2 + DOUBT)
        return hypervolume_gain.below((self._acceptable.means(places, sizes) - 0.5) / spread)

    def _gain(self, places: Array, sizes: Array) -> Array:
        """Return by how much each is expected to enlarge the front, if it is acceptable."""
        means, deviations = self._draws.given(places, sizes)
        if len(self._spec.objectives) == 1:
            sizes = np.zeros_like(sizes)
        return self._stairs.gain(sizes, means, deviations, self._corner)


def trained_objectives(spec: Spec) -> list[Objective]:
    """Return the objectives that only a training tells."""
    return [o for o in spec.objectives if o.metric not in feasibility.KNOWN]


def examples(spec: Spec, trials: Sequence[Trial]) -> Iterator[Example]:
    """Yield the trainings that have ended, each once."""
    elsewhere = {*feasibility.KNOWN, *(o.metric for o in trained_objectives(spec))}
    limits = [bound for bound in feasibility.bounds(spec) if bound.metric not in elsewhere]

    def example(trial: Trial, end: Mapping[str, float]) -> Example:
        learnt = bool(end) and not feasibility.collapsed(end)
        holds = learnt and all(b.metric in end and b.violation(end[b.metric]) <= 0 for b in limits)
        return Example(trial, end, learnt, holds)

    begun = continued(trials)
    for trial in trials:
        if trial.reason == feasibility.DUPLICATE or trial.number in begun:
            continue
        if trial.state is State.COMPLETED or (trial.state is State.STOPPED and trial.curve):
            end = {**trial.metrics, **trial.expected} if trial.expected else trial.metrics
            yield example(trial, end)
        elif trial.state is State.INFEASIBLE and trial.seconds:
            yield example(trial, {})


def learnt(spec: Spec, ended: Sequence[Example]) -> list[Example]:
    """Return the trainings that did not collapse; of very many those nearest to the front."""
    (objective,) = trained_objectives(spec)
    found = [example for example in ended if example.learnt and objective.metric in example.end]
    if len(found) <= MOST:
        return found
    ends = pareto.costs(spec, [example.end for example in found])
    return [found[place] for place in pareto.nearest(ends, MOST)]


def softened(ends: Array, threshold: float) -> Array:
    """Return ends, greater ones being better, with those far below a threshold drawn nearer.

    A few very bad ends would make all good ones look alike. So distances below the threshold, or
    below the median where that is lower, count by their logarithm, in units of those above.
    """
    pivot = min(threshold, float(np.median(ends)))
    below = np.maximum(pivot - ends, 0.0)
    above = ends[ends >= pivot] - pivot
    scale = math.sqrt(float(above @ above) / len(above)) or 1.0
    return np.where(below > 0.0, pivot - scale * np.log1p(below / scale), ends)


def _acceptable(spec: Spec, ended: Sequence[Example]) -> Process | None:
    """Return the model of whether a student learns, and holds to the limits; None if all do."""
    if all(example.holds for example in ended):
        return None
    some = np.unique(np.linspace(0, len(ended) - 1, min(len(ended), MOST)).astype(int))
    known = [ended[place] for place in some]
    places, sizes = expectation.placed(spec, [example.trial for example in known])
    holds = np.array([example.holds for example in known], np.float64)
    return Process(places, sizes, holds, np.zeros(len(some), np.bool_))


def _steps(sizes: Array, means: Array) -> list[int]:
    """Return the places of students that may be the best of their sizes."""
    count, found = Counter[float](), list[int]()
    for place in np.argsort(-means, kind="stable"):
        count[sizes[place]] += 1
        if count[sizes[place]] <= OF_ONE_SIZE:
            found.append(int(place))
    return found[:STUDENTS]
