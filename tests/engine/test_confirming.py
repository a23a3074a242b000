"""Tests of the further trainings of a front: who is trained again, when, and what comes of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.engine import conditions, decide, requests, usage
from distillery_operator.engine.actions import (
    Action,
    Ask,
    Collect,
    Collected,
    Forget,
    Halt,
    KeepConfirmation,
    Launch,
    Release,
    Remember,
)
from distillery_operator.engine.decide import Decision
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import ConditionType
from distillery_operator.search import reported
from distillery_operator.stopping.forecast import Expected
from distillery_operator.trials.attempt import Attempt, Phase, Removal, Report
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State, Trial
from support import worlds
from support.seeds import again

ENDS: Final = (80.0, 70.0, 76.0, 74.0, 60.0, 62.0, 58.0, 66.0, 64.0, 68.0, 61.0, 67.0)
LAYERS: Final = (4, 2, 3, 3, 4, 2, 5, 3, 4, 2, 6, 5)


def experiment(**spec: Any) -> Experiment:
    confirm = {"share": 0.5, "report": "Checkpoint"}
    wanted = {"confirm": confirm, "maxTrials": 12, "maxCrashes": 1, "parallelism": 2}
    return worlds.experiment(**{**wanted, **spec})


WANTED = experiment()
EXPECTED = experiment(confirm={"share": 0.5})
FRONT = tuple(
    worlds.completed(n, exact, layers, model=f"m{n}", gpus=1.0)
    for n, (exact, layers) in enumerate(zip(ENDS, LAYERS, strict=True))
)
"""Twelve trials, of which 0, 1 and 2 stand on the measured front: 80 %, 70 % and 76 %."""

FINAL = Report("x", final=True, metrics={"exact": 65.0, "HasAns_exact": 64.0, "NoAns_exact": 66.0})
FIRST = Attempt(Stage.CONFIRM, 2, 1, Phase.ENDED, Exit.OK, started=10.0, ended=20.0, gpus=1.0)
RUNNING = replace(FIRST, phase=Phase.RUNNING, exit_code=None, ended=None)


def decided(
    *attempts: Attempt,
    trials: tuple[Trial, ...] = FRONT,
    reports: Mapping[Attempt, Report] | None = None,
    wanted: Experiment = WANTED,
    **more: Any,
) -> tuple[Observation, Decision]:
    seen = replace(worlds.observation(trials, attempts, dict(reports or {})), **more)
    return seen, decide.decide(wanted.spec, seen)


def acts(decision: Decision) -> list[Action]:
    return [a for a in decision.actions if not isinstance(a, Remember | Collect)]


def with_trial(trial: Trial) -> tuple[Trial, ...]:
    return (*FRONT[: trial.number], trial, *FRONT[trial.number + 1 :])


def said(wanted: Experiment, seen: Observation, decision: Decision) -> tuple[str, str, str]:
    found = {c.type: c for c in worlds.status(wanted, seen).conditions}[ConditionType.CONFIRMED]
    return found.status, found.reason, found.message


def test_points_in_doubt_are_trained_again_once_the_search_is_over() -> None:
    seen, decision = decided()
    assert decision.done is not None
    assert not decision.finished
    launches = acts(decision)
    assert len(launches) == WANTED.spec.parallelism
    assert {launch.stage for launch in launches if isinstance(launch, Launch)} == {Stage.CONFIRM}
    measured_front = {0, 1, 2}
    assert {*decision.confirmations.missing} <= measured_front
    low, high = 0.1, 0.9
    chances = decision.confirmations.chances
    assert all(low < chances[n] < high for n in decision.confirmations.missing)
    assert said(WANTED, seen, decision)[:2] == ("Unknown", "Confirming")
    doubt = [abs(chances[n] - 0.5) for n in decision.confirmations.missing]
    assert doubt == sorted(doubt), "the most doubtful first"
    assert decided()[1] == decision, "the same trials, the same decision"


def test_whoever_may_stand_on_the_front_of_means_is_trained_again_if_that_is_reported() -> None:
    _, decision = decided(wanted=EXPECTED)
    assert {*decision.confirmations.missing} - {0, 1, 2}


def test_nothing_is_trained_again_while_the_search_goes_on_or_unless_it_is_wanted() -> None:
    open_ = Trial(11, {"n_layers": 5}, parameter_count=500_000)
    seen, decision = decided(trials=(*FRONT[:11], open_))
    assert [a.stage for a in acts(decision) if isinstance(a, Launch)] == [Stage.TRAIN]
    assert said(WANTED, seen, decision)[:2] == ("Unknown", "Searching")
    _, decision = decided(wanted=experiment(confirm=None))
    assert decision.finished
    assert acts(decision) == []


def test_confirmation_that_is_added_after_the_end_leaves_the_search_over() -> None:
    _, before = decided(wanted=experiment(confirm=None))
    _, after = decided()
    assert before.finished
    assert not after.finished
    assert after.done == before.done
    assert not [a for a in after.actions if isinstance(a, Ask)]


@pytest.mark.parametrize("held", ["suspended", "obstacle"])
def test_a_further_training_waits_like_a_trial(held: str) -> None:
    wanted = experiment(suspend=held == "suspended")
    obstacle = "the template is refused" if held == "obstacle" else ""
    seen, decision = decided(wanted=wanted, obstacle=obstacle)
    assert acts(decision) == []
    assert not decision.finished
    assert "nothing starts" in said(wanted, seen, decision)[2]
    halted = [a for a in decided(RUNNING, wanted=wanted)[1].actions if isinstance(a, Halt)]
    assert bool(halted) == (held == "suspended")


def test_what_comes_of_it_is_stored_with_its_seed_and_its_attempt_is_let_go() -> None:
    _, decision = decided(FIRST, reports={FIRST: FINAL}, now=100.0)
    (kept,) = [a for a in decision.actions if isinstance(a, KeepConfirmation)]
    found = kept.confirmation
    assert (kept.trial, kept.index, found.seed, found.state) == (2, 0, 43, State.COMPLETED)
    assert (found.metrics["exact"], found.metrics["parameter_count"]) == (65.0, 300_000.0)
    assert (found.seconds, found.gpus, found.attempt, found.at) == (10.0, 1.0, 1, 100.0)
    assert not [a for a in acts(decision) if isinstance(a, Launch) and a.trial == 2]
    _, decision = decided(FIRST, trials=with_trial(again(FRONT[2], 65.0)))
    assert Release(FIRST) in decision.actions
    assert not [a for a in decision.actions if isinstance(a, Remember)]


def test_an_interrupted_one_resumes_and_the_next_seed_begins_behind_its_attempts() -> None:
    lost = replace(FIRST, exit_code=None, disrupted=True)
    _, decision = decided(lost)
    assert Launch(Stage.CONFIRM, 2, 2) in decision.actions
    second = replace(FIRST, number=2)
    _, decision = decided(lost, second, reports={second: FINAL})
    (kept,) = [a for a in decision.actions if isinstance(a, KeepConfirmation)]
    assert (kept.confirmation.seed, kept.confirmation.attempt) == (43, 2)
    trial = again(FRONT[2], 65.0, attempt=2)
    assert (requests.seed_of(trial, 2), requests.seed_of(trial, 3)) == (43, 44)
    order = requests.order(WANTED, Launch(Stage.CONFIRM, 2, 3), trial, worlds.PREPARATION)
    first = requests.order(WANTED, Launch(Stage.CONFIRM, 2, 1), trial, worlds.PREPARATION)
    assert (order.stage, order.parameters["seed"]) == (Stage.TRAIN, 44)
    assert order.output == f"{requests.output(WANTED, 2)}/confirm/seed-44"
    assert order.rungs == ()
    assert order.continues is None
    trained = requests.order(WANTED, Launch(Stage.TRAIN, 2, 1), trial, worlds.PREPARATION)
    assert len({*map(requests.digest, (order, first, trained))}) == 3


def test_one_that_ends_infeasible_or_fails_is_stored_and_not_repeated_for_ever() -> None:
    for code, state in ((Exit.DIVERGED, State.INFEASIBLE), (Exit.BAD_REQUEST, State.FAILED)):
        _, decision = decided(replace(FIRST, exit_code=int(code)))
        (kept,) = [a for a in decision.actions if isinstance(a, KeepConfirmation)]
        assert (kept.confirmation.state, kept.confirmation.metrics) == (state, {})
    failed = replace(again(FRONT[2], 0.0, 0.0, 0.0, state=State.FAILED, metrics={}))
    _, decision = decided(trials=with_trial(failed))
    assert 2 not in decision.confirmations.missing


def test_what_diverges_with_another_seed_leaves_the_front_of_expectations() -> None:
    gone = again(FRONT[0], 0.0, state=State.INFEASIBLE, metrics={}, reason="Diverged", message="d")
    seen, _ = decided(trials=with_trial(gone), wanted=EXPECTED)
    assert 0 not in [point.trial for point in worlds.status(EXPECTED, seen).front]
    assert 0 in [point.trial for point in worlds.status(WANTED, seen).front]


def test_a_point_is_confirmed_by_two_further_trainings_that_hold_its_place() -> None:
    held, fell = again(FRONT[0], 79.0, 81.0), again(FRONT[0], 52.0, 51.0, 50.0)
    for trial, confirmed in ((held, True), (fell, False), (again(FRONT[0], 79.0), False)):
        seen, _ = decided(trials=with_trial(trial))
        (point,) = [p for p in worlds.status(WANTED, seen).front if p.trial == 0]
        assert point.confirmation is not None
        assert point.confirmation.confirmed is confirmed
        assert point.values["exact"] == 80.0, "the checkpoint's own"
        assert [run.seed for run in point.confirmation.runs] == [43, 44, 45][
            : len(trial.confirmations)
        ]
    seen, _ = decided(trials=with_trial(held))
    (point,) = [p for p in worlds.status(WANTED, seen).front if p.trial == 0]
    assert point.confirmation is not None
    assert (point.confirmation.mean["exact"], point.confirmation.seed) == (80.0, 42)
    assert point.confirmation.deviation["exact"] == pytest.approx(1.414, abs=0.001)


def test_the_place_of_a_sole_trial_is_in_doubt_until_another_seed_was_measured() -> None:
    sole = FRONT[:1]
    for confirm in ({"share": 0.5}, {"share": 0.5, "report": "Checkpoint"}):
        wanted = experiment(confirm=confirm, maxTrials=1, parallelism=1)
        _, decision = decided(trials=sole, wanted=wanted)
        assert decision.confirmations.doubted == [0]
        seen, decision = decided(trials=(again(sole[0], 74.0),), wanted=wanted)
        assert decision.confirmations.doubted == []
        (point,) = worlds.status(wanted, seen).front
        assert point.values["exact"] == (80.0 if "report" in confirm else 77.0)


def test_expectations_are_reported_instead_of_lucky_seeds() -> None:
    fell = again(FRONT[0], 52.0, 51.0, 50.0)
    seen, _ = decided(trials=with_trial(fell), wanted=EXPECTED)
    found = worlds.status(EXPECTED, seen)
    values = {point.trial: point.values["exact"] for point in found.front}
    assert values.get(0, 0.0) < 70.0
    assert all(point.metrics["exact"] == ENDS[point.trial] for point in found.front)


def test_what_one_trial_loses_by_another_seed_moves_the_others_a_little() -> None:
    def believed(end: float | None) -> Mapping[int, Expected]:
        first = FRONT[0] if end is None else again(FRONT[0], end)
        seen, _ = decided(trials=with_trial(first), wanted=EXPECTED)
        return reported.beliefs(EXPECTED.spec, seen.trials)["exact"]

    before = believed(None)
    other = next(number for number in before if number != FRONT[0].number)
    for loss in (20.0, -20.0):
        after = believed(before[FRONT[0].number].mean - loss)
        moved = before[other].mean - after[other].mean
        assert moved == pytest.approx(loss / (1 + reported.LOSS_WEIGHT))


def test_trainings_end_with_their_share_of_the_budget_and_the_status_says_so() -> None:
    small = experiment(confirm={"share": 0.01, "report": "Checkpoint"})  # 1.2 s of 120 s
    seen, decision = decided(wanted=small)
    assert decision.finished
    status, reason, message = said(small, seen, decision)
    assert (status, reason) == ("False", "ShareSpent")
    assert "a further training takes about 0.167 minutes, 0.0202 minutes are left" in message
    assert "their share of 0.01 of all hours, 0.0202 minutes" in message
    one = experiment(confirm={"share": 0.1, "report": "Checkpoint"}, parallelism=4)  # 13.3 s
    assert len(decided(wanted=one)[1].confirmations.missing) == 1
    late = experiment(maxDurationSeconds=500)
    seen, decision = decided(wanted=late, now=1000.0)
    assert decision.finished
    assert "the time budget of 500 s, which you may raise" in said(late, seen, decision)[2]
    hours = experiment(maxGpuHours=0.034)  # 122.4 s, of which trials have had 120
    seen, decision = decided(wanted=hours)
    assert decision.finished
    assert "the budget of 0.034 GPU-hours, which you may raise" in said(hours, seen, decision)[2]


def test_the_search_leaves_their_share_of_each_budget() -> None:
    half = tuple(FRONT[:6])  # 60 s
    for budget in ({"maxGpuHours": 100 / 3600}, {"maxDurationSeconds": 1900}):
        _, decision = decided(trials=half, wanted=experiment(**budget))
        assert decision.done is not None
        _, decision = decided(trials=half, wanted=experiment(confirm=None, **budget))
        assert decision.done is None


def test_their_time_counts_once_and_they_count_for_no_trials() -> None:
    seen, _ = decided(RUNNING, now=60.0)
    assert usage.confirm_hours(seen) * 3600 == pytest.approx(50.0)
    assert usage.gpu_hours(seen) * 3600 == pytest.approx(170.0)
    seen, _ = decided(FIRST, trials=with_trial(again(FRONT[2], 65.0)))
    assert usage.confirm_hours(seen) * 3600 == pytest.approx(10.0)
    assert usage.gpu_hours(seen) * 3600 == pytest.approx(130.0)
    assert (seen.suggested, seen.settled) == (12, 12)


def test_one_that_runs_while_the_search_goes_on_is_left_alone_and_stored() -> None:
    more = experiment(maxTrials=20)
    _, decision = decided(RUNNING, wanted=more)
    assert decision.done is None
    assert not [a for a in decision.actions if isinstance(a, Halt)]
    _, decision = decided(FIRST, reports={FIRST: FINAL}, wanted=more)
    assert [a.trial for a in decision.actions if isinstance(a, KeepConfirmation)] == [2]


def test_data_that_are_gone_are_prepared_again_before_the_next_training() -> None:
    gone = replace(FIRST, exit_code=int(Exit.BAD_DATA))
    _, decision = decided(gone)
    assert acts(decision) == [Launch(Stage.PREPARE, 0, 1)]
    made = Attempt(Stage.PREPARE, 0, 1, Phase.ENDED, 0, started=30.0, ended=40.0)
    _, decision = decided(gone, made)
    assert Launch(Stage.CONFIRM, 2, 2) in decision.actions


SURE = tuple(again(t, *(t.metrics["exact"],) * 3, model=f"s{t.number}-") for t in FRONT)
"""All of them trained again to the same end, so that nothing is in doubt."""


def test_models_of_other_seeds_are_removed_unless_they_are_the_reported_ones() -> None:
    _, decision = decided(trials=SURE)
    (collect,) = [a for a in decision.actions if isinstance(a, Collect)]
    assert {number for number, _ in collect.runs} == {*range(12)}
    bare = tuple(replace(t, model=None, collected=True) for t in SURE)
    seen, decision = decided(trials=bare, wanted=EXPECTED)
    (collect,) = [a for a in decision.actions if isinstance(a, Collect)]
    found = worlds.status(EXPECTED, seen)
    assert found.front
    for point in found.front:
        assert point.model == f"s{point.trial}-0"
        assert point.confirmation is not None
        assert point.confirmation.seed == 43
        assert (point.trial, 43) not in collect.runs
        assert (point.trial, 44) in collect.runs
    trial = bare[found.front[0].trial]
    test = requests.order(EXPECTED, Launch(Stage.TEST, trial.number, 1), trial, worlds.PREPARATION)
    assert test.output.endswith("confirm/seed-43")
    assert test.parameters["seed"] == 43


def test_a_removal_is_stored_once_and_forgotten_where_the_study_knows_nothing_of_it() -> None:
    done = Attempt(Stage.COLLECT, 0, 1, Phase.ENDED, exit_code=0)
    removal = Removal((), done, ((2, 43),))
    _, decision = decided(trials=SURE, removals=(removal,))
    assert Collected((), ((2, 43),)) in decision.actions
    _, decision = decided(removals=(removal,))  # a restored database
    assert Forget(removal) in decision.actions
    assert Launch(Stage.CONFIRM, 2, 1) not in decision.actions


def test_a_reported_point_without_a_model_is_trained_again_whatever_its_chance() -> None:
    bare = tuple(
        replace(t, model=None, confirmations=tuple(replace(c, model=None) for c in t.confirmations))
        for t in SURE
    )
    more = experiment(confirm={"share": 0.5, "runs": 4})
    seen, decision = decided(trials=bare, wanted=more)
    front = {point.trial for point in worlds.status(more, seen).front}
    assert front <= {*decision.confirmations.doubted}


def test_tests_come_after_the_confirmation() -> None:
    data = {**worlds.DOCUMENT["spec"]["data"], "test": "test.json"}
    wanted = experiment(data=data)
    seen, decision = decided(wanted=wanted)
    assert {a.stage for a in acts(decision) if isinstance(a, Launch)} == {Stage.CONFIRM}
    (found,) = conditions.tested(wanted.spec, seen, decision)
    assert (found.status, found.reason) == ("Unknown", "Confirming")
    _, decision = decided(trials=SURE, wanted=wanted)
    assert {a.stage for a in acts(decision) if isinstance(a, Launch)} == {Stage.TEST}
