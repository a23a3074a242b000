"""How much each parameter decides: exact of the size, and of the rest as far as trials tell."""

import random
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean, pvariance
from typing import Any

import pytest

from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_contract.size import Architecture, Family
from distillery_operator.resource.spec import Spec
from distillery_operator.search import importance
from distillery_operator.trials.trial import State, Trial
from support import worlds

SOURCES = {"teacher": Architecture(Family.BERT, 8000, 512, 768, 3072, 12, 12, 2)}
SHAPE: list[dict[str, Any]] = [
    {"name": "n_layers", "type": "Int", "low": 1, "high": 6},
    {"name": "n_heads", "type": "Categorical", "choices": [2, 4, 12]},
    {"name": "dropout", "type": "Float", "low": 0, "high": 0.5},
]
RATES: list[dict[str, Any]] = [
    {"name": "alpha_ce", "type": "Float", "low": 0, "high": 1},
    {"name": "dropout", "type": "Float", "low": 0, "high": 0.5},
    {"name": "attention_dropout", "type": "Float", "low": 0, "high": 0.5},
    {"name": "n_layers", "type": "Int", "low": 1, "high": 4},
]
EFFECTS = {"alpha_ce": 20.0, "dropout": 20.0, "attention_dropout": 0.0, "n_layers": 0.0}


def spec(parameters: list[dict[str, Any]]) -> Spec:
    return worlds.experiment(parameters=parameters, baselines=[]).spec


def search(count: int, luck: float, effects: dict[str, float] = EFFECTS) -> list[Trial]:
    """Return trials of which exact is a sum of effects over the whole ranges, and luck."""
    dice, found = random.Random(3), []
    for number in range(count):
        shares = {name: dice.random() for name in effects}
        values: dict[str, Value] = {
            "alpha_ce": shares["alpha_ce"],
            "dropout": shares["dropout"] / 2,
            "attention_dropout": shares["attention_dropout"] / 2,
            "n_layers": 1 + int(4 * shares["n_layers"]),
        }
        exact = 50 + sum(effects[n] * shares[n] for n in effects) + dice.gauss(0, luck)
        trial = worlds.completed(number, exact, 1)
        count_ = size.student_size(SOURCES, values)
        found.append(replace(trial, parameters=values, parameter_count=count_))
    return found


def test_shares_of_the_size_are_its_total_indices() -> None:
    found = importance.importances(spec(SHAPE), [], SOURCES)["parameter_count"]
    levels, heads = range(1, 7), (2, 4, 12)

    def weights(n_layers: int, n_heads: int) -> float:
        return size.student_size(SOURCES, {"n_layers": n_layers, "n_heads": n_heads})

    of_layers = fmean(pvariance([weights(each, h) for each in levels]) for h in heads)
    of_heads = fmean(pvariance([weights(each, h) for h in heads]) for each in levels)
    assert found.shares["n_layers"] == pytest.approx(of_layers / (of_layers + of_heads))
    assert found.shares["n_heads"] == pytest.approx(of_heads / (of_layers + of_heads))
    assert found.shares["dropout"] == 0.0
    assert (found.whiskers, found.sentence) == ({}, "Exact: the suggestion decides it.")


def test_what_decides_whether_a_shape_is_searched_decides_the_size() -> None:
    when = {"parameter": "dropout", "minimum": 0.25}
    tied = [SHAPE[2], {**SHAPE[0], "when": when}]
    found = importance.importances(spec(tied), [], SOURCES)["parameter_count"]
    # Half of the students have the teacher's 12 layers, the others 1 to 6.
    between = fmean(pvariance([12.0, float(layers)]) for layers in range(1, 7))
    within = pvariance([float(layers) for layers in range(1, 7)]) / 2
    assert found.shares["dropout"] == pytest.approx(between / (between + within))


def test_impossible_shapes_are_no_part_of_the_space() -> None:
    beyond = [{**SHAPE[0], "high": 14}, *SHAPE[1:]]
    within = [{**SHAPE[0], "high": 12}, *SHAPE[1:]]
    shares = [importance.importances(spec(s), [], SOURCES) for s in (beyond, within)]
    assert shares[0]["parameter_count"] == shares[1]["parameter_count"]


def test_before_the_models_are_known_nothing_is_said_of_the_size() -> None:
    found = importance.importances(spec(SHAPE), [], {})
    assert {f.sentence for f in found.values()} == {
        "0 trials do not tell yet.", "The models are not prepared yet."
    }  # fmt: skip
    same = importance.importances(spec(SHAPE[2:]), [], SOURCES)["parameter_count"]
    assert (same.shares, same.sentence) == ({}, "All students of this search space have one size.")


@pytest.mark.parametrize("effects", [EFFECTS, {**EFFECTS, "attention_dropout": 10.0}])
def test_shares_of_a_sum_are_those_of_its_variance(effects: dict[str, float]) -> None:
    found = importance.importances(spec(RATES), search(100, 1.0, effects), SOURCES)["exact"]
    squares = {name: effect**2 for name, effect in effects.items()}
    for name, square in squares.items():
        share = square / sum(squares.values())
        low, high = found.whiskers[name]
        assert found.shares[name] == pytest.approx(share, abs=0.06)
        assert low - 0.03 <= share <= high + 0.03
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.sentence.startswith("From 100 trials: wrong by 0.97")


def test_while_left_out_trials_are_not_foreseen_there_are_no_shares() -> None:
    found = importance.importances(spec(RATES), search(60, 30.0), SOURCES)["exact"]
    assert found == importance.Importance(sentence="60 trials do not tell yet.")
    few = search(importance.LEAST - 1, 0.1)
    found = importance.importances(spec(RATES), few, SOURCES)["exact"]
    assert found == importance.Importance(sentence="29 trials do not tell yet.")
    found = importance.importances(spec(RATES), search(1, 0.0), SOURCES)["exact"]
    assert found.sentence == "1 trial does not tell yet."


def stopped(trial: Trial, number: int) -> Trial:
    """Return a trial that was stopped with twice the luck, its end being foreseen."""
    expected = {"exact": trial.metrics["exact"]}
    half = {**trial.metrics, "exact": 50.0}
    return replace(trial, number=number, state=State.STOPPED, metrics=half, expected=expected)


def unforeseen(trial: Trial, number: int) -> Trial:
    return replace(stopped(trial, number), expected={})


def collapsed(trial: Trial, number: int) -> Trial:
    fallen = {"exact": 50.0, "HasAns_exact": 0.0, "NoAns_exact": 100.0}
    return replace(unforeseen(trial, number), metrics={**trial.metrics, **fallen})


@pytest.mark.parametrize(("end", "count"), [(stopped, 60), (unforeseen, 40), (collapsed, 60)])
def test_stopped_trials_count_by_the_end_that_is_foreseen(
    end: Callable[[Trial, int], Trial], count: int
) -> None:
    trials = search(60, 1.0)
    ended = [*trials[:40], *(end(trial, trial.number) for trial in trials[40:])]
    found = importance.importances(spec(RATES), ended, SOURCES)["exact"]
    assert f"{count} trials" in found.sentence
    whole = importance.importances(spec(RATES), trials, SOURCES)["exact"]
    assert (found.shares == pytest.approx(whole.shares)) is (end is stopped)
