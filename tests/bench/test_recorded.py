"""The recorded problem: what lies between the trainings, and what a seed adds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import search
from contest import recorded
from contest.problems import DATA, Parameters
from contest.recorded import INTERPOLATORS, MARKS, Interpolator, Recorded

SHORT: Parameters = {
    "n_layers": 4, "n_heads": 12, "layer_selection": "First", "learning_rate": 7e-4,
    "alpha_ce": 0.5, "temperature": 2.0, "dropout": 0.05,
}  # fmt: skip
STEPS = 90


def line(end: float, seed: int, **changes: Any) -> dict[str, Any]:
    """Return a long training that ends with an exact; both halves have it."""
    curve = [
        {"step": round(mark * STEPS), "HasAns_exact": end * mark, "NoAns_exact": end * mark}
        for mark in MARKS
    ]
    return {
        "parameters": {**SHORT, **changes, "seed": seed}, "steps": STEPS, "curve": curve,
        "training_cpu_seconds": 10.0 + int(changes.get("n_layers", 4)),
    }  # fmt: skip


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a file for long trainings in the place of the real one."""
    cached = (recorded.recording, recorded.expectation, recorded.noise, recorded._stepping)
    for one in cached:
        one.cache_clear()
    recorded.curve.cache_clear()
    path = tmp_path / "curves.jsonl"
    monkeypatch.setattr(recorded, "CURVES", path)
    yield path
    for one in cached:
        one.cache_clear()
    recorded.curve.cache_clear()


def write(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    real = DATA / "curves.jsonl"
    header = json.loads(real.read_text(encoding="utf-8").splitlines()[0]) | {"planned": 60}
    path.write_text("".join(json.dumps(one) + "\n" for one in (header, *lines)))


RATES = np.geomspace(1e-4, 2e-3, 10)
ENDS = np.arange(50, 90, 4)
LONG = [
    line(ENDS[place] + luck, 3 * place + seed, learning_rate=RATES[place])
    for place in range(10)
    for seed, luck in enumerate((-3.0, 0.0, 3.0))
]


@pytest.mark.parametrize("interpolator", INTERPOLATORS)
def test_what_is_expected_is_the_mean_of_the_long_trainings(
    written: Path, interpolator: Interpolator
) -> None:
    write(written, LONG)
    problem = Recorded(interpolator)
    points = [{**SHORT, "learning_rate": float(rate)} for rate in RATES]
    assert np.abs(problem.true_exact(points) - ENDS).mean() < 3.0


def test_what_a_seed_adds_has_the_variance_of_those_that_end_alike() -> None:
    """Three seeds 3 points apart have a variance of 9, and eleven with another end have 1."""
    ends = np.concatenate([np.full(300, 60.0), np.full(300, 90.0)])
    squares = np.concatenate([np.full((300, 6), 9.0), np.full((300, 6), 1.0)])
    known = recorded.Noise(ends, squares, np.eye(6))
    expected = np.empty((3, 2, 3))
    expected[:] = np.array([60.0, 75.0, 90.0])[:, None, None]
    found = known.deviation(expected)[:, 0, 0]
    assert found[0] == pytest.approx(3.0, abs=0.01)
    assert found[1] == pytest.approx(5**0.5)
    assert found[2] == pytest.approx(1.0, abs=0.02)


def test_the_distance_from_the_mean_is_unbiased_and_needs_an_equal() -> None:
    rows = np.array([[1.0], [1.0], [2.0], [3.0], [3.0], [3.0]])
    values = np.array([[4.0], [6.0], [9.0], [1.0], [2.0], [3.0]])
    means, away = recorded.away_from_means(rows, values)
    assert means[:, 0].tolist() == [5, 5, 2, 2, 2]
    assert (away[:2] ** 2).mean() == pytest.approx(np.var([4, 6], ddof=1))
    assert (away[2:] ** 2).mean() == pytest.approx(np.var([1, 2, 3], ddof=1))


def test_seeds_are_spread_around_the_truth(written: Path) -> None:
    write(written, LONG)
    problem, point = Recorded("trees"), {**SHORT, "learning_rate": 8e-4}
    seen = np.array([problem.metrics(point, 1.0, seed)["exact"] for seed in range(400)])
    [truth] = problem.true_exact([point])
    assert truth == pytest.approx(seen.mean(), abs=3 * seen.std() / 20)
    assert 1.0 < seen.std() < 8.0
    # One seed is lucky all along its curve, or unlucky.
    early = np.array([problem.metrics(point, 1 / 3, seed)["exact"] for seed in range(400)])
    assert np.corrcoef(early, seen)[0, 1] > 0.1


def test_it_says_what_is_missing(written: Path) -> None:
    write(written, LONG)
    assert recorded.missing() == (
        "30 of 60 planned trainings are recorded; python bench/record.py records the others"
    )
    assert recorded.error()["configurations"] == 10


def test_with_too_few_long_trainings_the_short_ones_stand_for_themselves(written: Path) -> None:
    write(written, LONG[:3])
    assert "fewer than 25" in recorded.missing()
    known = recorded.recording()
    curves = recorded.expectation("trees")(known.short_rows)
    away = curves[:, :, -1].mean(axis=1) - known.short_curves[:, :, -1].mean(axis=1)
    assert np.abs(away).mean() < 4.0


def test_the_variants_are_those_of_the_command() -> None:
    names = [name for name in search.PROBLEMS if name.startswith("recorded")]
    assert names == ["recorded-trees-8", "recorded-gp-8", "recorded-trees-1", "recorded-gp-1"]
    for name in names:
        assert search.problem_of(name).name == name
