"""Of the points that may be trained next, the one is chosen that promises most."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from statistics import mean
from typing import Any

import pytest

from distillery_contract.parameters import Value
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.search import candidates, choice
from distillery_operator.search.suggester import Suggester
from distillery_operator.stopping import reasons
from distillery_operator.trials.trial import Point, State, Trial
from support import worlds
from support.histories import experiment, history, trained

DRAWN: dict[str, Value] = {"learning_rate": 0.3, "n_layers": 6, "layer_selection": "First"}
EXACT: dict[str, Any] = {"metric": "exact", "direction": "Maximize", "threshold": 50}
SIZE: dict[str, Any] = {"metric": "parameter_count", "direction": "Minimize"}


SPEC = experiment()


def chosen(spec: Spec, trials: Sequence[Trial], drawn: Mapping[str, Value] = DRAWN) -> Any:
    return choice.chosen(spec, trials, drawn, worlds.size)


def test_what_is_trained_promises_more_than_the_draw() -> None:
    found = [chosen(SPEC, history(count, lowest=0.2)) for count in range(30, 42)]
    assert mean(float(point["learning_rate"]) for point in found) < 0.2  # lower than any before


def test_the_one_that_promises_most_lies_near_those_that_promised_most_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of few points, the most promising ones are moved twice, each time by less."""
    asked: list[tuple[int, int]] = []
    near = candidates.near

    def noted(spec: Spec, points: Sequence[Mapping[str, Value]], closer: int, dice: Random) -> Any:
        asked.append((len(points), closer))
        return near(spec, points, closer, dice)

    monkeypatch.setattr(candidates, "near", noted)
    assert chosen(SPEC, history(42)) is not DRAWN
    (_, first), *later = asked
    assert first == 1  # around the leaders
    assert later == [(choice.MOVED, closer) for closer in range(1, choice.ROUNDS + 1)]


def test_what_never_learns_is_avoided() -> None:
    """Rates below 0.2 end best by what the others tell, but collapse."""
    found = []
    for count in range(40, 52):
        trials = history(count)
        for place, trial in enumerate(trials):
            if float(trial.parameters["learning_rate"]) < 0.2:
                silent = {"exact": 50.0, "HasAns_exact": 0.0, "NoAns_exact": 100.0}
                trials[place] = replace(trial, metrics={**trial.metrics, **silent})
        found.append(float(chosen(SPEC, trials)["learning_rate"]))
    assert sum(rate < 0.15 for rate in found) <= 3
    assert mean(found) < 0.35


@pytest.mark.parametrize("kind", ["constraint", "infeasible"])
def test_what_breaks_a_limit_or_ends_without_a_result_is_avoided(kind: str) -> None:
    spec = experiment(constraints=[{"metric": "f1", "minimum": 60}])
    found = []
    for count in range(40, 52):
        trials = []
        for trial in history(count):
            low = float(trial.parameters["learning_rate"]) < 0.2
            told = {**trial.metrics, "f1": 10.0 if low and kind == "constraint" else 70.0}
            made = replace(trial, metrics=told)
            if low and kind == "infeasible":
                made = replace(trial, state=State.INFEASIBLE, metrics={}, reason="Diverged")
            trials.append(made)
        found.append(float(chosen(spec, trials)["learning_rate"]))
    assert sum(rate < 0.15 for rate in found) <= 3


