"""PURE: of the points that may be trained next, the one that promises most. ``suggester`` asks.

TPE alone suggests while few have learnt, and where not exactly one objective is left for a training
to tell.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.search import candidates, expectation, promise
from distillery_operator.search.candidates import Point
from distillery_operator.search.crossover import Size
from distillery_operator.search.promise import Example, Promise
from distillery_operator.trials import feasibility, hypervolume, pareto
from distillery_operator.trials.trial import State, Trial

LEAST: Final = 6
"""Completed trainings that learnt anything, before which TPE suggests alone."""

LARGEST: Final = 6
"""Leaders besides the front: those of the best values, whatever their size."""

ROUNDS: Final = 2
"""How often points near the most promising ones are added."""
MOVED: Final = 8
"""The most promising ones that are moved then."""


def chosen(spec: Spec, trials: Sequence[Trial], drawn: Point, size: Size) -> Point:
    """Return the searched parameters of the next trial: what was drawn, or what promises more.

    Args:
        spec: of the experiment.
        trials: its own, in their order; the next one's number decides by chance.
        drawn: the searched parameters that TPE drew.
        size: of the student that hyperparameters describe.
    """
    if len(promise.trained_objectives(spec)) != 1:
        return drawn
    dice = random.Random(f"{spec.sampler.seed}/{len(trials)}")
    own = [trial for trial in trials if trial.parameter_count and expectation.inside(spec, trial)]
    ended = list(promise.examples(spec, own))
    learnt = promise.learnt(spec, ended)
    leaders = _leaders(spec, learnt)
    if sum(not example.guessed for example in learnt) < LEAST or not leaders:
        return drawn
    pool = _students(spec, candidates.made(spec, drawn, leaders, dice), size)
    if not pool:
        return drawn
    running = [trial for trial in own if trial.state is State.RUNNING]
    corner = _corner(spec, [*own, *(trial for _, trial in pool)], size)
    luck = np.random.default_rng(dice.getrandbits(64))
    promised = Promise(spec, ended, learnt, running, corner, luck)
    gains = promised.of([trial for _, trial in pool])
    for closer in range(1, ROUNDS + 1):
        best = [pool[int(place)][0] for place in np.argsort(-gains, kind="stable")[:MOVED]]
        near = _students(spec, candidates.near(spec, best, closer, dice), size)
        gains = np.r_[gains, promised.of([trial for _, trial in near])]
        pool += near
    for place in np.argsort(-gains, kind="stable"):
        point, trial = pool[int(place)]
        if not any(_repeats(spec, trial, other) for other in trials):
            return point
    return drawn


def _leaders(spec: Spec, learnt: Sequence[Example]) -> list[Point]:
    """Return the points of the front, and those of the best values that hold to the limits."""
    ((metric, sign),) = [(o.metric, o.direction.sign) for o in promise.trained_objectives(spec)]
    done = [example.trial for example in learnt if example.holds and not example.guessed]
    best = sorted(done, key=lambda trial: sign * trial.metrics[metric])
    found = [*pareto.front(spec, done), *best[:LARGEST]]
    return [space.reduced(spec, trial.parameters) for trial in found]


def _corner(spec: Spec, students: Sequence[Trial], size: Size) -> float:
    """Return the size from which on a student adds nothing: more than the largest has."""
    largest = max(student.parameter_count or 0 for student in students)
    return (1 + hypervolume.BEYOND) * max(largest, size(spec.training) or 0)


def _students(spec: Spec, points: Sequence[Point], size: Size) -> list[tuple[Point, Trial]]:
    """Return the points that describe a student of an acceptable size, as trials to come."""
    limits = [bound for bound in feasibility.bounds(spec) if bound.metric in feasibility.KNOWN]

    def acceptable() -> Iterator[tuple[Point, Trial]]:
        for point in points:
            parameters = space.described(spec, point)
            count = size(parameters)
            if count and not any(bound.violation(count) > 0 for bound in limits):
                yield point, Trial(0, parameters, parameter_count=count)

    return list(acceptable())


def _repeats(spec: Spec, new: Trial, trial: Trial) -> bool:
    """Tell whether a trial is at the same point."""
    if new.parameter_count != trial.parameter_count:  # which takes a thousandth of the time
        return False
    return space.reduced(spec, new.parameters) == space.reduced(spec, trial.parameters)
