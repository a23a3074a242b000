"""A problem made from real learning curves: those that bench/record.py recorded.

Between the recorded trainings one of two interpolators gives what is to be expected, the whole
curve at once: trees or Gaussian processes. Each favours searches that model in its way, so a
ranking counts only where both agree. They learn shorter trainings first, which cover the space, and
then by how much the long ones differ from what these would give. Until enough of those are recorded
the short ones stand for themselves. What a seed adds is Gaussian: its
variance is a smooth function of the expected end, learnt from trainings that differ in their seed
alone.
"""

import functools
import gzip
import json
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any, Final, Literal, Protocol, cast

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold

from contest.problems import DATA, RUNGS, Array, Metrics, Parameters
from distillery_contract import size
from distillery_contract.size import Architecture, Family
from distillery_operator.resource import yaml_files

CURVES: Final = DATA / "curves.jsonl"
SHORT: Final = DATA / "short.jsonl.gz"

Interpolator = Literal["trees", "gp"]
INTERPOLATORS: Final[Sequence[Interpolator]] = ("trees", "gp")

HALVES: Final = ("HasAns_exact", "NoAns_exact")
MARKS: Final = (*RUNGS, 1.0)
"""The shares of a training at which contestants see it."""

TREES: Final = 200
NEAR: Final = 8.0
"""Points of exact: trainings that end so far apart still tell of each other's variance."""
LUCK: Final = 128
"""Seeds' luck, as so many pairs of equally likely values: as good the one, as bad the other."""
FOLDS: Final = 5
LEAST: Final = 25
"""Long trainings, fewer of which say nothing of how they differ: a round of bench/record.py."""


class Recorded:
    """The problem; see :class:`contest.problems.Problem`.

    Args:
        interpolator: of what is to be expected.
        price: of an evaluation, as a share of a training's steps.
    """

    shaped = True
    rungs: Sequence[float] = RUNGS
    files: Sequence[Path] = (CURVES, SHORT, DATA / "curves.yaml", Path(__file__))

    def __init__(self, interpolator: Interpolator = "trees", price: float = 0.08) -> None:
        self.name = name(interpolator, price)
        self.experiment = yaml_files.read_experiment(DATA / "curves.yaml")
        header = recording().header
        source = header["sources"]["teacher"]
        teacher = Architecture(**{**source, "family": Family(source["family"])})
        self.sources: Mapping[str, Architecture] = {"teacher": teacher}
        self._weights = np.array([header[name] for name in ("answerable", "unanswerable")])
        self._interpolator, self._price = interpolator, price

    def size(self, parameters: Parameters) -> int:
        """Return the weights of a student."""
        return size.student_size(self.sources, parameters)

    def metrics(self, parameters: Parameters, share: float, seed: int) -> Metrics:
        """Return what a training has reached after a share of its steps, in percent."""
        found = curve(self._interpolator, tuple(sorted(parameters.items())), seed)
        halves = found[:, MARKS.index(share)]
        exact = float(np.average(halves, weights=self._weights))
        return {"exact": exact, **dict(zip(HALVES, map(float, halves), strict=True))}

    def true_exact(self, many: Sequence[Parameters]) -> Array:
        """Return the mean exact of whole trainings over all seeds, in percent, of each of n."""
        expected = expectation(self._interpolator)(np.array([features(p) for p in many]))
        known = noise()
        luck = np.random.default_rng(1).standard_normal((LUCK, len(known.mixing)))
        luck = np.concatenate([luck, -luck]) @ known.mixing.T
        ends = (
            luck.reshape(2 * LUCK, len(HALVES), -1)[:, :, -1]
            * known.deviation(expected)[:, None, :, -1]
        )
        found: Array = np.average(
            np.clip(expected[:, None, :, -1] + ends, 0.0, 100.0), axis=2, weights=self._weights
        ).mean(axis=1)
        return found

    def seconds(self, parameters: Parameters, seed: int) -> float:
        """Return how long the steps of a whole training hold its processor."""
        return float(_stepping().predict([shape(parameters)])[0])

    def evaluation_seconds(self, parameters: Parameters) -> float:
        """Return how long an evaluation holds its processor."""
        return self._price * self.seconds(parameters, 0)


def name(interpolator: Interpolator, price: float) -> str:
    """Return the name of a variant: the price is in percent."""
    return f"recorded-{interpolator}-{price * 100:.0f}"


