"""At which rungs a trial is measured, by what an evaluation costs."""

from dataclasses import replace
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_operator.engine import conditions, requests
from distillery_operator.engine.actions import Launch
from distillery_operator.stopping import measuring
from support import worlds

SQUAD2 = {"train": 132_000.0, "validation": 12_000.0}
SMALL = {"train": 2400.0, "validation": 396.0, "test": 90.0}
USUAL = [0.11, 0.33]


def asked(windows: dict[str, float], epochs: float = 3.0, **spec: Any) -> list[float]:
    return measuring.rungs(worlds.experiment(**spec).spec, {"epochs": epochs}, windows)


def test_an_evaluation_costs_a_third_of_training_on_as_many_windows() -> None:
    spec = worlds.experiment().spec
    assert measuring.price(spec, {"epochs": 3.0}, SQUAD2) == pytest.approx(0.0101, abs=1e-4)
    assert measuring.price(spec, {"epochs": 0.5}, SMALL) == pytest.approx(0.11)
    assert measuring.price(spec, {}, SQUAD2) == measuring.price(spec, {"epochs": 3.0}, SQUAD2)


def test_trials_are_measured_at_rungs_where_that_is_cheap() -> None:
    assert asked(SQUAD2) == USUAL
    assert asked(SMALL, 0.5) == []
    assert asked(SMALL, 2.0) == USUAL  # the same evaluation beside a longer training
    assert asked({}) == USUAL  # an earlier release prepared
    small = {**worlds.DOCUMENT["spec"]["data"], "interimShare": 0.25}
    assert asked(SMALL, 0.5, data=small) == USUAL


@pytest.mark.parametrize(
    "named",
    [
        {"rungs": USUAL},
        {"rungs": [0.5]},
        {"type": "ASHA"},
        {"type": "None", "rungs": [0.5]},  # its guard against the collapse
    ],
)
def test_rungs_that_a_person_asks_for_are_measured_whatever_they_cost(
    named: dict[str, Any],
) -> None:
    assert asked(SMALL, 0.5, earlyStopping=named) == named.get("rungs", USUAL)


def test_nothing_is_measured_for_what_stops_nothing() -> None:
    assert asked(SQUAD2, earlyStopping={"type": "None", "collapse": False}) == []


def test_a_trainer_is_asked_for_them_and_the_condition_says_why_not() -> None:
    experiment = worlds.experiment(training={"epochs": 0.5})
    trial = worlds.completed(0, 80.0, 3)
    trial = replace(trial, parameters={**trial.parameters, "epochs": 0.5})
    for windows, rungs, says in ((SMALL, (), True), ({}, tuple(USUAL), False)):
        prepared = replace(worlds.PREPARATION, windows=windows)
        order = requests.order(experiment, Launch(Stage.TRAIN, 0, 1), trial, prepared)
        seen = replace(worlds.observation(), preparation=prepared)
        message = conditions.prepared(experiment.spec, seen, None).message
        assert (order.rungs, "one takes about" in message) == (rungs, says)
    assert "one takes about 11% of a training and may take 5%" in _said(SMALL)


def _said(windows: dict[str, float]) -> str:
    spec = worlds.experiment(training={"epochs": 0.5}).spec
    return measuring.note(spec, {"epochs": 0.5}, windows)
