"""The corner of the hypervolume: where it lies, and that each feasible point counts."""

from dataclasses import replace

import pytest

from distillery_contract import size
from distillery_operator.resource.spec import Spec
from distillery_operator.trials import hypervolume, pareto
from distillery_operator.trials.trial import Trial
from support import worlds

SOURCES = worlds.SOURCES
FULL = size.student_size(SOURCES, {})


def spec(exact: float | None = None, **fields: object) -> Spec:
    objectives = [
        {"metric": "exact", "direction": "Maximize", "threshold": exact},
        {"metric": "parameter_count", "direction": "Minimize"},
    ]
    return worlds.experiment(**{"objectives": objectives, **fields}).spec


def grown(wanted: Spec, trials: list[Trial]) -> list[float]:
    corner = hypervolume.corner(wanted, hypervolume.reference(wanted, worlds.PREPARATION))
    return [pareto.hypervolume(wanted, trials[: n + 1], corner) for n in range(len(trials))]


def test_the_corner_lies_a_little_beyond_the_threshold_or_the_worst_value() -> None:
    found = hypervolume.reference(spec(exact=50), worlds.PREPARATION)
    assert found == {"exact": 49.0, "parameter_count": pytest.approx(1.01 * FULL)}
    assert hypervolume.reference(spec(), worlds.PREPARATION)["exact"] == -1.0


def test_a_baseline_at_full_size_leaves_the_trade_off_inside() -> None:
    """With one baseline as the corner, every less accurate student would have counted nothing."""
    full = worlds.completed(0, 90.0, 6, baseline="full-size")
    smaller = [worlds.completed(n, 90.0 - 4 * n, 6 - n) for n in range(1, 6)]
    volumes = grown(spec(), [full, *smaller])
    assert volumes[0] > 0
    assert volumes == sorted(set(volumes))


def test_each_feasible_point_counts_even_at_the_threshold_and_at_full_size() -> None:
    at_both = replace(
        worlds.completed(0, 50.0, 6),
        metrics={**worlds.completed(0, 50.0, 6).metrics, "parameter_count": float(FULL)},
    )
    assert grown(spec(exact=50), [at_both])[0] > 0


def test_the_largest_student_may_be_larger_than_the_teacher() -> None:
    wide = {"name": "hidden_size", "type": "Int", "low": 48, "high": 200}
    free = spec(parameters=[wide], training={"initialization": "Scratch", "n_layers": 9})
    widest = size.student_size(
        SOURCES, {"initialization": "Scratch", "n_layers": 9, "hidden_size": 198}
    )
    found = hypervolume.reference(free, worlds.PREPARATION)
    assert found["parameter_count"] == pytest.approx(1.01 * widest)


def test_the_corner_of_time_is_a_multiple_of_the_teachers() -> None:
    timed = worlds.experiment(
        objectives=[{"metric": "inference_seconds", "direction": "Minimize"}]
    ).spec
    teacher = {**worlds.PREPARATION.teacher, "inference_seconds": 0.01}
    prepared = replace(worlds.PREPARATION, teacher=teacher)
    assert hypervolume.reference(timed, prepared) == {"inference_seconds": pytest.approx(0.0404)}
