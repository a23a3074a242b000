"""Forecasts: what they expect, and how far off they say they may be."""

import random

from distillery_operator.forecast import Forecast


def examples(noise: float, count: int = 60, seed: int = 1) -> tuple[list[list[float]], list[float]]:
    chance = random.Random(seed)
    rows = [[chance.uniform(0, 50), chance.uniform(10, 20), 3.0] for _ in range(count)]
    return rows, [2 * a - b + 5 + chance.gauss(0, noise) for a, b, _ in rows]


def test_a_line_is_found() -> None:
    expected = Forecast(*examples(0.0)).of([20.0, 12.0, 3.0])
    assert abs(expected.mean - 33) < 0.2
    assert expected.deviation < 0.5


def test_the_deviation_is_that_of_trials_that_were_not_learnt_from() -> None:
    forecast = Forecast(*examples(2.0))
    inside = []
    for row, came in zip(*examples(2.0, 500, seed=2), strict=True):
        expected = forecast.of(row)
        inside.append(abs(came - expected.mean) <= 1.64 * expected.deviation)
    assert 0.86 < sum(inside) / len(inside) < 0.96  # 90 % of a normal distribution


def test_what_lies_far_from_the_examples_is_less_certain() -> None:
    forecast = Forecast(*examples(1.0))
    near, far = forecast.of([25.0, 15.0, 3.0]), forecast.of([500.0, 15.0, 3.0])
    assert far.deviation > 3 * near.deviation
