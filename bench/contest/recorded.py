"""A problem made from real learning curves: those that bench/record.py recorded.

Between the recorded trainings a forest gives what is to be expected, the whole curve at once. On
that lies the noise of a pair of recorded twins, trainings that differ in their seed alone: how
their curves differ, taken from one of the pairs that end most alike.
"""

import functools
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold, cross_val_predict

from contest.problems import RUNGS, Metrics, Parameters
from distillery_contract.size import Architecture, Family
from distillery_operator.resource import yaml_files

Array = NDArray[np.float64]

DATA: Final = Path(__file__).parents[1] / "data"
CURVES: Final = DATA / "curves.jsonl.gz"

HALVES: Final = ("HasAns_exact", "NoAns_exact")
MARKS: Final = (*RUNGS, 1.0)
"""The shares of a training at which contestants see it."""

LEAST: Final = 200
"""Trainings, fewer of which say too little of what lies between them."""
TREES: Final = 200
ALIKE: Final = 8
"""The noise comes from one of so many pairs of twins, those that end most like the training."""
FOLDS: Final = 10


class Recorded:
    """The problem; see :class:`contest.problems.Problem`."""

    name = "recorded"

    def __init__(self) -> None:
        self.experiment = yaml_files.read_experiment(DATA / "curves.yaml")
        header = recording().header
        source = header["sources"]["teacher"]
        teacher = Architecture(**{**source, "family": Family(source["family"])})
        self.sources: Mapping[str, Architecture] = {"teacher": teacher}
        self._weights = [header[name] for name in ("answerable", "unanswerable")]

    def metrics(self, parameters: Parameters, share: float, seed: int) -> Metrics:
        """Return what a training has reached after a share of its steps, in percent."""
        halves = curve(tuple(sorted(parameters.items())), seed)[:, MARKS.index(share)]
        exact = float(np.average(halves, weights=self._weights))
        return {"exact": exact, **dict(zip(HALVES, map(float, halves), strict=True))}

    def true_exact(self, many: Sequence[Parameters]) -> Array:
        """Return the mean exact of whole trainings over all seeds, in percent, of each of n."""
        learnt, rows = fitted(), [features(parameters) for parameters in many]
        expected = learnt.forest.predict(rows).reshape(len(rows), 2, len(MARKS))[:, :, -1]
        found = []
        for end in expected:
            differences = learnt.differences[_alike(learnt, end), :, -1]
            ends = np.clip(np.concatenate([end + differences, end - differences]), 0.0, 100.0)
            found.append(float(np.average(ends, axis=1, weights=self._weights).mean()))
        return np.array(found)

    def seconds(self, parameters: Parameters, seed: int) -> float:
        """Return how long the steps of a whole training hold its processor."""
        return float(fitted().seconds.predict([shape(parameters)])[0])

    def evaluation_seconds(self, parameters: Parameters) -> float:
        """Return how long an evaluation holds its processor: 8 % of the steps in the mean."""
        return float(fitted().evaluation_seconds.predict([shape(parameters)])[0])


@dataclass(frozen=True)
class Recording:
    """What the file holds: its first line, and one line per training."""

    header: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]

    @property
    def rows(self) -> Array:
        """What decides a training, (n, features)."""
        return np.array([features(line["parameters"]) for line in self.lines])

    @property
    def curves(self) -> Array:
        """Both halves of exact at the marks, (n, 2, marks)."""
        return np.array([_halves(line["curve"], line["steps"]) for line in self.lines])

    @property
    def configurations(self) -> list[int]:
        """A number per training, the same for twins."""
        known: dict[tuple[float, ...], int] = {}
        return [known.setdefault(tuple(row), len(known)) for row in self.rows]


@dataclass(frozen=True)
class Fitted:
    """What was learnt of a recording.

    Attributes:
        forest: gives the expected curve, flat, of features.
        ends: the expected end of each pair of twins, (pairs, 2).
        differences: how their curves differ, over the square root of 2, (pairs, 2, marks).
        seconds: gives the CPU seconds of a whole training's steps, of its shape.
        evaluation_seconds: the same of one evaluation. What a recorded training took besides its
            steps, making the student included, is shared among its evaluations.
    """

    forest: ExtraTreesRegressor
    ends: Array
    differences: Array
    seconds: LinearRegression
    evaluation_seconds: LinearRegression


