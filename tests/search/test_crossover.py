"""What TPE draws is crossed with points of the front, as often as the spec says."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from distillery_contract.parameters import Value
from distillery_operator.resource import space
from distillery_operator.resource.sampler import SamplerType
from distillery_operator.resource.spec import Spec
from distillery_operator.search import crossover
from distillery_operator.search.suggester import Suggester
from distillery_operator.trials import pareto
from distillery_operator.trials.trial import Trial
from support import worlds

DRAWN: dict[str, Value] = {"learning_rate": 0.3, "n_layers": 6, "layer_selection": "First"}


def crossing_with(share: float, **changes: Any) -> Spec:
    return worlds.experiment(maxTrials=200, sampler={"crossover": share}, **changes).spec


def test_a_crossover_without_a_type_means_tpe() -> None:
    for given in ({"crossover": 0.2}, {"crossover": 0.2, "type": None}):
        assert worlds.experiment(sampler=given).spec.sampler.type is SamplerType.TPE
    assert worlds.experiment(sampler={"seed": 1}).spec.sampler.type is SamplerType.EHVI


def trained(number: int, exact: float, layers: int) -> Trial:
    parameters: dict[str, Value] = {
        "learning_rate": 0.01 + number / 1000,
        "n_layers": layers,
        "layer_selection": "EvenlySpaced",
    }
    return replace(worlds.completed(number, exact, layers), parameters=parameters)


def history(count: int, most: int = 5) -> list[Trial]:
    """Return trials of which the larger ones are better, so that the front has one of each size."""
    chance = random.Random(count)
    sizes = [1 + number % most for number in range(count)]
    return [trained(n, chance.uniform(56, 60) + 4 * size, size) for n, size in enumerate(sizes)]


def test_each_value_is_from_the_draw_or_from_one_point_of_the_front() -> None:
    spec, kinds = crossing_with(1.0), Counter[str]()
    for count in range(30, 60):
        trials = history(count)
        parents = [space.reduced(spec, trial.parameters) for trial in pareto.front(spec, trials)]
        found = crossover.crossed(spec, trials, DRAWN, worlds.size)
        assert any(
            all(found[name] in (DRAWN[name], parent[name]) for name in DRAWN) for parent in parents
        )
        kinds.update(name for name in DRAWN if found[name] != DRAWN[name])
    assert all(5 <= kinds[name] <= 25 for name in DRAWN)  # about one in two


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 60, 90), (1.0, 120, 150)])
def test_as_many_are_crossed_as_the_spec_says(share: float, least: int, most: int) -> None:
    spec = crossing_with(share)
    # Three values from either of two: one crossing in eight is the draw itself.
    changed = [
        crossover.crossed(spec, history(n), DRAWN, worlds.size) != DRAWN for n in range(20, 170)
    ]
    assert least <= sum(changed) <= most


def test_without_a_front_the_draw_stands() -> None:
    spec = crossing_with(1.0)
    missed = [trained(n, 10.0, 1 + n % 5) for n in range(20)]  # below the threshold
    assert crossover.crossed(spec, missed, DRAWN, worlds.size) is DRAWN
    assert crossover.crossed(spec, [*missed, trained(20, 80.0, 3)], DRAWN, worlds.size) is not DRAWN


def test_a_trial_without_one_of_the_values_passes_on_the_others() -> None:
    """A baseline may have a value beyond the bounds, which nothing is suggested with."""
    spec = crossing_with(1.0)
    for count in range(20, 40):
        trials = [
            replace(trial, parameters={**trial.parameters, "learning_rate": 5.0})
            for trial in history(count)
        ]
        found = crossover.crossed(spec, trials, DRAWN, worlds.size)
        assert found.keys() == DRAWN.keys()
        assert found["learning_rate"] == DRAWN["learning_rate"]


def test_where_other_parameters_are_active_the_draw_stands() -> None:
    parameters = [
        {"name": "initialization", "type": "Categorical", "choices": ["Teacher", "Scratch"]},
        {
            "name": "hidden_size",
            "type": "Int",
            "low": 96,
            "high": 384,
            "step": 96,
            "when": {"parameter": "initialization", "values": ["Scratch"]},
        },
    ]
    spec = crossing_with(1.0, parameters=parameters, baselines=[])
    drawn: dict[str, Value] = {"initialization": "Scratch", "hidden_size": 192}
    for count in range(20, 40):
        teachers = [
            replace(trial, parameters={"initialization": "Teacher"}) for trial in history(count)
        ]
        assert crossover.crossed(spec, teachers, drawn, worlds.size) == drawn


def slow(number: int) -> Trial:
    """Return a trial that is the better the lower its learning rate, whatever its size."""
    chance = random.Random(number)
    layers, rate = chance.randint(1, 5), chance.uniform(0.01, 0.9)
    trial = worlds.completed(number, 90 - 30 * rate + chance.gauss(0, 1), layers)
    parameters: dict[str, Value] = {**trial.parameters, "learning_rate": rate}
    return replace(trial, parameters=parameters)


def test_what_seldom_improves_the_front_by_the_forecast_is_seldom_tried() -> None:
    spec, drawn = crossing_with(1.0), {**DRAWN, "learning_rate": 0.9, "n_layers": 2}
    fast = 0
    for count in range(40, 140):
        trials = [slow(number) for number in range(count)]
        fast += crossover.crossed(spec, trials, drawn, worlds.size)["learning_rate"] == 0.9
    assert fast <= 25  # any crossing has it in one case of two


def test_what_may_improve_the_front_as_well_as_not_is_tried_about_as_often() -> None:
    """By its forecast alone one of two that differ by less than the error would never be tried."""
    spec, slower = crossing_with(1.0), Counter[bool]()
    for count in range(60, 160):
        trials = [slow(number) for number in range(count)]
        best = min(pareto.front(spec, trials), key=lambda trial: trial.parameter_count or 0)
        rate = float(best.parameters["learning_rate"]) + 0.01
        drawn: dict[str, Value] = {**best.parameters, "learning_rate": rate}
        found = crossover.crossed(spec, trials, drawn, worlds.size)
        slower[found["learning_rate"] == rate] += 1
    assert min(slower.values()) >= 20


def test_where_no_crossing_promises_anything_one_is_tried() -> None:
    """A forecast that is wrong must not end the search."""
    spec, changed = crossing_with(1.0), 0
    for count in range(30, 60):
        trials = [*history(count), trained(count, 99.99, 1)]
        changed += crossover.crossed(spec, trials, DRAWN, worlds.size) != DRAWN
    assert changed >= 20


def test_a_crossing_that_describes_no_student_is_passed_over() -> None:
    spec = crossing_with(1.0)

    def possible(values: Mapping[str, Value]) -> int | None:
        return None if values["n_layers"] == DRAWN["n_layers"] else worlds.size(values)

    found = [crossover.crossed(spec, history(count), DRAWN, possible) for count in range(6, 106)]
    assert sum(point["n_layers"] == DRAWN["n_layers"] for point in found) <= 3


def test_a_sampler_built_anew_suggests_the_same() -> None:
    spec, trials, suggester = crossing_with(0.5), history(30), Suggester()
    for number in range(30, 45):
        found = suggester.suggest(spec, trials, worlds.size)
        assert found == Suggester().suggest(spec, trials, worlds.size)
        assert found is not None
        running = Trial(number, {**spec.training, **found})
        ended = replace(trained(number, 70.0, 3), parameters=running.parameters)
        trials.append(ended if number % 2 else running)
