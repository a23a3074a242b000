"""Budgets: each ends a search with its reason before it is passed; a greater one continues it."""

from dataclasses import replace
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_operator.engine import budgets, decide, usage
from distillery_operator.engine.actions import Ask, Launch
from distillery_operator.engine.budgets import Closing
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.attempt import Attempt, Phase
from distillery_operator.trials.observation import Observation, Others
from distillery_operator.trials.trial import Trial
from support import worlds

HOUR = 3600.0


def spec(**fields: object) -> Spec:
    return worlds.experiment(**{"maxTrials": 200, "parallelism": 4, **fields}).spec


def ended(count: int, hours: float = 1.0, gpus: float = 1.0) -> tuple[Trial, ...]:
    return tuple(
        worlds.completed(n, 80.0, 1 + n % 6, seconds=hours * HOUR, gpus=gpus, ended=float(n))
        for n in range(count)
    )


def running(number: int, hours: float, now: float = 100 * HOUR) -> Attempt:
    return Attempt(Stage.TRAIN, number, 1, Phase.RUNNING, started=now - hours * HOUR)


def seen(trials: tuple[Trial, ...], *attempts: Attempt, gpus: float = 1.0) -> Observation:
    return replace(worlds.observation(trials, attempts, now=100 * HOUR), gpus=gpus)


def closing(wanted: Spec, found: Observation) -> Closing:
    end = budgets.closing(wanted, found)
    assert end is not None
    return end


def repeat(number: int) -> Trial:
    """Return a trial that repeats the first one."""
    made = worlds.completed(number, 80.0, 1, seconds=0.0)
    return replace(made, reason="Duplicate", ended=float(number))


def starts(wanted: Spec, found: Observation) -> int:
    actions = decide.decide(wanted, found).actions
    launched = sum(isinstance(a, Launch) for a in actions)
    return launched + sum(a.count for a in actions if isinstance(a, Ask))


@pytest.mark.parametrize(
    ("budget", "reason", "sentence"),
    [
        (
            {"maxGpuHours": 3},
            "MaxGpuHoursReached",
            "the budget of 3 GPU-hours is spent: 3 are used, and a further trial takes about 1",
        ),
        (
            {"maxCost": 7, "costPerGpuHour": 2},
            "MaxCostReached",
            "the budget of 7, worth 3.5 GPU-hours is spent: 3 are used, and a further trial takes"
            " about 1",
        ),
        (
            {"maxDurationSeconds": 7200},
            "MaxDurationReached",
            "the time budget of 7200 s is spent after 360000 s",
        ),
    ],
)
def test_a_spent_budget_ends_the_search_with_its_reason_and_its_numbers(
    budget: dict[str, object], reason: str, sentence: str
) -> None:
    found, wanted = seen(ended(3)), spec(**budget)
    assert decide.decide(wanted, found).done == Closing(reason, sentence)
    assert starts(wanted, found) == 0
    name = next(iter(budget))
    assert starts(spec(**{**budget, name: 400_000}), found) == decide.AT_ONCE


def test_no_more_trials_start_than_the_budget_pays_for() -> None:
    assert starts(spec(maxGpuHours=4.5), seen(ended(3))) == 1
    waiting = (*ended(3), Trial(3, {"n_layers": 2}))
    assert starts(spec(maxGpuHours=5.5), seen(waiting)) == 2
    assert starts(spec(maxGpuHours=3.5), seen(waiting)) == 0
    assert starts(spec(maxGpuHours=0.1), seen(())) == decide.AT_ONCE  # no time is known yet


def test_what_runs_is_expected_to_take_as_long_as_what_has_ended() -> None:
    open_trials = (*ended(3), Trial(3, {"n_layers": 2}))
    found = seen(open_trials, running(3, hours=0.25))
    assert usage.hours(found) == 3.25
    assert starts(spec(maxGpuHours=5), found) == 1
    assert closing(spec(maxGpuHours=4.9), found).reason == "MaxGpuHoursReached"
    assert decide.decide(spec(maxGpuHours=4.9), found).done is None  # it runs to its end


def test_a_budget_counts_every_gpu_and_the_preparation() -> None:
    prepared = replace(worlds.PREPARATION, seconds=HOUR, gpus=4.0)
    found = replace(seen(ended(2, gpus=4.0)), preparation=prepared)
    assert usage.hours(found) == usage.gpu_hours(found) == 12.0
    again = Attempt(Stage.PREPARE, 0, 2, Phase.ENDED, exit_code=0, started=0.0, ended=2 * HOUR)
    found = replace(found, attempts=(again,), gpus=2.0)
    assert usage.hours(found) == 8 + 2 * 2


def test_a_trial_keeps_the_gpus_that_it_had() -> None:
    assert usage.hours(seen(ended(2, gpus=4.0), gpus=1.0)) == 8.0


def test_an_interrupted_trial_waits_for_a_greater_budget() -> None:
    trials = (*ended(3), Trial(3, {"n_layers": 2}))
    lost = replace(running(3, hours=1.0), phase=Phase.ENDED, ended=100 * HOUR)
    found = seen(trials, lost)
    assert decide.decide(spec(maxGpuHours=4), found).done is not None
    assert Launch(Stage.TRAIN, 3, 2) in decide.decide(spec(maxGpuHours=6), found).actions


