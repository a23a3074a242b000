"""Suggestions that repeat an earlier one, whatever they are written like."""

from dataclasses import replace

import pytest

from distillery_contract.parameters import Value
from distillery_operator.search import duplicates
from distillery_operator.trials.trial import Point, State, Trial
from support import calls, worlds

FIRST: dict[str, Value] = {"n_layers": 3, "learning_rate": 1e-4}


def trial(number: int, **parameters: Value) -> Trial:
    return Trial(number, parameters, state=State.COMPLETED if number == 0 else State.RUNNING)


def found(*trials: Trial) -> dict[int, int]:
    fresh = {trial.number for trial in trials}
    twins = duplicates.earlier(trials, worlds.SOURCES, fresh)
    return {number: twin.number for number, twin in twins.items()}


@pytest.mark.parametrize(
    "same",
    [
        FIRST,
        {**FIRST, "learning_rate": 0.0001},
        {**FIRST, "dropout": 0.1, "seed": 42},  # the defaults
        {**FIRST, "n_heads": 6},  # as the teacher has
        {**FIRST, "pruning_seed": 7},  # no head is pruned
    ],
)
def test_equal_trainings_are_twins(same: dict[str, Value]) -> None:
    assert found(trial(0, **FIRST), trial(1, **same)) == {1: 0}


@pytest.mark.parametrize(
    "other",
    [
        {**FIRST, "seed": 43},
        {**FIRST, "n_heads": 4},
        {**FIRST, "learning_rate": 1.0001e-4},
        {**FIRST, "layer_selection": "First"},
        {**FIRST, "n_heads": 99},  # no such student
    ],
)
def test_other_trainings_are_not(other: dict[str, Value]) -> None:
    assert found(trial(0, **FIRST), trial(1, **other)) == {}


def test_what_has_no_effect_tells_none_apart() -> None:
    hard = {**FIRST, "alpha_ce": 0.0}
    assert found(trial(0, **hard, temperature=2.0), trial(1, **hard, temperature=4.0)) == {1: 0}
    whole = {"n_layers": 6, "learning_rate": 1e-4}
    assert found(trial(0, **whole), trial(1, **whole, layer_selection="First")) == {1: 0}


def test_a_failed_trial_is_no_ones_twin() -> None:
    failed = replace(trial(0, **FIRST), state=State.FAILED)
    assert found(failed, trial(1, **FIRST), trial(2, **FIRST)) == {2: 1}


def test_what_was_refused_untrained_is_judged_anew() -> None:
    refused = replace(trial(0, **FIRST), state=State.STOPPED, reason="CannotImprove")
    assert found(refused, trial(1, **FIRST)) == {}
    trained = replace(refused, curve=(Point(1, {"exact": 50.0}),))
    assert found(trained, trial(1, **FIRST)) == {1: 0}


def test_a_baseline_runs_in_any_case_and_its_twin_does_not() -> None:
    known = replace(trial(1, **FIRST), baseline="known")
    assert found(trial(0, **FIRST), known) == {}
    assert found(replace(trial(0, **FIRST), baseline="known"), trial(1, **FIRST)) == {1: 0}


def test_the_result_is_that_of_what_continues_the_first() -> None:
    stopped = replace(trial(0, **FIRST), state=State.STOPPED, reason="Outranked")
    further = replace(trial(1, **FIRST), continues=0)
    assert found(stopped, further, trial(2, **FIRST)) == {2: 1}


def test_only_what_is_nearly_equal_is_compared_in_full() -> None:
    many = [trial(n, n_layers=3, learning_rate=1e-4 * (1 + n)) for n in range(200)]
    again = trial(200, n_layers=3, learning_rate=1e-4)

    def look() -> dict[int, Trial]:
        return duplicates.earlier([*many, again], worlds.SOURCES, {200})

    assert look() == {200: many[0]}
    assert calls.counted(look)["distillery_operator.search.duplicates.key"] == 2
