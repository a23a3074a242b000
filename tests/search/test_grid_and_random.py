"""Suggestions that look at no result: the same after a restart, and spread as they promise."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from distillery_contract.parameters import Value
from distillery_operator.engine import budgets, decide
from distillery_operator.engine.actions import Ask
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.search import grid_and_random
from distillery_operator.trials.trial import State, Trial
from support import worlds
from support.worlds import PARAMETERS

RANGES = [
    {"name": name, "type": "Float", "low": 0, "high": 1}
    for name in ("dropout", "attention_dropout", "qa_dropout", "alpha_ce", "weight_decay")
]


def spec(kind: str, seed: int = 1, **fields: Any) -> Spec:
    given = {"parameters": PARAMETERS, "maxTrials": 200, **fields}
    return worlds.experiment(sampler={"type": kind, "seed": seed}, **given).spec


def suggested(wanted: Spec, count: int) -> list[Mapping[str, Value]]:
    """Return the suggestions of a study, each with those before it still running."""
    trials: list[Trial] = []
    for number in range(count):
        point = grid_and_random.suggest(wanted, trials)
        if point is None:
            break
        trials.append(Trial(number, {**wanted.training, **point}))
    return [space.reduced(wanted, trial.parameters) for trial in trials]


@pytest.mark.parametrize("kind", ["Random", "QMC", "Grid"])
def test_the_same_seed_suggests_the_same_and_another_one_does_not(kind: str) -> None:
    parameters = PARAMETERS if kind == "Grid" else RANGES
    first, again = (suggested(spec(kind, parameters=parameters), 9) for _ in range(2))
    assert first == again
    assert suggested(spec(kind, seed=2, parameters=parameters), 9) != first


@pytest.mark.parametrize("kind", ["Random", "QMC", "Grid"])
def test_only_active_parameters_are_suggested(kind: str) -> None:
    wanted = spec(kind)
    points = suggested(wanted, 10)
    assert {"Teacher", "Scratch"} == {point["initialization"] for point in points}
    for point in points:
        assert space.whole(wanted, point)
        assert ("hidden_size" in point) == (point["initialization"] == "Scratch")


def test_a_grid_suggests_every_point_once_and_then_none() -> None:
    points = suggested(spec("Grid"), 100)
    assert len(points) == space.grid_size(spec("Grid")) == 10
    assert len({tuple(sorted(point.items())) for point in points}) == 10


def test_an_exhausted_grid_ends_the_search_with_its_reason() -> None:
    wanted = spec("Grid", baselines=[{"name": "known"}])
    points = suggested(wanted, 100)
    trials = [Trial(n, {**wanted.training, **point}) for n, point in enumerate(points)]
    seen = worlds.observation(tuple(trials[:-1]))
    assert [
        a for a in decide.decide(wanted, seen).actions if isinstance(a, Ask)
    ] == []  # 2 at a time
    four = wanted.model_copy(update={"parallelism": 20})
    assert Ask(2) in decide.decide(four, seen).actions  # the last point and the baseline
    known = Trial(10, {"initialization": "Teacher"}, baseline="known")
    end = budgets.closing(wanted, worlds.observation((*trials, known)))
    assert end is not None
    assert (end.reason, end.message) == (
        "GridExhausted",
        "all 10 points of the grid are suggested",
    )
    assert (
        decide.decide(wanted, worlds.observation((*trials, known))).done is None
    )  # they still run


def test_a_search_that_becomes_a_grid_visits_what_it_has_not() -> None:
    wanted = spec("Grid")
    before = Trial(0, {"initialization": "Teacher"}, state=State.FAILED)
    odd = Trial(1, {"initialization": "Scratch", "hidden_size": 50})
    assert grid_and_random.remaining(wanted, [before, odd]) == 9
    assert grid_and_random.suggest(wanted, [before, odd]) != {"initialization": "Teacher"}


def test_an_even_design_skips_no_point_for_a_baseline() -> None:
    wanted = spec("QMC", parameters=RANGES)
    known = Trial(0, {}, baseline="known")
    assert grid_and_random.suggest(wanted, [known]) == grid_and_random.suggest(wanted, [])


def emptiness(kind: str, count: int) -> float:
    """Return the mean share of empty cells, over all pairs of axes cut into as many cells."""
    side, shares = math.isqrt(count), []
    points = suggested(spec(kind, parameters=RANGES), count)
    names = [str(p["name"]) for p in RANGES]
    for first in range(len(names)):
        for second in range(first):
            cells = {
                (int(float(p[names[first]]) * side), int(float(p[names[second]]) * side))
                for p in points
            }
            shares.append(1 - len(cells) / side**2)
    return sum(shares) / len(shares)


def test_an_even_design_leaves_less_of_the_space_empty_than_chance() -> None:
    assert emptiness("Random", 100) == pytest.approx(math.exp(-1), abs=0.05)
    assert emptiness("QMC", 100) < 0.8 * emptiness("Random", 100)
