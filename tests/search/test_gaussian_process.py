"""A Gaussian process finds what matters, how loud the noise is, and what it does not know."""

import numpy as np
import pytest
from numpy.typing import NDArray

from distillery_operator.search import gaussian_process
from distillery_operator.search.gaussian_process import Draws, Process

Array = NDArray[np.float64]


def problem(count: int, noise: float, seed: int = 0) -> tuple[Array, Array, Array]:
    """Return places, sizes and ends: the first coordinate matters most, the third not at all."""
    dice = np.random.default_rng(seed)
    places = dice.random((count, 3))
    sizes = 1e6 * (1 + 3 * places[:, 1])
    return places, sizes, truth(places, sizes) + noise * dice.standard_normal(count)


def truth(places: Array, sizes: Array) -> Array:
    found: Array = 60 + 10 * np.sin(4 * places[:, 0]) + 3 * np.log(sizes / 1e6)
    return found


def test_it_learns_what_came_of_places_and_sizes() -> None:
    places, sizes, ends = problem(80, 0.2)
    process = Process(places, sizes, ends, np.zeros(80, np.bool_))
    others, theirs, _ = problem(200, 0.0, seed=1)
    errors = process.means(others, theirs) - truth(others, theirs)
    assert np.sqrt(np.mean(errors**2)) < 0.5
    assert process.noise == pytest.approx(0.2, rel=0.5)


def test_it_knows_least_where_it_has_seen_nothing() -> None:
    places, sizes, ends = problem(60, 0.2)
    near = places[:, 0] < 0.4
    process = Process(places[near], sizes[near], ends[near], np.zeros(near.sum(), np.bool_))
    known = process.deviations(np.array([[0.2, 0.5, 0.5], [0.5, 0.5, 0.5], [0.9, 0.5, 0.5]]))
    assert known[0] < known[1] < known[2]


def test_ends_that_were_only_expected_count_less_where_they_are_wrong() -> None:
    places, sizes, ends = problem(80, 0.2)
    guessed = np.arange(80) % 2 == 1
    ends[guessed] += 8 * np.random.default_rng(5).standard_normal(40)
    others, theirs, _ = problem(200, 0.0, seed=1)

    def error(told: NDArray[np.bool_]) -> float:
        found = Process(places, sizes, ends, told).means(others, theirs)
        return float(np.sqrt(np.mean((found - truth(others, theirs)) ** 2)))

    assert error(guessed) < 0.6 * error(np.zeros(80, bool))


def test_a_small_student_promises_no_more_than_a_large_one_where_nothing_else_is_known() -> None:
    places, dice = np.zeros((20, 1)), np.random.default_rng(0)
    sizes = np.linspace(1e6, 9e6, 20)
    for rise in (4.0, -4.0):
        ends = rise * np.log(sizes) + 0.1 * dice.standard_normal(20)
        process = Process(places, sizes, ends, np.zeros(20, np.bool_))
        small, large = process.means(np.full((2, 1), 50.0), np.array([1e6, 9e6]))
        assert large - small == pytest.approx(4 * np.log(9) if rise > 0 else 0.0, rel=0.15)


def test_the_gradient_is_that_of_the_posterior() -> None:
    dice = np.random.default_rng(0)
    places, values, guessed = dice.random((30, 4)), dice.standard_normal(30), dice.random(30) < 0.3
    apart = (places[:, None, :] - places[None, :, :]) ** 2
    theta = np.r_[np.log([0.3, 0.5, 1.0, 2.0]), np.log([0.05, 0.2])]

    def loss(at: Array) -> float:
        return gaussian_process._loss(at, apart, values, guessed)[0]

    slopes = [(loss(theta + 1e-5 * way) - loss(theta - 1e-5 * way)) / 2e-5 for way in np.eye(6)]
    assert gaussian_process._loss(theta, apart, values, guessed)[1] == pytest.approx(
        slopes, abs=1e-5
    )


def test_examples_that_are_all_alike_are_expected_again() -> None:
    """No spread, and no size that differs."""
    process = Process(
        np.full((8, 2), 0.5), np.full(8, 1e6), np.full(8, 70.0), np.zeros(8, np.bool_)
    )
    assert process.means(np.array([[0.5, 0.5]]), np.array([2e6])) == pytest.approx([70.0])


def test_a_draw_tells_what_lies_near_it_and_nothing_of_what_is_far() -> None:
    places, sizes, ends = problem(40, 0.2)
    process = Process(places, sizes, ends, np.zeros(40, np.bool_))
    points = np.array([[0.95, 0.95, 0.5], [0.05, 0.05, 0.5]])
    counts = np.full(2, 2e6)
    normals = np.random.default_rng(0).standard_normal((4000, 2))
    draws = Draws(process, points, counts, normals)
    assert draws.values.mean(axis=0) == pytest.approx(process.means(points, counts), abs=0.1)
    assert draws.values.std(axis=0) == pytest.approx(process.deviations(points), rel=0.1)
    means, deviations = draws.given(points, counts)
    assert means == pytest.approx(draws.values, abs=0.05)  # the point itself is known then
    assert (deviations < 0.1 * process.deviations(points)).all()


@pytest.mark.parametrize("count", [61, 119, 120, 200])
def test_what_is_left_out_of_very_many_is_judged_by_the_other_half(count: int) -> None:
    places, sizes, ends = problem(count, 0.2)
    errors = Process(places, sizes, ends, np.zeros(count, np.bool_)).left_out()
    assert np.sqrt(np.mean(errors**2)) < 0.5  # noise, and what the process does not know
