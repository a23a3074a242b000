"""Points that a person suggests: which may run, and what they get where they say nothing."""

import re
from typing import Any

import pytest

from distillery_contract.parameters import Value
from distillery_operator.resource import space, suggestion_rules
from support import worlds

SPEC = worlds.experiment(
    parameters=worlds.PARAMETERS, training={"epochs": 1}, student={"model": None}
).spec
"""Three parameters; the second is active only with the first, the third only with the second."""


@pytest.mark.parametrize(
    ("fixed", "drawn", "expected"),
    [
        ({}, {"initialization": "Teacher"}, {"initialization": "Teacher"}),
        (
            {"initialization": "Scratch"},
            {"initialization": "Teacher"},
            {"initialization": "Scratch", "hidden_size": 72, "initializer_range": 0.02},
        ),
        (
            {"initialization": "Scratch", "hidden_size": 60.0},
            {"initialization": "Scratch", "hidden_size": 96},
            {"initialization": "Scratch", "hidden_size": 60, "initializer_range": 0.02},
        ),
        (
            {"initialization": "Scratch", "hidden_size": 48},
            {"initialization": "Scratch", "hidden_size": 60, "initializer_range": 0.03},
            {"initialization": "Scratch", "hidden_size": 48},
        ),
    ],
)
def test_what_is_given_stands_and_the_rest_is_drawn_or_in_the_middle(
    fixed: dict[str, Any], drawn: dict[str, Value], expected: dict[str, Value]
) -> None:
    assert suggestion_rules.fault(SPEC, fixed) is None
    point = suggestion_rules.completed(SPEC, fixed, drawn)
    assert point == expected
    assert space.whole(SPEC, point)


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ({"hidden_size": 60}, "only with certain values of initialization, so one of them"),
        ({"initialization": "Teacher", "hidden_size": 60}, "hidden_size is searched only"),
        (
            {"initialization": "Scratch", "hidden_size": 61},
            "from 48 to 96 in steps of 12, but got 61",
        ),
        ({"initialization": ["Scratch"]}, r"but got \[\"Scratch\"\]"),
        ({"seed": 1, "alpha": 2}, "seed is not in the search space, which has initialization"),
    ],
)
def test_what_does_not_fit_is_said(fixed: dict[str, Any], words: str) -> None:
    assert re.search(words, suggestion_rules.fault(SPEC, fixed) or "")


def test_all_that_does_not_fit_is_said_at_once() -> None:
    fixed = {"seed": 1, "initialization": "Teacher", "hidden_size": 60, "initializer_range": 9}
    assert [name for name, _ in suggestion_rules.faults(SPEC, fixed)] == [
        "seed",
        "hidden_size",
        "initializer_range",
    ]
