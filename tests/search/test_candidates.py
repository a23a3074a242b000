"""Points that may be trained next lie in the search space: near to what is known, and far."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from distillery_contract.parameters import Value
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.search import candidates, grid_and_random
from distillery_operator.trials.trial import Trial
from support import worlds

EVERY_KIND: list[dict[str, Any]] = [
    {"name": "learning_rate", "type": "Float", "low": 0.001, "high": 0.8, "log": True},
    {"name": "n_layers", "type": "Int", "low": 1, "high": 6},
    {"name": "n_heads", "type": "Categorical", "choices": [1, 2, 3, 6]},
    {"name": "layer_selection", "type": "Categorical", "choices": ["First", "EvenlySpaced"]},
    {"name": "warm_up_steps", "type": "Int", "low": 1, "high": 1000, "log": True},
    {"name": "dropout", "type": "Float", "low": 0.05, "high": 0.95, "step": 0.15},
    {
        "name": "alpha_ce",
        "type": "Float",
        "low": 0.0,
        "high": 1.0,
        "when": {"parameter": "n_layers", "minimum": 3},
    },
]


def spec_of(parameters: list[dict[str, Any]]) -> Spec:
    sampler = {"type": "Random"}
    return worlds.experiment(parameters=parameters, sampler=sampler, maxTrials=500).spec


def point(spec: Spec, number: int) -> Mapping[str, Value]:
    found = grid_and_random.suggest(spec, [Trial(n, {}) for n in range(number)])
    assert found is not None
    return found


@pytest.mark.parametrize("parameters", [EVERY_KIND, worlds.PARAMETERS])
def test_every_candidate_is_a_point_of_the_space(parameters: list[dict[str, Any]]) -> None:
    spec = spec_of(parameters)
    known = {parameter.name: parameter for parameter in spec.parameters}
    leaders = [point(spec, number) for number in range(1, 6)]
    made = candidates.made(spec, point(spec, 0), leaders, random.Random(0))
    others = candidates.CROSSINGS + candidates.MOVES + candidates.ANYWHERE
    assert made[0] == point(spec, 0)
    assert len(made) == 1 + others
    for found in made:
        assert all(space.contains(known[name], value) for name, value in found.items())
        assert space.reduced(spec, found) == found
        assert space.whole(spec, found)


def test_a_crossing_has_each_value_from_either_of_two() -> None:
    spec, dice = spec_of(EVERY_KIND[:6]), random.Random(0)
    one, other = point(spec, 0), point(spec, 1)
    taken = dict.fromkeys(one, 0)
    for _ in range(100):
        found = candidates.crossed(spec, one, other, dice)
        assert all(found[name] in (one[name], other[name]) for name in one)
        for name in one:
            taken[name] += found[name] == one[name]
    differ = [name for name in one if one[name] != other[name]]
    assert len(differ) >= 4
    assert all(30 <= taken[name] <= 70 for name in differ)


def test_a_move_changes_little() -> None:
    spec, dice = spec_of(EVERY_KIND[:6]), random.Random(0)
    middle: dict[str, Value] = {
        **{"learning_rate": 0.03, "n_layers": 3, "n_heads": 2, "layer_selection": "First"},
        **{"warm_up_steps": 30, "dropout": 0.5},
    }
    made = [candidates.moved(spec, middle, 0.03, dice) for _ in range(300)]
    changed = [sum(found[name] != middle[name] for name in middle) for found in made]
    assert 1.3 < sum(changed) / 300 < 2.5
    assert sum(not count for count in changed) < 60  # a choice may come again
    assert all(0.01 < float(found["learning_rate"]) < 0.1 for found in made)
    assert {found["n_layers"] for found in made} == {2, 3, 4} | {
        found["n_layers"] for found in made if int(found["n_layers"]) in (1, 5)
    }
    assert {found["layer_selection"] for found in made} == {"First", "EvenlySpaced"}


def test_a_step_beyond_the_end_of_a_range_stays_within() -> None:
    spec, dice = spec_of(EVERY_KIND[:6]), random.Random(0)
    edge: dict[str, Value] = {
        **{"learning_rate": 0.8, "n_layers": 6, "n_heads": 6, "layer_selection": "First"},
        **{"warm_up_steps": 1000, "dropout": 0.95},
    }
    known = {parameter.name: parameter for parameter in spec.parameters}
    for _ in range(200):
        found = candidates.moved(spec, edge, 0.25, dice)
        assert all(space.contains(known[name], value) for name, value in found.items())