@dataclass(frozen=True)
class Recording:
    """What the files hold.

    Attributes:
        header: the first line of the long ones.
        lines: of the long trainings; none while there are too few.
        short: lines of the short ones.
        count: of the long trainings that are recorded.
    """

    header: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]
    short: Sequence[Mapping[str, Any]]
    count: int

    @functools.cached_property
    def rows(self) -> Array:
        """What decides each long training, (n, features)."""
        return np.array([features(line["parameters"]) for line in self.lines])

    @functools.cached_property
    def curves(self) -> Array:
        """Both halves of exact at the marks, of each long training, (n, 2, marks)."""
        return np.array([_halves(line["curve"], line["steps"]) for line in self.lines])

    @functools.cached_property
    def short_rows(self) -> Array:
        """What decides each short training, (n, features)."""
        return np.array([features(line["parameters"]) for line in self.short])

    @functools.cached_property
    def short_curves(self) -> Array:
        """Both halves of exact at the marks, of each short training, (n, 2, marks)."""
        return np.array([_halves(line["curve"], line["steps"]) for line in self.short])

    @functools.cached_property
    def configurations(self) -> list[int]:
        """A number per long training, the same for those that differ in their seed alone."""
        known: dict[tuple[float, ...], int] = {}
        return [known.setdefault(tuple(row), len(known)) for row in self.rows]


class Expectation(Protocol):
    """Gives the expected curves, (n, 2, marks), of long trainings, by features, (n, f)."""

    def __call__(self, rows: Array, /) -> Array:
        """Return the curves."""


@functools.cache
def recording() -> Recording:
    """Read the files."""
    with gzip.open(SHORT, "rt", encoding="utf-8") as file:
        _, *short = map(json.loads, file)
    header, *lines = map(json.loads, CURVES.read_text(encoding="utf-8").splitlines())
    return Recording(header, lines if len(lines) >= LEAST else [], short, len(lines))


@functools.cache
def expectation(interpolator: Interpolator) -> Expectation:
    """Learn from the whole recording."""
    known = recording()
    return learnt(interpolator, known, list(range(len(known.lines))))


def learnt(interpolator: Interpolator, known: Recording, places: Sequence[int]) -> Expectation:
    """Learn from all short trainings, and from the long ones at some places by how they differ."""
    fit = _trees if interpolator == "trees" else _gaussian
    short = fit(known.short_rows, known.short_curves)

    if not places:
        return short

    def described(rows: Array) -> tuple[Array, Array]:
        """Return features with the end of a short training, and its curve."""
        base = short(rows)
        return np.column_stack([rows, base[:, :, -1]]), base

    rows, base = described(known.rows[places])
    further = fit(rows, known.curves[places] - base)

    def expected(wanted: Array) -> Array:
        rows, base = described(wanted)
        return np.clip(base + further(rows), 0.0, 100.0)

    return expected


@dataclass(frozen=True)
class Noise:
    """What a seed adds to a curve.

    Attributes:
        ends: the mean exact at the end of each configuration, for each of its seeds, (n,).
        squares: of how far each curve was from that mean, made unbiased, (n, 2 * marks).
        mixing: of independent standard normal values into those of a curve, (2 * marks, 2 * marks).
    """

    ends: Array
    squares: Array
    mixing: Array

    def deviation(self, expected: Array) -> Array:
        """Return the standard deviation of each value of expected curves, (n, 2, marks)."""
        away = expected[:, :, -1].mean(axis=1)[:, None] - self.ends
        weights = np.exp(-0.5 * (away / NEAR) ** 2)
        variance = weights @ self.squares / weights.sum(axis=1, keepdims=True)
        found: Array = np.sqrt(variance).reshape(expected.shape)
        return found


@functools.cache
def noise() -> Noise:
    """Learn from trainings that differ in their seed alone, long ones and short ones."""
    known = recording()
    both = [
        away_from_means(rows, curves.reshape(len(rows), -1))
        for rows, curves in (
            (known.rows, known.curves),
            (known.short_rows, known.short_curves),
        )
        if len(rows)
    ]
    means, away = (np.concatenate(parts) for parts in zip(*both, strict=True))
    ends = means.reshape(-1, len(HALVES), len(MARKS))
    found = Noise(ends[:, :, -1].mean(axis=1), away**2, np.eye(away.shape[1]))
    standard = away / np.maximum(found.deviation(ends).reshape(away.shape), 1e-9)
    values, vectors = np.linalg.eigh(np.corrcoef(standard.T))
    return Noise(found.ends, found.squares, vectors * np.sqrt(np.maximum(values, 0.0)))


def away_from_means(rows: Array, values: Array) -> tuple[Array, Array]:
    """Return the mean of each row's equals, and how far it is from that, made unbiased.

    Rows without an equal are left out.

    Args:
        rows: what decides each of n trainings, (n, f).
        values: that they have, (n, v).
    """
    _, places, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    means = np.array([np.bincount(places, column) for column in values.T]).T / counts[:, None]
    twins = counts[places] > 1
    factor = np.sqrt(counts / np.maximum(counts - 1, 1))[places]
    away = (values - means[places]) * factor[:, None]
    return means[places][twins], away[twins]


