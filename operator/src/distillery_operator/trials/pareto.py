"""PURE: the constrained Pareto front, its hypervolume and its knee, by moocore."""

from collections.abc import Sequence
from typing import Final

import moocore
import numpy as np
from numpy.typing import NDArray

from distillery_operator.resource.spec import Spec
from distillery_operator.trials import feasibility
from distillery_operator.trials.trial import Trial

EXACT_OBJECTIVES: Final = 5
SAMPLES: Final = 10_000
"""Most objectives of an exact hypervolume: with six, 2,000 points take 42 s. With more objectives,
so many directions approximate the hypervolume, always the same ones."""


def front(spec: Spec, trials: Sequence[Trial]) -> list[Trial]:
    """Return the feasible trials that no other feasible trial beats, by the first objective.

    Of trials with equal objectives the first one stands.
    """
    candidates = feasibility.feasible(spec, trials)
    if not candidates:
        return []
    kept = moocore.is_nondominated(_costs(spec, candidates), keep_weakly=False)
    points = [trial for trial, keep in zip(candidates, kept, strict=True) if keep]
    return sorted(points, key=lambda trial: tuple(_costs(spec, [trial])[0]))


def hypervolume(spec: Spec, trials: Sequence[Trial], corner: NDArray[np.float64]) -> float:
    """Return the volume between front and corner, in the product of the objectives' units.

    Args:
        spec: objectives and constraints.
        trials: any trials; those that are not feasible count for nothing.
        corner: the reference to measure from, as costs: see
            :mod:`distillery_operator.trials.hypervolume`.
    """
    points = front(spec, trials)
    if not points:
        return 0.0
    costs = _costs(spec, points)
    if len(spec.objectives) > EXACT_OBJECTIVES:
        return float(moocore.hv_approx(costs, ref=corner, nsamples=SAMPLES, method="DZ2019-HW"))
    return float(moocore.hypervolume(costs, ref=corner))


def knee(spec: Spec, points: Sequence[Trial]) -> Trial | None:
    """Return the front's bend: its point of least summed cost, with axes scaled to [0, 1].

    That is the point farthest below the plane through the corners of the scaled axes. A front of
    fewer than three points bends nowhere.
    """
    if len(points) < 3:
        return None
    costs = _costs(spec, points)
    span = np.ptp(costs, axis=0)
    scaled = (costs - costs.min(axis=0)) / np.where(span > 0, span, 1.0)
    return points[int(scaled.sum(axis=1).argmin())]


def places(costs: Sequence[Sequence[float]]) -> list[int]:
    """Return how many points come before each of them, in the order of MO-ASHA.

    Layer by layer of the non-dominated sort; within a layer first its best at the first objective,
    then always the point that is farthest from those before it (an epsilon-net).

    Args:
        costs: objectives to be minimised, (points, objectives).
    """
    points = np.array(costs, dtype=np.float64)
    layers = moocore.pareto_rank(points)
    found, before = np.empty(len(points), dtype=np.int64), 0
    for number in np.unique(layers):
        layer = np.flatnonzero(layers == number)
        found[layer[_net(points[layer])]] = before + np.arange(len(layer))
        before += len(layer)
    return [int(place) for place in found]


def _net(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the order in which points become part of an epsilon-net."""
    span = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(span > 0, span, 1.0)
    order = [int(scaled[:, 0].argmin())]
    gap = np.full(len(points), np.inf)
    while len(order) < len(points):
        gap = np.minimum(gap, np.linalg.norm(scaled - scaled[order[-1]], axis=1))
        gap[order[-1]] = -np.inf
        order.append(int(gap.argmax()))
    return np.array(order)


def _costs(spec: Spec, trials: Sequence[Trial]) -> NDArray[np.float64]:
    """Return objectives to be minimised: (trials, objectives)."""
    rows = [
        [o.direction.sign * feasibility.measured(trial, o.metric) for o in spec.objectives]
        for trial in trials
    ]
    return np.array(rows, dtype=np.float64)
