"""Figures of searches: hypervolume over GPU time, by the operator's own front and hypervolume."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contest.clock import History
from contest.problems import Problem
from distillery_contract import size
from distillery_operator import pareto
from distillery_operator.trials import Trial

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Search:
    """What one search came to.

    Attributes:
        times: GPU time at which the hypervolume rose, ascending, as a share of the budget.
        volumes: the hypervolume from then on.
        finished: trainings that went to their end.
        stopped: trainings that were stopped on their way.
        refused: suggestions that were never trained.
        wrong: of both those that would have improved the front of that moment.
    """

    times: Vector
    volumes: Vector
    finished: int
    stopped: int
    refused: int
    wrong: int

    def at(self, times: Vector) -> Vector:
        """Return the hypervolume at given times."""
        places = np.searchsorted(self.times, times, side="right") - 1
        return np.where(places < 0, 0.0, self.volumes[np.maximum(places, 0)])

    @property
    def final(self) -> float:
        """The hypervolume at the end."""
        return float(self.volumes[-1])


def corner(problem: Problem) -> Vector:
    """Return the reference of all hypervolumes: the threshold, and the teacher's size."""
    thresholds = [o.threshold for o in problem.experiment.spec.objectives]
    assert thresholds[0] is not None
    return np.array([-thresholds[0], float(size.student_size(problem.sources, {}))])


def figures(problem: Problem, history: History, gpu_seconds: float) -> Search:
    """Follow a search from its first end to its last."""
    spec, reference = problem.experiment.spec, corner(problem)
    front: list[Trial] = []
    times, volumes = [0.0], [0.0]
    stopped = refused = wrong = 0
    finished = {_key(end.trial) for end in history.ended if not end.stopped}
    for end in history.ended:
        if end.stopped and _key(end.trial) in finished:
            continue  # it went on later
        better = pareto.front(spec, [*front, end.trial])
        improves = any(trial is end.trial for trial in better)
        if end.stopped:
            stopped, refused = stopped + end.trained, refused + (not end.trained)
            wrong += improves
        elif improves:
            front = better
            times.append(end.gpu_seconds / gpu_seconds)
            volumes.append(pareto.hypervolume(spec, front, reference))
    return Search(np.array(times), np.array(volumes), len(finished), stopped, refused, wrong)


def time_to_reach(searches: Sequence[Search], volume: float) -> float | None:
    """Return the GPU time at which the mean hypervolume of searches reaches a value.

    As a share of the budget; None if it never does.
    """
    times = np.unique(np.concatenate([search.times for search in searches]))
    reached = np.mean([search.at(times) for search in searches], axis=0) >= volume * (1 - 1e-12)
    return float(times[reached.argmax()]) if reached.any() else None


def _key(trial: Trial) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(trial.parameters.items()))
