"""Trials that a person enqueued: which may run, and what they get where they say nothing."""

import re
from typing import Any

import pytest

from distillery_contract.parameters import Value
from distillery_operator.resource import space
from distillery_operator.study import enqueued
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
    assert enqueued.fault(SPEC, fixed) is None
    point = enqueued.completed(SPEC, fixed, drawn)
    assert point == expected
    assert space.whole(SPEC, point)


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ({"hidden_size": 60}, "only with certain values of initialization, so one of them"),
        ({"initialization": "Teacher", "hidden_size": 60}, "hidden_size is searched only"),
        ({"initialization": "Scratch", "hidden_size": 61}, "a value of the search space, but got"),
        ({"initialization": ["Scratch"]}, r"but got \['Scratch'\]"),
        ({"seed": 1, "alpha": 2}, "alpha is not in the search space, which has initialization"),
    ],
)
def test_what_does_not_fit_is_said(fixed: dict[str, Any], words: str) -> None:
    assert re.search(words, enqueued.fault(SPEC, fixed) or "")
