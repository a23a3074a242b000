"""The search space: active parameters, values and points."""

import math
import warnings
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from distillery_operator.resource import space
from distillery_operator.resource.parameter import STEPS as STEP_LIMIT
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.spec import Spec
from support import worlds
from support.worlds import PARAMETERS

STEPS = {"name": "dropout", "type": "Float", "low": 0, "high": 0.4, "step": 0.1}
SPEC = worlds.experiment(parameters=PARAMETERS).spec


def parameter(**fields: object) -> Parameter:
    return Parameter.model_validate({"name": "dropout", **fields})


def test_a_parameter_is_active_where_the_one_it_depends_on_is_and_has_such_a_value() -> None:
    def actives(**values: Any) -> list[str]:
        return [p.name for p in SPEC.parameters if space.active(p, values)]

    assert actives(initialization="Teacher") == ["initialization"]
    assert actives(initialization="Scratch", hidden_size=48) == ["initialization", "hidden_size"]
    for width in (60, 72):
        assert len(actives(initialization="Scratch", hidden_size=width)) == 3


def test_values_of_what_is_not_active_do_not_belong_to_the_space() -> None:
    given: dict[str, Any] = {
        "initialization": "Teacher",
        "hidden_size": 60,
        "initializer_range": 0.02,
    }
    assert space.reduced(SPEC, given) == {"initialization": "Teacher"}
    given["initialization"] = "Scratch"
    assert space.reduced(SPEC, given) == given
    assert space.reduced(SPEC, {**given, "hidden_size": 61}) == {"initialization": "Scratch"}


def test_what_a_baseline_leaves_at_its_default_decides_what_is_active() -> None:
    choice = {"parameter": "initialization", "values": ["Teacher"]}
    layers = {"name": "layer_selection", "type": "Categorical", "choices": ["First"]}
    tied = worlds.experiment(parameters=[*PARAMETERS, {**layers, "when": choice}]).spec
    assert space.inactive(tied, {"layer_selection": "First"}) == [
        "hidden_size",
        "initializer_range",
    ]
    inside = {"initialization": "Teacher", "layer_selection": "First"}
    assert space.reduced(tied, {"layer_selection": "First"}) == inside
    filled = {**inside, "hidden_size": 72, "initializer_range": 0.02}
    assert space.filled(tied, {"layer_selection": "First"}) == filled


def test_what_training_fixes_belongs_to_the_space_where_it_is_active() -> None:
    tied = worlds.experiment(
        parameters=[
            {"name": "n_layers", "type": "Int", "low": 1, "high": 6},
            {**STEPS, "when": {"parameter": "n_layers", "minimum": 3}},
        ],
        training={"dropout": 0.2},
    ).spec
    assert space.reduced(tied, {"n_layers": 4}) == {"n_layers": 4, "dropout": 0.2}
    assert space.reduced(tied, {"n_layers": 2}) == {"n_layers": 2}


def test_a_model_of_all_parameters_sees_middles_where_one_is_not_active() -> None:
    filled = {"initialization": "Teacher", "hidden_size": 72, "initializer_range": 0.02}
    assert space.filled(SPEC, {"initialization": "Teacher"}) == filled
    assert space.filled(SPEC, {}) == filled  # a baseline: the defaults
    assert space.filled(SPEC, {"initialization": "Scratch"}) is None  # no default of hidden_size


def test_a_grid_has_no_point_twice() -> None:
    assert space.grid_product(SPEC) == 2 * 5 * 3
    assert space.grid_size(SPEC) == 1 + 3 + 2 * 3


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ({"type": "Float", "low": 0.1, "high": 0.4, "step": 0.1}, [0.1, 0.2, 0.3, 0.4]),
        ({"type": "Float", "low": 0, "high": 1, "step": 0.4}, [0.0, 0.4, 0.8]),
        ({"type": "Float", "low": 0.5, "high": 0.5, "step": 0.1}, [0.5]),
        ({"name": "n_layers", "type": "Int", "low": 2, "high": 7, "step": 2}, [2, 4, 6]),
        ({"name": "n_layers", "type": "Int", "low": 1, "high": 3, "log": True}, [1, 2, 3]),
        ({"type": "Categorical", "choices": [0.1, 0.3]}, [0.1, 0.3]),
    ],
)
def test_every_value_is_counted_contained_and_reached(
    fields: dict[str, object], values: list[object]
) -> None:
    wanted = parameter(**fields)
    assert [space.level(wanted, n) for n in range(int(space.count(wanted)))] == values
    shares = [share / 1000 for share in range(1000)]
    reached = [space.value_at(wanted, share) for share in shares]
    assert list(dict.fromkeys(reached)) == values
    assert all(space.contains(wanted, value) for value in reached)