def test_the_end_that_was_expected_of_stopped_trials_teaches() -> None:
    """All that were trained to their end are slow; the fast ones were stopped."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for count in range(30, 38):
        slow = history(count, lowest=0.5)
        stopped = [
            replace(
                trained(count + n, 0.05 + n / 100, 3),
                state=State.STOPPED,
                reason=reasons.CANNOT_IMPROVE,
                curve=(Point(1, {"exact": 20.0}),),
                expected={"exact": 95.0, "HasAns_exact": 95.0, "NoAns_exact": 95.0},
            )
            for n in range(10)
        ]
        for taught in (True, False):
            trials = [*slow, *stopped] if taught else [*slow, *gone(10)]
            found[taught].append(float(chosen(SPEC, trials)["learning_rate"]))
    assert mean(found[True]) < 0.7 * mean(found[False])


def test_while_little_was_learnt_the_draw_stands() -> None:
    trials = history(choice.LEAST)
    few = [chosen(SPEC, [*trials[:-1], *gone(n)]) for n in range(12)]
    enough = [chosen(SPEC, [*trials, *gone(n)]) for n in range(12)]
    assert all(point is DRAWN for point in few)
    assert not any(point is DRAWN for point in enough)


def gone(count: int) -> list[Trial]:
    return [Trial(100 + number, DRAWN, State.FAILED) for number in range(count)]


@pytest.mark.parametrize(
    ("objectives", "chooses"),
    [
        ([EXACT, SIZE], True),
        ([{**EXACT, "threshold": None}, SIZE], True),
        ([EXACT], True),
        ([SIZE], False),
        ([EXACT, {"metric": "f1", "direction": "Maximize"}, SIZE], False),
    ],
)
def test_it_chooses_where_a_training_tells_one_objective(
    objectives: list[dict[str, Any]], chooses: bool
) -> None:
    known = [{k: v for k, v in objective.items() if v is not None} for objective in objectives]
    spec = experiment(objectives=known)
    told = [replace(t, metrics={**t.metrics, "f1": 70.0}) for t in history(40)]
    found = [chosen(spec, [*told, *gone(n)]) for n in range(4)]
    assert any(point is not DRAWN for point in found) == chooses


def test_of_one_objective_the_best_is_wanted_whatever_its_size() -> None:
    spec = experiment(objectives=[EXACT])
    found = [chosen(spec, history(count)) for count in range(40, 52)]
    assert mean(int(point["n_layers"]) for point in found) > 4.5
    assert mean(float(point["learning_rate"]) for point in found) < 0.15


def test_no_trial_is_repeated_and_no_student_without_a_shape_is_chosen() -> None:
    parameters = [
        {"name": "n_layers", "type": "Int", "low": 1, "high": 6},
        {"name": "layer_selection", "type": "Categorical", "choices": ["First", "EvenlySpaced"]},
    ]
    spec = experiment(parameters=parameters)
    drawn: dict[str, Value] = {"n_layers": 1, "layer_selection": "First"}
    trials = [
        replace(t, parameters={n: t.parameters[n] for n in drawn})
        for t in (trained(n, 0.1, 1 + n % 5) for n in range(10))
    ]

    def possible(values: Mapping[str, Value]) -> int | None:
        return None if values.get("layer_selection") == "First" else worlds.size(values)

    told = {tuple(space.reduced(spec, trial.parameters).items()) for trial in trials}
    found = [choice.chosen(spec, [*trials, *gone(n)], drawn, worlds.size) for n in range(15)]
    others = [choice.chosen(spec, [*trials, *gone(n)], drawn, possible) for n in range(15)]
    assert not any(tuple(p.items()) in told for p in found if p is not drawn)
    kinds = Counter(p["layer_selection"] for p in others if p is not drawn)
    assert kinds == {"EvenlySpaced": kinds["EvenlySpaced"]}
    assert kinds["EvenlySpaced"] >= 8


def test_a_student_above_the_limit_of_the_size_is_not_chosen() -> None:
    def largest(**limit: Any) -> int:
        spec = experiment(objectives=[EXACT, {**SIZE, **limit}])
        small = {**DRAWN, "n_layers": 3}
        found = [chosen(spec, [*history(40), *gone(n)], small) for n in range(10)]
        return max(int(point["n_layers"]) for point in found)

    assert largest(threshold=300_000) <= 3 < largest()


def test_a_search_built_anew_suggests_the_same() -> None:
    when = {"parameter": "n_layers", "minimum": 3}
    tied = {"name": "dropout", "type": "Float", "low": 0, "high": 0.5, "when": when}
    spec = experiment(parameters=[*worlds.DOCUMENT["spec"]["parameters"], tied])
    suggester, trials = Suggester(), history(30)
    for number in range(30, 40):
        found = suggester.suggest(spec, trials, worlds.size)
        assert found == Suggester().suggest(spec, trials, worlds.size)
        assert found is not None
        assert ("dropout" in found) == (int(found["n_layers"]) >= 3)
        running = Trial(number, {**spec.training, **found}, parameter_count=worlds.size(found))
        ended = replace(trained(number, 0.1, 3), parameters=running.parameters)
        trials.append(ended if number % 2 else running)
