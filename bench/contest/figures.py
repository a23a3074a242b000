"""Figures of searches: hypervolume over GPU time, by the operator's own front and hypervolume."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contest.clock import History
from contest.problems import Problem
from distillery_contract import size
from distillery_operator.trials import pareto
from distillery_operator.trials.trial import Trial

Vector = NDArray[np.float64]

RESAMPLES: Final = 1000
BOUNDS: Final = (0.05, 0.95)
"""Quantiles of the resampled ratios that bound their interval."""


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
    weights = np.full((1, len(searches)), 1 / len(searches))
    found = float(_times_to_reach(searches, weights, np.array([volume]))[0])
    return found if isfinite(found) else None


def time_ratio(own: Sequence[Search], other: Sequence[Search], volume: float) -> float | None:
    """Return one's GPU time to a mean hypervolume over another's; None if one never gets there."""
    own_after, other_after = (time_to_reach(many, volume) for many in (own, other))
    return own_after / other_after if own_after and other_after else None


def time_ratio_interval(own: Sequence[Search], other: Sequence[Search]) -> list[float | None]:
    """Return how much of :func:`time_ratio`, to the other's final hypervolume, is the seeds' luck.

    That are the bounds between which 90 % of its values lie, if the seeds are drawn again and again
    from those that there are (bootstrap). What has the same place in both has the same seed, and is
    drawn together. A bound is None where in so many of the draws there is no ratio.
    """
    drawn = np.random.default_rng(0).integers(len(own), size=(RESAMPLES, len(own)))
    weights = (drawn[:, :, None] == np.arange(len(own))).mean(axis=1)
    volumes = weights @ np.array([search.final for search in other])
    own_after, other_after = (_times_to_reach(m, weights, volumes) for m in (own, other))
    known = (own_after > 0) & (other_after > 0)
    ratios = np.divide(own_after, other_after, out=np.full(RESAMPLES, np.inf), where=known)
    # By a value that occurs: between a number and infinity there is nothing.
    bounds = np.quantile(ratios, BOUNDS, method="inverted_cdf")
    return [float(bound) if isfinite(bound) else None for bound in bounds]


def _times_to_reach(searches: Sequence[Search], weights: Vector, volumes: Vector) -> Vector:
    """Return when each of several means reaches its volume; infinity if it never does.

    Args:
        searches: what is averaged.
        weights: of the searches in each mean, (means, searches).
        volumes: to reach, (means,).
    """
    times = np.unique(np.concatenate([search.times for search in searches]))
    means = weights @ np.array([search.at(times) for search in searches])
    reached = means >= volumes[:, None] * (1 - 1e-12)
    return np.where(reached.any(axis=1), times[reached.argmax(axis=1)], np.inf)


def _key(trial: Trial) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(trial.parameters.items()))