def test_a_budget_that_is_spent_with_the_last_trial_ends_nothing_early() -> None:
    assert closing(spec(maxTrials=4, maxGpuHours=3), seen(ended(4))).reason == "MaxTrialsReached"


def grown(*exact: float) -> tuple[Trial, ...]:
    return tuple(
        worlds.completed(n, value, 2, seconds=1.0, ended=float(n)) for n, value in enumerate(exact)
    )


RULE = {"trials": 3, "gainPercent": 1}


def test_a_search_that_finds_nothing_better_ends_if_asked_to() -> None:
    flat = grown(60.0, 80.0, 70.0, 70.0, 80.1)
    end = closing(spec(stagnation=RULE), seen(flat))
    assert end.reason == "Stagnated"
    assert end.message == (
        "the last 3 ended trials made the hypervolume grow by 0.32 %, less than 1 %"
    )
    assert budgets.closing(spec(), seen(flat)) is None
    assert budgets.closing(spec(stagnation={"trials": 4, "gainPercent": 1}), seen(flat)) is None
    assert budgets.closing(spec(stagnation=RULE), seen(grown(60, 80, 70, 70, 81))) is None
    assert budgets.closing(spec(stagnation=RULE), seen(flat[:3])) is None


def test_a_search_without_a_feasible_trial_does_not_stagnate() -> None:
    assert budgets.closing(spec(stagnation=RULE), seen(grown(*[20.0] * 9))) is None


def test_at_least_twenty_trials_and_a_tenth_must_bring_nothing() -> None:
    def stagnates(count: int, last_gain: int) -> bool:
        exact = [80.0 + 5 * (n >= count - last_gain) for n in range(count)]
        return budgets.closing(spec(maxTrials=999, stagnation={}), seen(grown(*exact))) is not None

    assert stagnates(21, last_gain=0)
    assert not stagnates(20, last_gain=0)
    assert stagnates(200, last_gain=21)
    assert not stagnates(300, last_gain=21)
    assert stagnates(300, last_gain=31)


def test_what_a_stagnating_search_has_suggested_is_still_run() -> None:
    trials = (*grown(*[80.0] * 5), Trial(5, {"n_layers": 2}))
    wanted = spec(stagnation=RULE)
    assert decide.decide(wanted, seen(trials)).actions == [Launch(Stage.TRAIN, 5, 1)]
    assert decide.decide(wanted, seen(trials)).done is None
    assert decide.decide(wanted, seen(trials[:5])).done is not None


def asks(wanted: Spec, found: Observation) -> int:
    actions = decide.decide(wanted, found).actions
    return sum(a.count for a in actions if isinstance(a, Ask))


GRID = {"parameters": [{"name": "n_layers", "type": "Int", "low": 1, "high": 3}]}
OVER: list[tuple[str, dict[str, Any], tuple[Trial, ...]]] = [
    ("GridExhausted", {"sampler": {"type": "Grid"}, **GRID}, ended(6)),
    (
        "SpaceExhausted",
        {},
        (worlds.completed(0, 80.0, 1), *(repeat(number) for number in range(1, 21))),
    ),
    ("Stagnated", {"stagnation": {"trials": 5}}, ended(20)),
]


@pytest.mark.parametrize(("reason", "fields", "trials"), OVER)
def test_a_search_that_has_nothing_more_to_suggest_still_runs_what_a_person_suggests(
    reason: str, fields: dict[str, Any], trials: tuple[Trial, ...]
) -> None:
    found = seen(trials)
    assert closing(spec(**fields), found).reason == reason
    assert decide.decide(spec(**fields), found).done is not None
    assert asks(spec(**fields), found) == 0
    wanted = spec(**fields, suggestions=[{"name": "mine", "parameters": {"n_layers": 2}}])
    assert asks(wanted, found) == 1
    assert decide.decide(wanted, found).done is None
    assert asks(spec(**fields), replace(found, others=Others(enqueued=2))) == 2
    told = (*trials, worlds.completed(len(trials), 80.0, 2, by_hand="mine", ended=1e3))
    assert asks(wanted, seen(told)) == 0
    assert decide.decide(wanted, seen(told)).done is not None


def test_a_suggestion_beyond_max_trials_waits_with_a_sentence() -> None:
    fields: dict[str, Any] = {"suggestions": [{"name": "mine"}], "parallelism": 1}
    done = decide.decide(spec(maxTrials=6, **fields), seen(ended(6))).done
    assert done is not None
    assert done.message == (
        "all 6 trials are suggested; points that you gave wait (1), so raise maxTrials"
    )
    assert asks(spec(maxTrials=7, **fields), seen(ended(6))) == 1


def test_a_suggestion_starts_nothing_once_a_budget_is_spent() -> None:
    wanted = spec(maxGpuHours=3, suggestions=[{"name": "mine"}])
    assert asks(wanted, seen(ended(3))) == 0
    assert decide.decide(wanted, seen(ended(3))).done is not None
