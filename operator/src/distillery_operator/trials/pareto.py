"""PURE: the constrained Pareto front, its hypervolume and its knee, by moocore."""

from collections.abc import Mapping, Sequence
from typing import Final

import moocore
import numpy as np
from numpy.typing import NDArray

from distillery_contract import metrics
from distillery_operator.resource.spec import Spec
from distillery_operator.trials import feasibility
from distillery_operator.trials.trial import Trial

Costs = NDArray[np.float64]
"""Objectives to be minimised, (points, objectives)."""

EXACT_OBJECTIVES: Final = 5
SAMPLES: Final = 10_000
"""Most objectives of an exact hypervolume: with six, 2,000 points take 42 s. With more objectives,
so many directions approximate the hypervolume, always the same ones."""


def front(spec: Spec, trials: Sequence[Trial]) -> list[Trial]:
    """Return the feasible trials that no other feasible trial beats, by the first objective.

    Of trials with equal objectives the first one stands.
    """
    candidates = feasibility.feasible(spec, trials)
    return [candidates[n] for n in kept(costs(spec, [trial.metrics for trial in candidates]))]


def kept(found: Costs) -> list[int]:
    """Return the places of the points that no other one beats, by the first objective.

    Of equal points the first one stands.
    """
    if not len(found):
        return []
    places = np.flatnonzero(moocore.is_nondominated(found, keep_weakly=False)).tolist()
    return sorted(places, key=lambda place: tuple(found[place]))


def shares(
    spec: Spec, trials: Sequence[Trial], drawn: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return in which share of several draws each of n trials stands on the front, (n,).

    Args:
        spec: objectives and constraints.
        trials: with the metrics that are the same in each draw.
        drawn: the others, (draws, n) each.
    """
    if not trials:
        return np.zeros(0)
    fixed = {o.metric for o in spec.objectives} | {b.metric for b in feasibility.bounds(spec)}
    known = {
        name: np.array([[feasibility.measured(trial, name) for trial in trials]])
        for name in fixed - drawn.keys()
    }
    count = len(next(iter(drawn.values()))) if drawn else 1
    each = {n: np.broadcast_to(v, (count, len(trials))) for n, v in {**known, **drawn}.items()}
    fit = np.ones((count, len(trials)), bool)
    for bound in feasibility.bounds(spec):
        fit &= bound.sign * (bound.limit - each[bound.metric]) <= 0
    costs = np.stack([o.direction.sign * each[o.metric] for o in spec.objectives], axis=-1)
    found = np.zeros(len(trials))
    for here, cost in zip(fit, costs, strict=True):
        if here.any():
            places = np.flatnonzero(here)
            found[places[moocore.is_nondominated(cost[places], keep_weakly=False)]] += 1
    share: NDArray[np.float64] = found / count
    return share


def hypervolume(spec: Spec, trials: Sequence[Trial], corner: Costs) -> float:
    """Return the volume between front and corner, in the product of the objectives' units.

    Args:
        spec: objectives and constraints.
        trials: any trials; those that are not feasible count for nothing.
        corner: the reference to measure from, as costs: see
            :mod:`distillery_operator.trials.hypervolume`.
    """
    return volume(costs(spec, [point.metrics for point in front(spec, trials)]), corner)


def volume(points: Costs, corner: Costs) -> float:
    """Return the volume between the points of a front and a corner, (objectives,)."""
    if not len(points):
        return 0.0
    if len(corner) > EXACT_OBJECTIVES:
        return float(moocore.hv_approx(points, ref=corner, nsamples=SAMPLES, method="DZ2019-HW"))
    return float(moocore.hypervolume(points, ref=corner))


def knee(spec: Spec, points: Sequence[Trial]) -> Trial | None:
    """Return the front's bend: its point of least summed cost, with axes scaled to [0, 1].

    That is the point farthest below the plane through the corners of the scaled axes. A front of
    fewer than three points bends nowhere.
    """
    if len(points) < 3:
        return None
    found = costs(spec, [point.metrics for point in points])
    span = np.ptp(found, axis=0)
    scaled = (found - found.min(axis=0)) / np.where(span > 0, span, 1.0)
    return points[int(scaled.sum(axis=1).argmin())]


class Ranking:
    """Points in the order of MO-ASHA.

    Layer by layer of the non-dominated sort; within a layer first its best at the first objective,
    then always the point that is farthest from those before it (an epsilon-net). Only layers that
    are asked for are put in order, for that takes the square of their size.
    """

    def __init__(self, costs: Sequence[Sequence[float]]) -> None:
        """Rank points by objectives to be minimised, (points, objectives)."""
        self._points = np.array(costs, dtype=np.float64).reshape(len(costs), -1)
        self._layers = moocore.pareto_rank(self._points) if len(costs) else np.array([], np.int64)

    def place(self, point: int) -> int:
        """Return how many points come before one of them."""
        before = int((self._layers < self._layers[point]).sum())
        return before + self._layer(self._layers[point]).index(point)

    def first(self, count: int) -> set[int]:
        """Return so many points that come before all others."""
        found: set[int] = set()
        for number in np.unique(self._layers):
            layer = np.flatnonzero(self._layers == number).tolist()
            left = count - len(found)
            if left < len(layer):
                return found | {*self._layer(number)[:left]}
            found |= {*layer}
        return found

    def _layer(self, number: int) -> list[int]:
        """Return the points of a layer in their order."""
        layer = np.flatnonzero(self._layers == number)
        return [int(point) for point in layer[_net(self._points[layer])]]


def sample(spec: Spec, trials: Sequence[Trial], count: int) -> list[Trial]:
    """Return so many trials at most, in their order, that stand for all.

    Half of them are the acceptable ones that lie nearest to the front, layer by layer; the others
    are spread evenly over the rest.
    """
    if len(trials) <= count:
        return [*trials]
    # By the objects: trials of a warm start may have the same numbers as others.
    fit = {id(trial) for trial in feasibility.feasible(spec, trials)}
    good = np.array([id(trial) in fit for trial in trials], np.bool_)
    chosen = sampled(costs(spec, [trial.metrics for trial in trials]), good, count)
    return [trials[place] for place in chosen]


def sampled(found: Costs, good: NDArray[np.bool_], count: int) -> list[int]:
    """Return the places of so many points, in order; ``good``: which of them are acceptable."""
    if len(found) <= count:
        return [*range(len(found))]
    (fit,) = np.nonzero(good)
    chosen = {int(fit[place]) for place in nearest(found[fit], count // 2)}
    rest = [place for place in range(len(found)) if place not in chosen]
    room = count - len(chosen)
    chosen |= {rest[(place + 1) * len(rest) // room - 1] for place in range(room)}
    return sorted(chosen)


def nearest(found: Costs, count: int) -> list[int]:
    """Return the places of so many points, layer by layer of the non-dominated sort, in order.

    Of a layer that is not taken whole, those that stand last.
    """
    if not len(found):
        return []
    layers = moocore.pareto_rank(found)
    order = np.lexsort((-np.arange(len(found)), layers))
    return sorted(int(place) for place in order[:count])


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


def costs(spec: Spec, ends: Sequence[Mapping[str, float]]) -> Costs:
    """Return objectives to be minimised, (ends, objectives); what was not measured is the worst."""
    wanted = [
        (o.metric, o.direction.sign, metrics.EVALUATIONS[o.metric].worst) for o in spec.objectives
    ]
    rows = [[sign * end.get(name, worst) for name, sign, worst in wanted] for end in ends]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(wanted))
