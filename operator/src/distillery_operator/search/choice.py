"""PURE: of the points that may be trained next, the one that promises most. ``suggester`` asks.

Two models say what a point promises: of the chance that its student is acceptable at all, from all
trainings, and of what it comes to, from those that learnt anything. TPE alone suggests while few
have learnt, and where not exactly one objective is left for a training to tell.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from distillery_operator.resource import space
from distillery_operator.resource.spec import Objective, Spec
from distillery_operator.search import candidates, expectation, hypervolume_gain
from distillery_operator.search.candidates import Point
from distillery_operator.search.crossover import Size
from distillery_operator.search.gaussian_process import Array, Draws, Process
from distillery_operator.trials import feasibility, hypervolume, pareto
from distillery_operator.trials.trial import State, Trial, continued

LEAST: Final = 6
"""Completed trainings that learnt anything, before which TPE suggests alone."""

MOST: Final = 300
"""Trainings that a model learns from at most: its time grows with the cube."""

DRAWN: Final = 0.1
"""Share of the suggestions that are what TPE drew, whatever the models say."""

LARGEST: Final = 6
"""Leaders besides the front: those of the best values, whatever their size."""

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


def chosen(spec: Spec, trials: Sequence[Trial], drawn: Point, size: Size) -> Point:
    """Return the searched parameters of the next trial: what was drawn, or what promises more.

    Args:
        spec: of the experiment.
        trials: its own, in their order; the next one's number decides by chance.
        drawn: the searched parameters that TPE drew.
        size: of the student that hyperparameters describe.
    """
    dice = random.Random(f"{spec.sampler.seed}/{len(trials)}")
    if dice.random() < DRAWN or len(_trained(spec)) != 1:
        return drawn
    own = [trial for trial in trials if trial.parameter_count and expectation.inside(spec, trial)]
    ended = list(_examples(spec, own))
    learnt = _learnt(spec, ended)
    leaders = _leaders(spec, learnt)
    if sum(not example.guessed for example in learnt) < LEAST or not leaders:
        return drawn
    pool = list(_students(spec, candidates.made(spec, drawn, leaders, dice), size))
    if not pool:
        return drawn
    new = [trial for _, trial in pool]
    running = [trial for trial in own if trial.state is State.RUNNING]
    luck = np.random.default_rng(dice.getrandbits(64))
    gain = _gain(spec, learnt, running, new, _corner(spec, [*own, *new], size), luck)
    promise = _chance(spec, ended, new) * gain
    for place in np.argsort(-promise, kind="stable"):
        point, trial = pool[int(place)]
        if not any(_repeats(spec, trial, other) for other in trials):
            return point
    return drawn


def _examples(spec: Spec, trials: Sequence[Trial]) -> Iterator[Example]:
    """Yield the trainings that have ended, each once."""
    elsewhere = {*feasibility.KNOWN, *(o.metric for o in _trained(spec))}
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


def _learnt(spec: Spec, ended: Sequence[Example]) -> list[Example]:
    """Return the trainings that did not collapse; of very many those nearest to the front."""
    (objective,) = _trained(spec)
    found = [example for example in ended if example.learnt and objective.metric in example.end]
    if len(found) <= MOST:
        return found
    ends = pareto.costs(spec, [example.end for example in found])
    return [found[place] for place in pareto.nearest(ends, MOST)]


def _leaders(spec: Spec, learnt: Sequence[Example]) -> list[Point]:
    """Return the points of the front, and those of the best values that hold to the limits."""
    ((metric, sign),) = [(o.metric, o.direction.sign) for o in _trained(spec)]
    done = [example.trial for example in learnt if example.holds and not example.guessed]
    best = sorted(done, key=lambda trial: sign * trial.metrics[metric])
    found = [*pareto.front(spec, done), *best[:LARGEST]]
    return [space.reduced(spec, trial.parameters) for trial in found]


def _corner(spec: Spec, students: Sequence[Trial], size: Size) -> float:
    """Return the size from which on a student adds nothing: more than the largest has."""
    largest = max(student.parameter_count or 0 for student in students)
    return (1 + hypervolume.BEYOND) * max(largest, size(spec.training) or 0)


def _trained(spec: Spec) -> list[Objective]:
    """Return the objectives that only a training tells."""
    return [o for o in spec.objectives if o.metric not in feasibility.KNOWN]


def _students(spec: Spec, points: Sequence[Point], size: Size) -> Iterator[tuple[Point, Trial]]:
    """Yield the points that describe a student of an acceptable size, as trials to come."""
    limits = [bound for bound in feasibility.bounds(spec) if bound.metric in feasibility.KNOWN]
    for point in points:
        parameters = space.described(spec, point)
        count = size(parameters)
        if count and not any(bound.violation(count) > 0 for bound in limits):
            yield point, Trial(0, parameters, parameter_count=count)


def _repeats(spec: Spec, new: Trial, trial: Trial) -> bool:
    """Tell whether a trial is at the same point."""
    if new.parameter_count != trial.parameter_count:  # which takes a thousandth of the time
        return False
    return space.reduced(spec, new.parameters) == space.reduced(spec, trial.parameters)


def _chance(spec: Spec, ended: Sequence[Example], new: Sequence[Trial]) -> Array:
    """Return the chance of each of n students to learn, and to hold to the limits, (n,)."""
    if all(example.holds for example in ended):
        return np.ones(len(new))
    some = np.unique(np.linspace(0, len(ended) - 1, min(len(ended), MOST)).astype(int))
    known = [ended[place] for place in some]
    places, sizes = expectation.placed(spec, [example.trial for example in known])
    holds = np.array([example.holds for example in known], np.float64)
    model = Process(places, sizes, holds, np.zeros(len(some), np.bool_))
    places, sizes = expectation.placed(spec, new)
    spread = np.sqrt(model.deviations(places) ** 2 + DOUBT)
    return hypervolume_gain.below((model.means(places, sizes) - 0.5) / spread)


def _gain(
    spec: Spec,
    learnt: Sequence[Example],
    running: Sequence[Trial],
    new: Sequence[Trial],
    corner: float,
    luck: np.random.Generator,
) -> Array:
    """Return by how much each of n students is expected to enlarge the front, if it learns, (n,).

    Args:
        spec: of the experiment.
        learnt: what is learnt from.
        running: trials whose ends are not known yet.
        new: the students.
        corner: the size from which on a student adds nothing.
        luck: of the draws.
    """
    (objective,) = _trained(spec)
    sign = -objective.direction.sign
    ends = sign * np.array([example.end[objective.metric] for example in learnt])
    places, sizes = expectation.placed(spec, [example.trial for example in learnt])
    model = Process(
        places, sizes, ends, np.array([example.guessed for example in learnt], np.bool_)
    )
    known = np.flatnonzero([example.holds for example in learnt])
    steps = _steps(sizes[known], model.means(places[known], sizes[known]))
    students = [*(learnt[known[step]].trial for step in steps), *running]
    places, sizes = expectation.placed(spec, students)
    draws = Draws(model, places, sizes, luck.standard_normal((STAIRCASES, len(students))))
    threshold = ends.min() if objective.threshold is None else sign * objective.threshold
    places, wanted = expectation.placed(spec, new)
    means, deviations = draws.given(places, wanted)
    if len(spec.objectives) == 1:  # size is no objective, so one counts as much as another
        sizes, wanted, corner = np.zeros_like(sizes), np.zeros_like(wanted), 1.0
    stairs = hypervolume_gain.Staircase(sizes, draws.values, threshold)
    return stairs.gain(wanted, means, deviations, corner)


def _steps(sizes: Array, means: Array) -> list[int]:
    """Return the places of students that may be the best of their sizes."""
    count, found = Counter[float](), list[int]()
    for place in np.argsort(-means, kind="stable"):
        count[sizes[place]] += 1
        if count[sizes[place]] <= OF_ONE_SIZE:
            found.append(int(place))
    return found[:STUDENTS]