@pytest.mark.parametrize(("low", "high", "step"), [(0.1, 0.7, 0.1), (0, 1, 0.05), (1e-3, 1, 7e-3)])
def test_a_value_beside_a_step_belongs_to_it(low: float, high: float, step: float) -> None:
    wanted = parameter(type="Float", low=low, high=high, step=step)
    places = range(int(space.count(wanted)))
    drawn = [low + place * step for place in places]
    assert drawn != [space.level(wanted, place) for place in places]
    assert [space.nearest(wanted, v) for v in drawn] == [space.level(wanted, n) for n in places]


def test_only_a_stepped_number_is_drawn_to_its_step() -> None:
    flat = parameter(type="Float", low=0.1, high=0.7)
    assert space.nearest(flat, 0.1 + 2 * 0.1) == 0.1 + 2 * 0.1
    layers = parameter(name="n_layers", type="Int", low=1, high=7, step=2)
    assert space.nearest(layers, 4) == 4
    assert space.nearest(parameter(type="Categorical", choices=["a"]), "a") == "a"


@pytest.mark.parametrize(
    ("fields", "low", "high", "found"),
    [
        ({"type": "Int", "low": 2, "high": 6, "step": 2}, 3, 3, False),
        ({"type": "Int", "low": 2, "high": 6, "step": 2}, 3, 4, True),
        ({"type": "Int", "low": 2, "high": 7, "step": 2}, 7, math.inf, False),
        ({"type": "Int", "low": 2, "high": 6}, 1, math.inf, True),
        ({"type": "Int", "low": 2, "high": 6}, -math.inf, 1, False),
        ({"type": "Int", "low": 1, "high": 48, "log": True}, 7, 7, True),
        ({"type": "Float", "low": 0, "high": 1, "step": 0.1}, 0.3, 0.3, True),
        ({"type": "Float", "low": 0, "high": 1, "step": 0.1}, 0.31, 0.39, False),
        ({"type": "Float", "low": 0, "high": 1, "step": 0.1}, 1, 1e300, True),
        ({"type": "Float", "low": 0, "high": 1}, 0.35, 0.35, False),
        ({"type": "Float", "low": 0, "high": 1}, 1, 2, False),
        ({"type": "Float", "low": 0, "high": 1}, 0.9, 2, True),
        ({"type": "Float", "low": 0.5, "high": 0.5}, 0.5, 2, True),
    ],
)
def test_bounds_hold_for_a_value_or_for_none(
    fields: dict[str, object], low: float, high: float, found: bool
) -> None:
    assert space.crosses(parameter(**fields), low, high) is found


def test_a_range_is_reached_evenly_on_its_scale() -> None:
    wide = parameter(name="learning_rate", type="Float", low=1e-5, high=1e-2, log=True)
    values = [space.value_at(wide, share / 3) for share in (0, 1, 2)]
    assert values == pytest.approx([1e-5, 1e-4, 1e-3])
    assert space.count(wide) == math.inf
    flat = parameter(type="Float", low=0.2, high=0.4)
    values = [space.value_at(flat, share / 8) for share in range(8)]
    assert {round(float(b) - float(a), 6) for a, b in pairwise(values)} == {0.025}


def test_the_order_of_magnitude_of_a_grid_is_known_without_building_it() -> None:
    fine: list[dict[str, Any]] = [
        {"name": name, "type": "Float", "low": 0, "high": 1, "step": 1e-7}
        for name in ("dropout", "qa_dropout")
    ]
    found: Spec = worlds.experiment(parameters=fine).spec
    assert space.grid_product(found) == pytest.approx(1e14)


@given(
    high=st.floats(1e-6, 1e3),
    share=st.floats(0, 1),
    steps=st.floats(1, STEP_LIMIT),
    place=st.floats(0, 1, exclude_max=True),
)
def test_each_value_of_the_finest_steps_is_one_to_optuna_too(
    high: float, share: float, steps: float, place: float
) -> None:
    given_ = {"type": "Float", "low": share * high, "high": high, "step": high / steps}
    fine = parameter(**given_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the last step is short
        known = FloatDistribution(fine.low or 0.0, high, step=high / steps)
    value = space.level(fine, int(place * space.count(fine)))
    assert space.contains(fine, value)
    create_trial(params={"dropout": value}, distributions={"dropout": known}, value=1.0)
