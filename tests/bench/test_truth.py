"""The benchmark of expectations and importances: the truths that it holds them against."""

import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

import expectation
from contest.problems import Parameters, Problem
from contest.recorded import Recorded
from contest.synthetic import Synthetic, collapses

GOOD: Parameters = {
    "n_layers": 4, "n_heads": 12, "layer_selection": "First", "learning_rate": 4e-4,
    "alpha_ce": 0.7, "temperature": 3.5, "dropout": 0.1, "attention_dropout": 0.08,
}  # fmt: skip
COLLAPSED: Parameters = {**GOOD, "alpha_ce": 0.0}
SHORT: Parameters = {
    "n_layers": 4, "n_heads": 12, "layer_selection": "First", "learning_rate": 7e-4,
    "alpha_ce": 0.5, "temperature": 2.0, "dropout": 0.05,
}  # fmt: skip


def test_the_truth_of_a_point_is_the_mean_over_seeds() -> None:
    assert [collapses(point) for point in (GOOD, COLLAPSED)] == [False, True]
    wanted: list[tuple[Problem, list[Parameters]]] = [
        (Synthetic(), [GOOD, COLLAPSED]),
        (Recorded(), [SHORT]),
    ]
    for problem, points in wanted:
        for point, truth in zip(points, problem.true_exact(points), strict=True):
            seen = [problem.metrics(point, 1.0, seed)["exact"] for seed in range(400)]
            assert truth == pytest.approx(
                statistics.fmean(seen), abs=3 * statistics.stdev(seen) / 20
            )


def test_the_true_shares_of_a_sum_are_those_of_its_variance() -> None:
    problem = Synthetic()

    def values(many: Sequence[Parameters]) -> NDArray[np.float64]:
        return np.array([float(p["alpha_ce"]) + float(p["dropout"]) for p in many])

    shares = expectation._shares(problem, values)
    found = dict(zip(expectation._names(problem), shares, strict=True))
    assert found["alpha_ce"] == pytest.approx(0.8, abs=0.02)
    assert found["dropout"] == pytest.approx(0.2, abs=0.02)
    assert found["n_layers"] == 0


@pytest.mark.long
def test_a_line_of_each_table_is_measured() -> None:
    line = expectation.importances(Synthetic(), 30, 1)
    assert 0 < (line["wrong share"] or 0) < 1
    assert line["trials tell"] in (0, 1)
    line = expectation.expectations(Synthetic(), 15, 1)
    assert line["points"] or line["fronts without"] in (0, 1)
