"""Which suggestion is trained: the one of the largest expected gain of hypervolume per second."""

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import worlds
from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_operator import pareto, screening, space, stopping
from distillery_operator.resources import Spec
from distillery_operator.sampling import Suggester
from distillery_operator.trials import State, Trial

SPEC = worlds.experiment(maxTrials=200).spec
UNSCREENED = worlds.experiment(maxTrials=200, sampler={"candidates": 1}).spec
SECONDS_PER_LAYER = 10.0


def sized(values: Mapping[str, Value]) -> int:
    return size.student_size(worlds.SOURCES, values)


def suggestion(layers: int, rate: float, number: int = 99) -> Trial:
    values: dict[str, Value] = {
        "n_layers": layers,
        "learning_rate": rate,
        "layer_selection": "First",
    }
    return Trial(number, values, parameter_count=sized(values))


def trained(number: int, layers: int, rate: float) -> Trial:
    """Return a trial that ends the better, the larger it is and the nearer its rate is to 0.1."""
    exact = 60.0 + 4 * layers - 6 * math.log(rate / 0.1) ** 2 + random.Random(number).gauss(0, 0.2)
    begun = suggestion(layers, rate, number)
    measured = {"exact": exact, "HasAns_exact": exact, "NoAns_exact": exact}
    return replace(
        begun,
        state=State.COMPLETED,
        reason="Completed",
        seconds=SECONDS_PER_LAYER * layers,
        metrics={**measured, "parameter_count": float(begun.parameter_count or 0)},
    )


def history(count: int = 40, seed: int = 1) -> list[Trial]:
    """Return trained suggestions; none of more than four layers has a good learning rate."""
    chance, made = random.Random(seed), list[Trial]()
    while len(made) < count:
        layers, rate = chance.randint(1, 6), math.exp(chance.uniform(math.log(0.01), math.log(0.8)))
        if layers <= 4 or abs(math.log(rate / 0.1)) > 1:
            made.append(trained(len(made), layers, rate))
    return made


def best(trials: list[Trial], *suggestions: Trial) -> Trial:
    return suggestions[screening.Screen(SPEC, trials).best(suggestions)]


def test_of_one_size_the_better_learning_rate_is_chosen() -> None:
    good, bad = suggestion(5, 0.1), suggestion(5, 0.5)
    assert best(history(), bad, good) is good
    assert best(history(), good, bad) is good


def test_what_a_smaller_trial_beats_is_not_chosen() -> None:
    trials = [*history(), trained(40, 1, 0.1), trained(41, 2, 0.1)]
    useless, useful = suggestion(3, 0.4), suggestion(6, 0.1)
    assert best(trials, useless, useful) is useful


def test_of_two_that_gain_alike_the_quicker_one_is_chosen() -> None:
    def selecting(trial: Trial, layers: str) -> Trial:
        return replace(trial, parameters={**trial.parameters, "layer_selection": layers})

    trials = [
        replace(selecting(t, "EvenlySpaced"), seconds=10 * t.seconds) if t.number % 2 else t
        for t in history()
    ]
    quick = suggestion(6, 0.1)
    slow = selecting(quick, "EvenlySpaced")
    assert best(trials, slow, quick) is quick
    assert best(history(), slow, quick) is slow


def test_where_none_promises_anything_the_least_hopeless_is_chosen() -> None:
    trials = [*history(), *(trained(40 + n, n, 0.1) for n in range(1, 7))]
    hopeless, hardly = suggestion(4, 0.8), suggestion(4, 0.16)
    assert best(trials, hopeless, hardly) is hardly
    assert best(trials, hopeless, suggestion(4, 0.79)) is hopeless


def test_with_few_trials_or_many_objectives_nothing_is_told() -> None:
    assert not screening.Screen(SPEC, history(stopping.UNTRAINED_TRIALS - 1)).tells
    assert screening.Screen(SPEC, history(stopping.UNTRAINED_TRIALS)).tells
    metrics = ("exact", "f1", "HasAns_exact", "parameter_count")
    kinds = {"parameter_count": "Minimize"}
    many = worlds.experiment(
        objectives=[{"metric": m, "direction": kinds.get(m, "Maximize")} for m in metrics]
    ).spec
    full = [replace(t, metrics={**t.metrics, "f1": t.metrics["exact"]}) for t in history()]
    assert not screening.Screen(many, full).tells


def test_trials_of_other_experiments_teach_and_do_not_stand_on_the_front() -> None:
    own, others = history(9), [replace(t, parameter_count=None) for t in history(40, seed=2)]
    assert not screening.Screen(SPEC, own).tells
    screen = screening.Screen(SPEC, own, others)
    assert screen.tells
    assert screen.front == pareto.front(SPEC, own)
    good, bad = suggestion(5, 0.1), suggestion(5, 0.5)
    assert screen.best([bad, good]) == 1


def test_what_is_trained_mixes_the_draw_with_a_point_of_the_front() -> None:
    trials = history()
    (drawn, chosen) = (Suggester().suggest(s, trials, size=sized) for s in (UNSCREENED, SPEC))
    assert drawn is not None
    assert chosen is not None
    parents = [space.reduced(SPEC, t.parameters) for t in pareto.front(SPEC, trials)]
    assert chosen != drawn
    assert any(all(chosen[n] in (drawn[n], parent[n]) for n in chosen) for parent in parents)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_sampler_built_anew_chooses_the_same(seed: int) -> None:
    trials, suggester = history(seed=seed), Suggester()
    for number in range(40, 52):
        found = suggester.suggest(SPEC, trials, size=sized)
        assert found == Suggester().suggest(SPEC, trials, size=sized)
        assert found is not None
        running: Any = found
        trials.append(Trial(number, {**SPEC.training, **running}, parameter_count=sized(running)))
        if number % 2:
            layers, rate = int(running["n_layers"]), float(running["learning_rate"])
            before = trials[number]
            ended = trained(number, layers, rate)
            trials[number] = replace(ended, parameters=before.parameters)


def test_students_that_cannot_be_are_left_to_the_refusal_that_names_them() -> None:
    def none(values: Mapping[str, Value]) -> None:
        return None

    trials = history()
    assert Suggester().suggest(SPEC, trials, size=none) == Suggester().suggest(UNSCREENED, trials)


def test_a_single_objective_is_screened_too() -> None:
    spec = worlds.experiment(objectives=worlds.DOCUMENT["spec"]["objectives"][:1]).spec
    good, bad = suggestion(6, 0.1), suggestion(1, 0.5)
    assert screening.Screen(spec, history()).best([bad, good]) == 1


def gained(spec: Spec, trials: list[Trial], point: Trial) -> float:
    corner = pareto.reference(spec, trials)
    return pareto.hypervolume(spec, [*trials, point], corner) - pareto.hypervolume(
        spec, trials, corner
    )


def test_gains_are_what_the_hypervolume_grows_by() -> None:
    trials = history()
    corner, front = pareto.reference(SPEC, trials), pareto.front(SPEC, trials)
    assert corner is not None
    points = [trained(50 + n, 1 + n % 6, 0.03 + 0.05 * n) for n in range(12)]
    costs = [[-p.metrics["exact"], p.metrics["parameter_count"]] for p in points]
    found = pareto.gains(SPEC, front, corner, np.array(costs))
    assert found == pytest.approx([gained(SPEC, trials, p) for p in points])
    assert (found > 0).any()
    assert (found == 0).any()
