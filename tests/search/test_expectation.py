"""What trials come to when they are trained again."""

import random
from dataclasses import replace

import pytest

from distillery_operator.resource import space
from distillery_operator.search import expectation
from distillery_operator.trials import pareto
from distillery_operator.trials.trial import State, Trial
from support import worlds

SPACE = [
    {"name": "alpha_ce", "type": "Float", "low": 0, "high": 1},
    {"name": "dropout", "type": "Float", "low": 0, "high": 0.5},
]
SPEC = worlds.experiment(parameters=SPACE, baselines=[]).spec


def truth(trial: Trial) -> float:
    """Return what trainings of a trial's hyperparameters come to in the mean."""
    alpha, dropout = (float(trial.parameters[name]) for name in ("alpha_ce", "dropout"))
    return 70 + 20 * alpha - 60 * (dropout - 0.2) ** 2


def search(count: int, luck: float, effect: float = 1.0, seed: int = 0) -> list[Trial]:
    """Return trials with noise of a standard deviation."""
    dice, found = random.Random(seed), []
    for number in range(count):
        values = {"alpha_ce": dice.random(), "dropout": dice.random() / 2}
        whole = space.described(SPEC, values)
        trial = replace(worlds.completed(number, 70.0, 3), parameters=whole)
        exact = 70 + effect * (truth(trial) - 70) + dice.gauss(0, luck)
        found.append(replace(trial, metrics={**trial.metrics, "exact": exact}))
    return found


def test_the_luckiest_of_many_is_expected_to_come_to_less() -> None:
    trials = search(80, luck=6.0)
    (best,) = pareto.front(SPEC, trials)
    (known,) = expectation.again(SPEC, trials, [best])
    (found,) = known.expected.values()
    assert best.metrics["exact"] - truth(best) > 6
    assert abs(found.mean - truth(best)) < 3
    assert (known.metric, known.trials) == ("exact", 80)
    assert 5 < known.error < known.spread


def test_deviations_are_those_of_trainings_with_other_seeds() -> None:
    trials = search(120, luck=4.0)
    (known,) = expectation.again(SPEC, trials, trials)
    dice, inside = random.Random(1), 0
    for trial in trials:
        found = known.expected[trial.number]
        inside += abs(truth(trial) + dice.gauss(0, 4.0) - found.mean) < found.deviation
    assert 0.58 < inside / len(trials) < 0.78  # 68 % of a normal distribution


def test_nothing_is_expected_by_what_knows_no_more_than_the_mean() -> None:
    trials = search(40, luck=4.0, effect=0.0)
    assert expectation.again(SPEC, trials, trials) == []
    few = search(expectation.LEAST - 1, luck=0.1)
    assert expectation.again(SPEC, few, few) == []
    assert expectation.again(SPEC, search(60, luck=4.0), []) == []


def test_who_collapsed_repeated_or_was_stopped_teaches_nothing() -> None:
    trials = search(40, luck=1.0)
    (known,) = expectation.again(SPEC, trials, trials[:1])
    fallen = {**trials[0].metrics, "exact": 50.0, "HasAns_exact": 0.0, "NoAns_exact": 100.0}
    others = [
        replace(trials[1], number=40, metrics=fallen),
        replace(trials[1], number=41, reason="Duplicate"),
        replace(trials[1], number=42, state=State.STOPPED),
    ]
    assert expectation.again(SPEC, [*trials, *others], trials[:1]) == [known]


def test_of_a_baseline_outside_of_the_search_space_nothing_is_known() -> None:
    trials = search(40, luck=1.0)
    inside = replace(trials[0], baseline="plain")
    scratch = {**trials[1].parameters, "initialization": "Scratch"}
    outside = replace(trials[1], baseline="scratch", parameters=scratch)
    (known,) = expectation.again(SPEC, [inside, outside, *trials[2:]], [inside, outside])
    assert known.trials == 39
    assert known.expected.keys() == {0}


def test_the_newest_trials_count(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = search(30, luck=1.0), search(30, luck=1.0, seed=1)
    new = [replace(trial, number=30 + trial.number) for trial in new]
    monkeypatch.setattr(expectation, "MOST", 30)
    assert expectation.again(SPEC, [*old, *new], new) == expectation.again(SPEC, new, new)
