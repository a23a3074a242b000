"""The closed form gives what many trainings would add to the hypervolume in the mean."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from distillery_operator.search import hypervolume_gain
from distillery_operator.search.hypervolume_gain import Staircase

SIZES = np.array([2.0, 3.0, 3.0, 5.0])
VALUES = np.array([[60.0, 58.0, 66.0, 64.0]])
THRESHOLD, CORNER = 55.0, 10.0


@pytest.mark.parametrize("size", [1.0, 2.0, 2.5, 3.0, 4.0, 6.0, 11.0])
@pytest.mark.parametrize("mean", [50.0, 61.0, 70.0])
def test_the_gain_is_the_mean_of_what_trainings_would_add(size: float, mean: float) -> None:
    stairs, before = Staircase(SIZES, VALUES, THRESHOLD), area([])
    found = stairs.gain(np.array([size]), np.full((1, 1), mean), np.array([4.0]), CORNER)
    normal = NormalDist(mean, 4.0)
    ends = [normal.inv_cdf((n + 0.5) / 2000) for n in range(2000)]
    added = [area([(size, end)]) - before for end in ends]
    assert found == pytest.approx([sum(added) / 2000], rel=0.01, abs=0.01)


def area(more: list[tuple[float, float]]) -> float:
    """Return the area between the staircase of all points, the threshold and the corner."""
    points = [*zip(SIZES, VALUES[0], strict=True), *more]
    edges = sorted({size for size, _ in points if size < CORNER} | {CORNER})
    best = [max([THRESHOLD, *(v for s, v in points if s <= edge)]) for edge in edges[:-1]]
    added: float = sum(
        (last - first) * (level - THRESHOLD)
        for first, last, level in zip(edges[:-1], edges[1:], best, strict=True)
    )
    return added


def test_several_draws_count_by_their_mean() -> None:
    draws = np.array([[60.0, 58.0, 66.0, 64.0], [70.0, 58.0, 59.0, 61.0]])
    means, deviations = np.array([[62.0], [65.0]]), np.array([3.0])
    found = Staircase(SIZES, draws, THRESHOLD).gain(np.array([3.0]), means, deviations, CORNER)
    single = [
        Staircase(SIZES, draws[[n]], THRESHOLD).gain(
            np.array([3.0]), means[[n]], deviations, CORNER
        )
        for n in range(2)
    ]
    assert found == pytest.approx((single[0] + single[1]) / 2)


def test_the_chance_below_is_right_to_its_last_digits_where_it_is_small() -> None:
    z: NDArray[np.float64] = np.linspace(-30.0, 6.0, 200)
    exact = [0.5 * math.erfc(-value / math.sqrt(2)) for value in z]
    assert hypervolume_gain.below(z) == pytest.approx(exact, rel=2e-7)


def test_who_is_far_from_the_front_still_differs_from_who_is_farther() -> None:
    found = hypervolume_gain.improvement(np.array([10.0, 11.0]), np.ones(2), np.full(2, 40.0))
    assert 0 < found[0] < found[1]
