"""Tests of what a search has chosen: who is tested, when, and what follows a test that failed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.engine import conditions, decide, requests, usage
from distillery_operator.engine.actions import (
    Action,
    Collect,
    KeepTest,
    Launch,
    Release,
    Remember,
)
from distillery_operator.engine.decide import Decision
from distillery_operator.resource.experiment import Experiment
from distillery_operator.trials.attempt import Attempt, Phase, Report
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import FinalTest, State, Trial
from support import worlds

DATA = {**worlds.DOCUMENT["spec"]["data"], "test": "test.json"}


def experiment(**spec: Any) -> Experiment:
    wanted = {"data": DATA, "maxTrials": 4, "maxCrashes": 1, "parallelism": 2}
    return worlds.experiment(**{**wanted, **spec})


WANTED = experiment(baselines=[{"name": "six", "parameters": {"n_layers": 6}}])
FRONT = (
    worlds.completed(0, 75.0, 6, model="m0", baseline="six"),  # beaten by trial 2
    worlds.completed(1, 70.0, 2, model="m1"),
    worlds.completed(2, 80.0, 4, model="m2"),
    worlds.completed(3, 40.0, 1, model="m3"),  # below the threshold
)
REPORT = Report("x", test={"exact": 69.0, "parameter_count": 2e5}, teacher_test={"exact": 88.0})
FIRST = Attempt(Stage.TEST, 1, 1, Phase.ENDED, Exit.OK, started=10.0, ended=20.0, gpus=1.0)
RUNNING = replace(FIRST, phase=Phase.RUNNING, exit_code=None, ended=None)
FAILED = replace(FIRST, exit_code=int(Exit.BAD_REQUEST), message="there is no such stage")


def decided(
    *attempts: Attempt,
    trials: tuple[Trial, ...] = FRONT,
    reports: Mapping[Attempt, Report] | None = None,
    wanted: Experiment = WANTED,
    **more: Any,
) -> tuple[Observation, Decision]:
    seen = worlds.observation(trials, attempts, dict(reports or {}))
    seen = replace(seen, **more)
    return seen, decide.decide(wanted.spec, seen)


def acts(decision: Decision) -> list[Action]:
    return [a for a in decision.actions if not isinstance(a, Remember | Collect)]


def with_test(trial: Trial) -> Trial:
    exact = trial.metrics["exact"] - 1
    return replace(trial, test=FinalTest({"exact": exact}, {"exact": 88.0}, 36.0, 1.0))


def said(wanted: Experiment, seen: Observation, decision: Decision) -> tuple[str, str, str]:
    (found,) = conditions.tested(wanted.spec, seen, decision)
    return found.status, found.reason, found.message


def test_the_front_and_the_baselines_are_tested_once_the_search_is_over() -> None:
    seen, decision = decided()
    assert decision.done is not None
    assert not decision.finished
    assert acts(decision) == [Launch(Stage.TEST, 0, 1), Launch(Stage.TEST, 1, 1)]  # two at a time
    assert said(WANTED, seen, decision) == (
        "Unknown",
        "Testing",
        "0 of 3 models are tested, 0 processes run",
    )
    _, decision = decided(RUNNING, trials=(with_test(FRONT[0]), *FRONT[1:]))
    assert decision.done is not None
    assert acts(decision) == [Launch(Stage.TEST, 2, 1)]
    all_tested = tuple(with_test(t) if t.number < 3 else t for t in FRONT)
    seen, decision = decided(trials=all_tested)
    assert decision.finished
    assert acts(decision) == []
    assert said(WANTED, seen, decision)[:2] == ("True", "Tested")


def test_nothing_is_tested_while_the_search_goes_on_or_without_test_questions() -> None:
    open_ = Trial(3, {"n_layers": 5}, parameter_count=500_000)
    seen, decision = decided(trials=(*FRONT[:3], open_))
    assert [a.stage for a in acts(decision) if isinstance(a, Launch)] == [Stage.TRAIN]
    assert said(WANTED, seen, decision)[:2] == ("Unknown", "Searching")
    without = experiment(data=worlds.DOCUMENT["spec"]["data"])
    seen, decision = decided(wanted=without)
    assert decision.finished
    assert acts(decision) == []
    assert conditions.tested(without.spec, seen, decision) == []


@pytest.mark.parametrize("held", ["suspended", "obstacle", "foreign"])
def test_a_test_waits_like_a_trial(held: str) -> None:
    wanted = experiment(suspend=held == "suspended", parallelism=4)
    foreign = (replace(RUNNING, digest="of another trial"),) if held == "foreign" else ()
    obstacle = "the template is refused" if held == "obstacle" else ""
    seen, decision = decided(wanted=wanted, obstacle=obstacle, foreign=foreign)
    launched = [a.trial for a in acts(decision) if isinstance(a, Launch)]
    assert launched == ([0, 2] if held == "foreign" else [])
    assert not decision.finished
    assert ("nothing starts" in said(wanted, seen, decision)[2]) == (held != "foreign")


def test_a_result_is_stored_in_its_own_place_and_its_attempt_is_let_go() -> None:
    _, decision = decided(FIRST, reports={FIRST: REPORT}, now=100.0)
    (keep,) = [a for a in decision.actions if isinstance(a, KeepTest)]
    assert (keep.trial, keep.test.metrics, keep.test.teacher) == (
        1,
        REPORT.test,
        REPORT.teacher_test,
    )
    assert (keep.test.seconds, keep.test.gpus, keep.test.at) == (10.0, 1.0, 100.0)
    assert Launch(Stage.TEST, 1, 2) not in decision.actions
    trials = (FRONT[0], with_test(FRONT[1]), *FRONT[2:])
    _, decision = decided(FIRST, trials=trials)
    assert Release(FIRST) in decision.actions
    assert not [a for a in decision.actions if isinstance(a, Remember)]


def test_a_test_that_was_interrupted_or_crashed_starts_again_within_the_limits_of_a_trial() -> None:
    lost = replace(FIRST, exit_code=None, disrupted=True)
    crashed = replace(FIRST, exit_code=1)
    for before in ((lost,), (crashed,), (FIRST,)):  # the last one left no result
        _, decision = decided(*before)
        assert Launch(Stage.TEST, 1, 2) in decision.actions
    _, decision = decided(crashed, replace(crashed, number=2))
    assert [a.trial for a in acts(decision) if isinstance(a, Launch)] == [0, 2]
    assert decision.tests.failed.keys() == {1}


def test_a_test_that_failed_is_said_and_tried_again_after_the_next_edit() -> None:
    trials = (with_test(FRONT[0]), FRONT[1], with_test(FRONT[2]), FRONT[3])
    seen, decision = decided(replace(FAILED, generation=1), trials=trials)
    assert decision.finished
    status, reason, message = said(WANTED, seen, decision)
    assert (status, reason) == ("False", "TestFailed")
    assert (
        "1 of 3 models could not be tested; trial 1: BadRequest: there is no such stage" in message
    )
    _, decision = decided(replace(FAILED, generation=1), trials=trials, generation=2)
    assert acts(decision) == [Launch(Stage.TEST, 1, 2)]


def test_a_value_out_of_bounds_is_no_result() -> None:
    absurd = replace(REPORT, test={"exact": 250.0})
    _, decision = decided(FIRST, reports={FIRST: absurd})
    assert not [a for a in decision.actions if isinstance(a, KeepTest)]
    assert "exact must be" in decision.tests.failed[1].message


def test_data_that_are_gone_are_prepared_again_before_the_next_test() -> None:
    gone = replace(FIRST, exit_code=int(Exit.BAD_DATA))
    _, decision = decided(gone)
    assert acts(decision) == [Launch(Stage.PREPARE, 0, 1)]
    assert decision.done is not None
    again = Attempt(Stage.PREPARE, 0, 1, Phase.RUNNING, started=30.0)
    _, decision = decided(gone, again)
    assert acts(decision) == []
    assert decision.done is not None
    _, decision = decided(gone, replace(again, phase=Phase.ENDED, exit_code=0, ended=40.0))
    assert Launch(Stage.TEST, 1, 2) in decision.actions


def test_a_search_that_goes_on_tests_new_points_at_its_next_end_and_old_ones_never_again() -> None:
    before = tuple(with_test(t) if t.number < 3 else t for t in FRONT)
    more = experiment(maxTrials=5)
    seen, decision = decided(trials=before, wanted=more)
    assert decision.done is None
    assert "no independent test any more" in said(more, seen, decision)[2]
    better = worlds.completed(4, 85.0, 2, model="m4")  # beats trials 1 and 2
    seen, decision = decided(trials=(*before, better), wanted=more)
    assert acts(decision) == [Launch(Stage.TEST, 4, 1)]
    assert seen.trials[1].test == before[1].test


def test_a_test_that_runs_while_the_search_goes_on_is_left_alone() -> None:
    more = experiment(maxTrials=5)
    _, decision = decided(RUNNING, wanted=more, now=5000.0)
    assert decision.done is None
    assert not [a for a in decision.actions if type(a).__name__ == "Halt"]
    _, decision = decided(FIRST, reports={FIRST: REPORT}, wanted=more)
    assert [a.trial for a in decision.actions if isinstance(a, KeepTest)] == [1]


def test_no_file_is_removed_while_its_model_is_tested() -> None:
    better = worlds.completed(3, 85.0, 2, model="m3")  # beats trials 1 and 2
    _, decision = decided(RUNNING, trials=(*FRONT[:3], better))
    (collect,) = [a for a in decision.actions if isinstance(a, Collect)]
    assert collect.trials == (2,)


def test_the_time_of_tests_counts_for_budgets_once() -> None:
    wanted = experiment(maxGpuHours=1)
    seen, _ = decided(FIRST, wanted=wanted)
    before = usage.gpu_hours(seen)
    stored = (FRONT[0], with_test(FRONT[1]), *FRONT[2:])  # stored, and its attempt still listed
    seen, _ = decided(FIRST, trials=stored, wanted=wanted)
    assert before * 3600 == pytest.approx(10.0)
    assert usage.gpu_hours(seen) * 3600 == pytest.approx(36.0)


def test_a_status_shows_both_values() -> None:
    trials = (*map(with_test, FRONT[:3]), FRONT[3])
    seen, _ = decided(trials=trials)
    found = worlds.status(WANTED, seen)
    assert [(p.values["exact"], p.test["exact"]) for p in found.front] == [
        (80.0, 79.0),
        (70.0, 69.0),
    ]
    assert [(b.values["exact"], b.test["exact"]) for b in found.baselines] == [(75.0, 74.0)]
    assert (found.teacher["exact"], found.teacher_test["exact"]) == (90.0, 88.0)
    assert found.state == "Succeeded"


def test_a_test_is_asked_for_what_its_trial_was_trained_by() -> None:
    trial = replace(FRONT[1], continues=0)
    order = requests.order(WANTED, Launch(Stage.TEST, 1, 1), trial, worlds.PREPARATION)
    assert order.stage is Stage.TEST
    assert order.output == requests.output(WANTED, 1)
    assert (order.parameters, order.prepared) == (dict(trial.parameters), "key")
    assert order.rungs == ()
    trained = requests.order(WANTED, Launch(Stage.TRAIN, 1, 1), trial, worlds.PREPARATION)
    assert requests.digest(order) != requests.digest(trained)


def test_a_trial_without_a_model_is_not_tested() -> None:
    collected = replace(FRONT[1], model=None, collected=True)
    _, decision = decided(trials=(FRONT[0], collected, *FRONT[2:]))
    assert [a.trial for a in acts(decision) if isinstance(a, Launch)] == [0, 2]
    failed = replace(FRONT[0], state=State.FAILED, metrics={}, model=None)
    _, decision = decided(trials=(failed, *FRONT[1:]))
    assert [a.trial for a in acts(decision) if isinstance(a, Launch)] == [1, 2]