@functools.cache
def recording() -> Recording:
    """Read the file."""
    with gzip.open(CURVES, "rt", encoding="utf-8") as file:
        header, *lines = map(json.loads, file)
    return Recording(header, lines)


@functools.cache
def fitted() -> Fitted:
    """Learn from the recording."""
    known = recording()
    flat = known.curves.reshape(len(known.lines), -1)
    forest = _forest().fit(known.rows, flat)
    firsts, seconds = _twins(known.configurations)
    expected = forest.predict(known.rows[firsts]).reshape(-1, *known.curves.shape[1:])
    differences = (known.curves[firsts] - known.curves[seconds]) / 2**0.5
    shapes = [shape(line["parameters"]) for line in known.lines]
    stepping = np.array([line["training_cpu_seconds"] for line in known.lines])
    in_all = np.array([line["cpu_seconds"] for line in known.lines])
    evaluations = np.array([len(line["curve"]) for line in known.lines])
    return Fitted(
        forest,
        expected[:, :, -1],
        differences,
        LinearRegression().fit(shapes, stepping),
        LinearRegression().fit(shapes, (in_all - stepping) / evaluations),
    )


@functools.lru_cache(maxsize=10_000)
def curve(parameters: tuple[tuple[str, Any], ...], seed: int) -> Array:
    """Return both halves of exact at the marks, (2, marks), of one training."""
    learnt, row = fitted(), np.array([features(dict(parameters))], dtype=np.float32)
    # As the forest's own predict does, in a fiftieth of its time for a single row.
    trees = [tree.tree_.predict(row) for tree in learnt.forest.estimators_]
    expected = np.mean(trees, axis=0).reshape(2, len(MARKS))
    alike = _alike(learnt, expected[:, -1])
    generator = np.random.default_rng(seed)
    noise = generator.choice((-1.0, 1.0)) * learnt.differences[generator.choice(alike)]
    found: Array = np.clip(expected + noise, 0.0, 100.0)
    return found


def _alike(learnt: Fitted, end: Array) -> Array:
    """Return which pairs of twins end most like a training that is expected to end so."""
    places: Array = np.abs(learnt.ends - end).sum(axis=1).argsort()[:ALIKE]
    return places


def missing() -> int:
    """Return how many trainings the recording lacks to be of use."""
    return max(0, LEAST - len(recording().lines))


def error() -> dict[str, float]:
    """Return how well the forest knows trainings that it has not seen; twins stay together.

    Mean absolute errors of exact at the end, in points: of the forest, of the mean of all, and that
    with which a twin predicts its twin, which nothing can beat by much.
    """
    known = recording()
    exact = known.curves[:, :, -1].mean(axis=1)
    predicted = cross_val_predict(
        _forest(), known.rows, exact, groups=known.configurations, cv=GroupKFold(FOLDS)
    )
    firsts, seconds = _twins(known.configurations)
    return {
        "trainings": len(known.lines),
        "pairs_of_twins": len(firsts),
        "forest": float(np.abs(predicted - exact).mean()),
        "mean_of_all": float(np.abs(exact.mean() - exact).mean()),
        "twin": float(np.abs(exact[firsts] - exact[seconds]).mean()),
        "explained": 1 - float(np.var(predicted - exact) / np.var(exact)),
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
    """Return what decides how long steps and evaluations take: layers, and heads in all."""
    layers, heads = (float(cast(float, parameters[name])) for name in ("n_layers", "n_heads"))
    return [layers, layers * heads]


def _forest() -> ExtraTreesRegressor:
    return ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=1)


def _halves(points: Sequence[Mapping[str, float]], steps: int) -> list[list[float]]:
    by_step = {point["step"]: point for point in points}
    chosen = [by_step[round(mark * steps)] for mark in MARKS]
    return [[point[half] for point in chosen] for half in HALVES]


def _twins(configurations: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the places of the first and the second training of each pair."""
    seen: dict[int, int] = {}
    pairs = [
        (seen[configuration], place)
        for place, configuration in enumerate(configurations)
        if seen.setdefault(configuration, place) != place
    ]
    return [first for first, _ in pairs], [second for _, second in pairs]