@functools.lru_cache(maxsize=10_000)
def curve(interpolator: Interpolator, parameters: tuple[tuple[str, Any], ...], seed: int) -> Array:
    """Return both halves of exact at the marks, (2, marks), of one training."""
    expected = expectation(interpolator)(np.array([features(dict(parameters))]))
    luck = noise().mixing @ np.random.default_rng(seed).standard_normal(expected.size)
    found = expected + noise().deviation(expected) * luck.reshape(expected.shape)
    within: Array = np.clip(found[0], 0.0, 100.0)
    return within


def missing() -> str:
    """Say how much of what bench/record.py plans is recorded; nothing if all of it is."""
    known = recording()
    if known.count >= known.header["planned"]:
        return ""
    said = f"{known.count} of {known.header['planned']} planned trainings are recorded"
    if not known.lines:
        said += f"; while there are fewer than {LEAST}, the recorded problem is made of short ones"
    return f"{said}; python bench/record.py records the others"


def error() -> dict[str, float]:
    """Return how well the interpolators know configurations that they have not seen.

    Mean absolute errors of a configuration's mean exact at the end, in points; beside them that of
    the mean of all others, and the standard deviation between the seeds of one configuration.
    """
    known, found = recording(), dict[str, list[float]]()
    groups = np.array(known.configurations)
    exact = known.curves[:, :, -1].mean(axis=1)
    for places, left in GroupKFold(FOLDS).split(known.rows, groups=groups):
        firsts = left[np.unique(groups[left], return_index=True)[1]]
        ends = np.array([exact[groups == groups[first]].mean() for first in firsts])
        for interpolator in INTERPOLATORS:
            guess = learnt(interpolator, known, list(places))(known.rows[firsts])
            off = guess[:, :, -1].mean(axis=1) - ends
            found.setdefault(interpolator, []).extend(np.abs(off))
        found.setdefault("mean_of_all", []).extend(np.abs(exact[places].mean() - ends))
    _, away = away_from_means(known.rows, exact[:, None])
    return {
        "trainings": len(known.lines),
        "configurations": len(set(known.configurations)),
        **{name: statistics.fmean(values) for name, values in found.items()},
        "between_seeds": float(np.sqrt(np.mean(away**2))),
    }


def features(parameters: Parameters) -> list[float]:
    """Return what decides a training, its seed apart."""
    numbers = {k: v for k, v in parameters.items() if k != "layer_selection"}
    given = cast(Mapping[str, float], numbers)
    return [
        *shape(parameters),
        float(parameters["layer_selection"] == "First"),
        log(given["learning_rate"]),
        given["alpha_ce"],
        given["temperature"],
        given["dropout"],
    ]


def shape(parameters: Parameters) -> list[float]:
    """Return what decides how long a training's steps take: layers, and heads in all."""
    layers, heads = (float(cast(float, parameters[name])) for name in ("n_layers", "n_heads"))
    return [layers, layers * heads]


def _trees(rows: Array, curves: Array) -> Expectation:
    forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=1)
    forest.fit(rows, curves.reshape(len(rows), -1))

    def predict(wanted: Array) -> Array:
        # As the forest's own predict does, in a fiftieth of its time for a single row.
        narrow = wanted.astype(np.float32)
        found: Array = np.mean([tree.tree_.predict(narrow) for tree in forest.estimators_], axis=0)
        return found.reshape(-1, *curves.shape[1:])

    return predict


def _gaussian(rows: Array, curves: Array) -> Expectation:
    low, span = rows.min(axis=0), np.maximum(np.ptp(rows, axis=0), 1e-9)
    smooth = ConstantKernel() * Matern(np.ones(len(span)), (0.05, 20.0), nu=2.5)
    model = GaussianProcessRegressor(smooth + WhiteKernel(0.1, (1e-3, 1.0)), normalize_y=True)
    with warnings.catch_warnings():
        # A length at its bound says that a feature decides nothing.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit((rows - low) / span, curves.reshape(len(rows), -1))

    def predict(wanted: Array) -> Array:
        found: Array = model.predict((wanted - low) / span)
        return found.reshape(-1, *curves.shape[1:])

    return predict


@functools.cache
def _stepping() -> LinearRegression:
    """Learn the CPU seconds of a training's steps from its shape."""
    lines = recording().lines or recording().short
    shapes = [shape(line["parameters"]) for line in lines]
    return LinearRegression().fit(shapes, [line["training_cpu_seconds"] for line in lines])


def _halves(points: Sequence[Mapping[str, float]], steps: int) -> list[list[float]]:
    by_step = {point["step"]: point for point in points}
    chosen = [by_step[round(mark * steps)] for mark in MARKS]
    return [[point[half] for point in chosen] for half in HALVES]
