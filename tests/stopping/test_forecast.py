"""Forecasts: what they expect, and how far off they say they may be."""

import random

import numpy as np

from distillery_operator.stopping.forecast import Forecast, LocalForecast


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


def test_a_local_forecast_follows_a_bend() -> None:
    rows = [[n / 10, 3.0] for n in range(100)]
    ends = [max(0.0, row[0] - 7) * 10 for row in rows]
    straight, local = (
        np.abs(kind(rows, ends).each(rows)[0] - ends).mean() for kind in (Forecast, LocalForecast)
    )
    assert local < 0.75 * straight


def test_a_local_forecast_of_examples_on_a_line_is_that_line() -> None:
    expected = LocalForecast(*examples(0.0)).of([20.0, 12.0, 3.0])
    assert abs(expected.mean - 33) < 0.2


def test_many_rows_are_predicted_as_one_by_one() -> None:
    forecast = LocalForecast(*examples(2.0))
    rows, _ = examples(2.0, 600, seed=2)
    means, deviations = forecast.each(rows)
    single = [forecast.of(row) for row in rows]
    assert np.allclose(means, [one.mean for one in single])
    assert np.allclose(deviations, [one.deviation for one in single])
    assert np.allclose(means, forecast.means(rows))
