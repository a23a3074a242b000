"""How large the students of a space are: as all its points say, without a look at all of them."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_contract.size import Architecture, Family
from distillery_operator.cli import student_sizes
from distillery_operator.errors import InvalidExperiment
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from support import worlds

TEACHER = Architecture(Family.BERT, 1000, 128, 96, 384, 6, 6, 2)
SOURCES = {"teacher": TEACHER, "student": Architecture(Family.BERT, 1000, 128, 64, 256, 4, 4, 2)}
SCRATCH = {"parameter": "initialization", "values": ["Scratch"]}


def points(spec: Spec) -> Iterator[dict[str, Value]]:
    """Yield every point of a space of steps."""
    levels = [
        [space.level(p, place) for place in range(int(space.count(p)))] for p in spec.parameters
    ]
    for values in itertools.product(*levels):
        point: dict[str, Value] = {}
        for parameter, value in zip(spec.parameters, values, strict=True):
            if space.active(parameter, point):
                point[parameter.name] = value
        yield point


def by_all_points(spec: Spec) -> tuple[int | None, int | None, set[str]]:
    counts, rules = [], set()
    for point in points(spec):
        try:
            counts.append(size.student_size(SOURCES, space.described(spec, point)))
        except ValueError as error:
            rules.add(str(error).rpartition(", but got ")[0])
    return min(counts, default=None), max(counts, default=None), rules


def conditions(draw: Any, parents: list[dict[str, Any]]) -> dict[str, Any]:
    """Draw a condition on one of the parameters before, or none."""
    if not parents or draw(st.booleans()):
        return {}
    parent = draw(st.sampled_from(parents))
    if parent["type"] == "Categorical":
        values = draw(st.lists(st.sampled_from(parent["choices"]), min_size=1, unique=True))
        return {"when": {"parameter": parent["name"], "values": values}}
    numbers = st.integers(int(parent["low"]), int(parent["high"]))
    bound = draw(st.sampled_from(["minimum", "maximum", "values"]))
    number = draw(numbers)
    value = [number] if bound == "values" else number
    return {"when": {"parameter": parent["name"], bound: value}}


@st.composite
def spaces(draw: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {
            "name": "initialization",
            "type": "Categorical",
            "choices": draw(
                st.lists(
                    st.sampled_from(["Teacher", "Pretrained", "Scratch"]), min_size=1, unique=True
                )
            ),
        }
    ]
    for name, most in (("pruning_seed", 3), ("n_layers", 8), ("n_heads", 8), ("warm_up_steps", 3)):
        if draw(st.booleans()):
            low, high = sorted(draw(st.tuples(st.integers(1, most), st.integers(1, most))))
            numeric = {"name": name, "type": "Int", "low": low, "high": high}
            made.append({**numeric, **conditions(draw, made)})
    if "Scratch" in made[0]["choices"] and draw(st.booleans()):
        low = draw(st.integers(40, 100))
        step = draw(st.integers(1, 7))
        wide = {"name": "hidden_size", "type": "Int", "low": low, "high": low + 30, "step": step}
        made.append({**wide, "when": SCRATCH})
    return made


@settings(max_examples=200, deadline=None)
@given(spaces())
def test_sizes_are_those_of_all_points(parameters: list[dict[str, Any]]) -> None:
    student = {"model": "small"}
    try:
        spec = worlds.experiment(parameters=parameters, student=student).spec
    except InvalidExperiment:
        assume(False)
    smallest, largest, rules = by_all_points(spec)
    found = student_sizes.of(spec, SOURCES)
    assert (found.smallest, found.largest) == (smallest, largest)
    assert {sentence.rpartition(", but got ")[0] for sentence in found.impossible} == rules


WIDE = [
    {"name": "initialization", "type": "Categorical", "choices": ["Teacher", "Scratch"]},
    {"name": "n_layers", "type": "Int", "low": 1, "high": 48},
    {"name": "n_heads", "type": "Int", "low": 1, "high": 64},
    {"name": "hidden_size", "type": "Int", "low": 8, "high": 4096, "when": SCRATCH},
]


def test_few_of_25_million_shapes_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, count = [], size.student_size

    def counted(sources: Any, parameters: Any) -> int:
        looked.append(parameters)
        return count(sources, parameters)

    monkeypatch.setattr(size, "student_size", counted)
    found = student_sizes.of(worlds.experiment(parameters=WIDE).spec, {"teacher": TEACHER})
    assert len(looked) < 500
    assert found.impossible == (
        "hidden_size must be a multiple of 6, the heads of the source model, but got 8 to 4096",
        "n_heads <= 6 must hold, the heads of the source model, but got 7 to 64",
        "n_layers <= 6 must hold, the layers of the teacher, but got 7 to 48",
    )
    ends = [{"n_layers": 1, "n_heads": 1, "hidden_size": 12}]
    ends += [{"n_layers": 48, "n_heads": 6, "hidden_size": 4092}]
    scratch = [count({"teacher": TEACHER}, {"initialization": "Scratch", **end}) for end in ends]
    assert [found.smallest, found.largest] == scratch


@pytest.mark.parametrize(
    ("parent", "when"),
    [
        ({"type": "Float", "low": 0.0, "high": 0.5}, {"minimum": 0.2}),
        ({"type": "Float", "low": 0.3, "high": 0.3}, {"minimum": 0.2}),
        ({"type": "Float", "low": 0.0, "high": 0.5, "step": 1e-7}, {"minimum": 0.5}),
    ],
)
def test_a_shape_may_depend_on_a_parameter_with_more_values_than_one_can_look_at(
    parent: dict[str, Any], when: dict[str, Any]
) -> None:
    parameters = [
        {"name": "dropout", **parent},
        {
            "name": "n_heads",
            "type": "Int",
            "low": 2,
            "high": 3,
            "when": {"parameter": "dropout", **when},
        },
    ]
    spec = worlds.experiment(parameters=parameters).spec
    found = student_sizes.of(spec, {"teacher": TEACHER})
    fewest = size.student_size({"teacher": TEACHER}, {"n_heads": 2})
    assert found.smallest == fewest
    always = parent["low"] == parent["high"]
    most = {"n_heads": 3} if always else {}
    assert found.largest == size.student_size({"teacher": TEACHER}, most)


def test_a_seed_with_two_billion_values_may_decide_too() -> None:
    parameters = [
        {"name": "pruning_seed", "type": "Int", "low": 0, "high": 2**31 - 1},
        {
            "name": "n_layers",
            "type": "Int",
            "low": 2,
            "high": 3,
            "when": {"parameter": "pruning_seed", "values": [12345, 2_000_000_000]},
        },
    ]
    found = student_sizes.of(worlds.experiment(parameters=parameters).spec, {"teacher": TEACHER})
    known = {"teacher": TEACHER}
    assert found.smallest == size.student_size(known, {"n_layers": 2})
    assert found.largest == size.student_size(known, {})
