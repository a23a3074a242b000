"""PURE: how much of what comes of a trial each parameter decides. The report shows it.

Total Sobol indices (Homma & Saltelli 1996) over the whole search space, scaled to a sum of 1. What
a suggestion decides is known by formula, so its indices are exact. The rest is known by a model of
the trials alone, so it comes with its doubt, and not at all while the model tells little.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_contract.size import Architecture
from distillery_operator.resource import space
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.spec import Spec
from distillery_operator.search import expectation
from distillery_operator.stopping import hyperparameters
from distillery_operator.stopping.forecast import Array, Forecast, root_mean_square
from distillery_operator.trials import feasibility
from distillery_operator.trials.trial import State, Trial, continued

LEAST: Final = 30
"""Completed trials that are needed: of 15, error and shares are both chance."""

DOUBTFUL: Final = 0.8
"""Error on left-out trials, as a share of the mean's, from which on trials do not tell yet."""

LEVELS: Final = 32
"""Values of a parameter that the size is computed for; of more values, so many spread evenly."""

POINTS: Final = 512
"""Points of the search space, with as many neighbours for each parameter."""

RESAMPLES: Final = 30
INSIDE: Final = (5, 95)
"""Percentiles of the shares by the resamples, between which a whisker reaches at least."""


@dataclass(frozen=True)
class Importance:
    """How much each parameter decides of an objective.

    Attributes:
        shares: by parameter, 0 to 1; they add up to 1. Empty while trials do not tell.
        whiskers: between which shares the true ones may lie; empty of exact shares.
        sentence: what they rest on, or why there are none.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    whiskers: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    sentence: str = ""


def importances(
    spec: Spec, trials: Sequence[Trial], sources: Mapping[str, Architecture]
) -> dict[str, Importance]:
    """Return how much each parameter decides, by objective.

    Args:
        spec: search space and objectives.
        trials: all trials.
        sources: what students start from; empty before it is known.
    """
    found, sample = {}, _Sample(spec, sources) if sources else None
    for objective in spec.objectives:
        if objective.metric in feasibility.KNOWN:
            found[objective.metric] = _of_size(spec, sources)
        else:
            found[objective.metric] = _of_trials(spec, trials, objective.metric, sample)
    return found


def _of_size(spec: Spec, sources: Mapping[str, Architecture]) -> Importance:
    """Compute the shares of the number of weights from every combination that decides it."""
    if not sources:
        return Importance(sentence="The models are not prepared yet.")
    deciding = _deciding(spec)
    levels = [_levels(parameter) for parameter in deciding]
    names = [parameter.name for parameter in deciding]
    points = (dict(zip(names, values, strict=True)) for values in itertools.product(*levels))
    counts = [_size(sources, _described(spec, point)) for point in points]
    shape = [len(values) for values in levels]
    sizes = np.ma.masked_invalid(np.array(counts, np.float64).reshape(shape))
    if not sizes.var() > 0:
        return Importance(sentence="All students of this search space have one size.")
    totals = [float(sizes.var(axis=axis).mean()) for axis in range(len(deciding))]
    shares = dict.fromkeys((p.name for p in spec.parameters), 0.0)
    shares |= {name: total / sum(totals) for name, total in zip(names, totals, strict=True)}
    return Importance(shares, sentence="Exact: the suggestion decides it.")


def _deciding(spec: Spec) -> list[Parameter]:
    """Return the parameters that decide the size, and those that decide whether these are searched.

    Each stands after the one that it depends on, so the search goes backwards.
    """
    names = set(size.DECIDING)
    for parameter in reversed(spec.parameters):
        if parameter.name in names and parameter.when:
            names.add(parameter.when.parameter)
    return [parameter for parameter in spec.parameters if parameter.name in names]


def _levels(parameter: Parameter) -> list[Value]:
    """Return values of a parameter that are equally likely."""
    values = space.count(parameter)
    if values <= LEVELS and not parameter.log:
        return [space.level(parameter, place) for place in range(int(values))]
    return [space.value_at(parameter, (place + 0.5) / LEVELS) for place in range(LEVELS)]


def _described(spec: Spec, drawn: Mapping[str, Value]) -> dict[str, Value]:
    """Return the hyperparameters of a point, of which inactive parameters have a value too."""
    searched: dict[str, Value] = {}
    for parameter in spec.parameters:
        if parameter.name in drawn and space.active(parameter, searched):
            searched[parameter.name] = drawn[parameter.name]
    return space.described(spec, searched)


def _size(sources: Mapping[str, Architecture], point: Mapping[str, Value]) -> int | None:
    """Return how many weights a point's student has; None if there is no such student."""
    try:
        return size.student_size(sources, point)
    except ValueError:
        return None


def _of_trials(
    spec: Spec, trials: Sequence[Trial], metric: str, sample: "_Sample | None"
) -> Importance:
    """Estimate the shares of a metric by a forecast that learns it from trials."""
    pairs = list(_ends(spec, trials, metric))
    completed = sum(trial.state is State.COMPLETED for trial, _ in pairs)
    count = "1 trial does" if len(pairs) == 1 else f"{len(pairs)} trials do"
    wait = Importance(sentence=f"{count} not tell yet.")
    if sample is None or completed < LEAST:
        return wait
    rows = np.array([hyperparameters.row(spec, trial) for trial, _ in pairs])
    ends = np.array([end for _, end in pairs])
    forecast = hyperparameters.learn(rows, ends)
    error = root_mean_square(forecast.left_out[:completed])
    spread = expectation.mean_error(ends[:completed])
    if error >= DOUBTFUL * spread:
        return wait
    shares = sample.shares(forecast)
    again = [sample.shares(resampled) for resampled in _resampled(rows, ends)]
    lows, highs = _whiskers(shares, np.percentile(again, INSIDE, axis=0))
    names = [parameter.name for parameter in spec.parameters]
    return Importance(
        dict(zip(names, map(float, shares), strict=True)),
        {name: (float(a), float(b)) for name, a, b in zip(names, lows, highs, strict=True)},
        f"From {len(pairs)} trials: wrong by {error:.3g} on left-out ones, their mean by"
        f" {spread:.3g}.",
    )


def _ends(spec: Spec, trials: Sequence[Trial], metric: str) -> Iterator[tuple[Trial, float]]:
    """Yield trials with what a metric ended with, then stopped ones with what was expected of it.

    Of a model that had collapsed nothing else is to be expected.
    """
    for trial in expectation.trained(spec, trials)[-expectation.MOST :]:
        if metric in trial.metrics:
            yield trial, trial.metrics[metric]
    begun = continued(trials)
    for trial in trials:
        if trial.state is State.STOPPED and trial.number not in begun:
            last = trial.metrics if feasibility.collapsed(trial.metrics) else {}
            end = trial.expected.get(metric, last.get(metric))
            if end is not None and expectation.inside(spec, trial):
                yield trial, end


def _resampled(rows: Array, ends: Array) -> Iterator[Forecast]:
    """Yield forecasts that learn from examples which are drawn from these anew."""
    dice = np.random.default_rng(0)
    for _ in range(RESAMPLES):
        drawn = dice.integers(len(ends), size=len(ends))
        yield hyperparameters.learn(rows[drawn], ends[drawn])


def _whiskers(shares: Array, reached: Array) -> tuple[Array, Array]:
    """Return from where to where the true shares may lie, by what resamples reach, (2, n).

    A model finds too much in what decides nothing, and again as much too much in a resample. So
    what resamples reach on one side counts on the other side as well.
    """
    low, high = reached
    first, last = np.minimum(low, 2 * shares - high), np.maximum(high, 2 * shares - low)
    return np.maximum(first, 0.0), np.minimum(last, 1.0)


class _Sample:
    """Points of the search space to estimate total indices from (Jansen 1999)."""

    def __init__(self, spec: Spec, sources: Mapping[str, Architecture]) -> None:
        dice = np.random.default_rng(0)
        first, second = dice.random((2, POINTS, len(spec.parameters)))
        blocks = [first]
        for column in range(len(spec.parameters)):
            blocks.append(first.copy())
            blocks[-1][:, column] = second[:, column]
        trials = [[_point(spec, sources, shares) for shares in block] for block in blocks]
        real = [all(trial.parameter_count for trial in each) for each in zip(*trials, strict=True)]
        rows = [hyperparameters.row(spec, trial) for block in trials for trial in block]
        # (1 + parameters, points, numbers): the points, then their neighbours along each parameter.
        self._rows = np.array(rows).reshape(len(blocks), POINTS, -1)[:, real]

    def shares(self, forecast: Forecast) -> Array:
        """Return the share of each parameter in what a forecast says."""
        values = forecast.means(self._rows.reshape(-1, self._rows.shape[2]))
        first, *moved = values.reshape(self._rows.shape[:2])
        totals = np.array([np.mean((first - each) ** 2) for each in moved])
        shares: Array = totals / totals.sum() if totals.sum() > 0 else totals
        return shares


def _point(spec: Spec, sources: Mapping[str, Architecture], shares: Array) -> Trial:
    """Return the point at these shares of the ranges; no such student, no size."""
    drawn = {
        p.name: space.value_at(p, float(share))
        for p, share in zip(spec.parameters, shares, strict=True)
    }
    point = _described(spec, drawn)
    return Trial(0, point, parameter_count=_size(sources, point))
