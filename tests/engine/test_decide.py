"""The decisions: a table for each situation, and a state machine that kills between actions."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.engine import decide, housekeeping, usage
from distillery_operator.engine.actions import (
    Action,
    Ask,
    Close,
    Collect,
    Collected,
    Discard,
    Expire,
    Forget,
    Free,
    Halt,
    Keep,
    Launch,
    Promote,
    Record,
    Release,
    Remember,
    Tell,
)
from distillery_operator.resource.sampler import Sampler, SamplerType
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.attempt import WITHIN_ONE, Attempt, Phase, Removal, Report, Standing
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.trial import Point, State, Trial
from support import worlds

SPEC = worlds.experiment(trialTimeoutSeconds=100, maxInterruptions=2, maxCrashes=1).spec
SPEC_WITHOUT_LIMITS = worlds.experiment().spec
RUNNING = Trial(0, {"learning_rate": 0.1, "n_layers": 2}, parameter_count=300_000)
ONE = worlds.completed(0, 80.0, 1)
FINAL = Report(
    "TerminationMessage",
    final=True,
    metrics={"exact": 80.0, "HasAns_exact": 70.0, "NoAns_exact": 90.0, "parameter_count": 3e5},
    metric_step=20,
)


def attempt(
    number: int = 1, code: int | None = None, live: bool = False, **more: object
) -> Attempt:
    fields: dict[str, object] = {
        "phase": Phase.RUNNING if live else Phase.ENDED,
        "exit_code": code,
        "started": 990.0,
        "ended": None if live else 999.0,
        **more,
    }
    return Attempt(Stage.TRAIN, 0, number, **fields)  # type: ignore[arg-type]


def acts(spec: Spec, seen: Observation) -> list[Action]:
    """Return what is done, without what is only written down of attempts."""
    return [a for a in decide.decide(spec, seen).actions if not isinstance(a, Remember)]


def tells(seen: Observation, spec: Spec = SPEC) -> list[tuple[State, str]]:
    return [(a.state, str(a.reason)) for a in acts(spec, seen) if isinstance(a, Tell)]


def launches(seen: Observation, spec: Spec = SPEC) -> list[Launch]:
    return [a for a in acts(spec, seen) if isinstance(a, Launch)]


def test_nothing_is_asked_for_before_data_and_teacher_are_prepared() -> None:
    assert acts(SPEC, worlds.observation(preparation=None)) == [Launch(Stage.PREPARE, 0, 1)]


def test_what_the_preparation_found_is_kept() -> None:
    done = replace(attempt(code=0), stage=Stage.PREPARE)
    windows = {"train": 2400.0, "validation": 396.0}
    report = Report("x", key="k", sources=worlds.SOURCES, teacher={"exact": 9.0}, windows=windows)
    (keep,) = acts(SPEC, worlds.observation((), (done,), {done: report}, preparation=None))
    assert isinstance(keep, Keep)
    found = keep.preparation
    assert (found.key, found.sources, found.windows) == ("k", worlds.SOURCES, windows)


def test_what_a_person_should_know_of_the_data_is_kept() -> None:
    done = replace(attempt(code=0), stage=Stage.PREPARE)
    for message, notes in (
        ("prepare is done", ""),
        (
            "prepare is done; train: 4 of 90 are dropped; and more",
            "train: 4 of 90 are dropped; and more",
        ),
    ):
        report = Report("x", message=message, key="k", sources=worlds.SOURCES)
        seen = worlds.observation((), (done,), {done: report}, preparation=None)
        (keep,) = acts(SPEC, seen)
        assert isinstance(keep, Keep)
        assert keep.preparation.notes == notes


@pytest.mark.parametrize(
    ("code", "again"),
    [(Exit.BAD_DATA, False), (Exit.BAD_REQUEST, False), (1, True), (None, True), (75, True)],
)
def test_a_preparation_is_repeated_only_where_that_can_help(code: int | None, again: bool) -> None:
    ended = replace(attempt(code=code), stage=Stage.PREPARE)
    seen = worlds.observation(attempts=(ended,), preparation=None)
    assert (acts(SPEC, seen) == [Launch(Stage.PREPARE, 0, 2)]) is again
    assert (decide.decide(SPEC, seen).closing is None) is again


def test_the_free_places_are_filled_with_suggestions() -> None:
    assert acts(SPEC, worlds.observation()) == [Ask(2)]


def test_few_suggestions_are_asked_for_at_once() -> None:
    spec = worlds.experiment(parallelism=30, maxTrials=100).spec
    assert acts(spec, worlds.observation()) == [Ask(decide.AT_ONCE)]


def test_no_more_is_asked_for_than_max_trials() -> None:
    ended = tuple(worlds.completed(n, 80.0, 1 + n % 6) for n in range(7))
    asked = [a for a in acts(SPEC, worlds.observation(ended)) if isinstance(a, Ask)]
    assert asked == [Ask(1)]


def test_a_suggestion_without_a_process_gets_one() -> None:
    actions = acts(SPEC, worlds.observation((RUNNING,)))
    assert actions == [Launch(Stage.TRAIN, 0, 1), Ask(1)]


def test_a_live_trial_is_left_alone() -> None:
    seen = worlds.observation((RUNNING,), (attempt(live=True),))
    assert acts(SPEC, seen) == [Ask(1)]


BESIDE: dict[str, Any] = {"lingers": ("shipper",), "ended": 960.0}


def test_a_training_that_has_ended_beside_a_sidecar_is_told_and_its_pod_ended() -> None:
    ended = attempt(code=0, **BESIDE)
    seen = worlds.observation((RUNNING,), (ended,), {ended: FINAL})
    assert tells(seen) == [(State.COMPLETED, "Completed")]
    actions = decide.decide(SPEC, seen).actions
    assert Close(ended) in actions
    assert Ask(2) in actions  # it holds no slot


def test_a_sidecar_gets_half_a_minute_to_end_by_itself_and_is_ended_once() -> None:
    for more in ({"ended": 975.0}, {"closing": True}):
        ended = attempt(code=0, **{**BESIDE, **more})
        seen = worlds.observation((RUNNING,), (ended,), {ended: FINAL})
        assert Close(ended) not in decide.decide(SPEC, seen).actions


def test_no_attempt_starts_and_none_is_released_while_a_pod_of_its_trial_lingers() -> None:
    crashed = attempt(code=1, closing=True, **BESIDE)
    assert launches(worlds.observation((RUNNING,), (crashed,))) == []
    gone = replace(crashed, lingers=())
    assert launches(worlds.observation((RUNNING,), (gone,))) == [Launch(Stage.TRAIN, 0, 2)]
    told = worlds.completed(0, 80.0, 1)
    for ended, released in ((crashed, False), (gone, True)):
        actions = decide.decide(SPEC, worlds.observation((told,), (ended,))).actions
        assert (Release(ended) in actions) is released


def test_an_experiment_is_not_over_while_a_pod_lingers() -> None:
    spec = worlds.experiment(maxTrials=1, parallelism=1).spec
    for lingers in (("shipper",), ()):
        seen = worlds.observation((ONE,), (attempt(code=0, lingers=lingers),))
        assert (decide.decide(spec, seen).done is None) is bool(lingers)


def test_a_preparation_that_has_ended_beside_a_sidecar_is_kept_and_its_pod_ended() -> None:
    done = replace(attempt(code=0, **BESIDE), stage=Stage.PREPARE)
    report = Report("x", key="k", sources=worlds.SOURCES, teacher={"exact": 9.0})
    seen = worlds.observation((), (done,), {done: report}, preparation=None)
    assert [type(a) for a in acts(SPEC, seen)] == [Keep, Close]
    crashed = replace(done, exit_code=1)
    seen = worlds.observation((), (crashed,), preparation=None)
    assert acts(SPEC, seen) == [Close(crashed)]


def test_a_lost_node_holds_no_slot_and_its_trial_never_runs_twice() -> None:
    lost = attempt(live=True, lost=True, started=100.0, ended=400.0)
    spec = worlds.experiment(trialTimeoutSeconds=500, suspend=False).spec
    seen = worlds.observation((RUNNING,), (lost,))
    assert acts(spec, seen) == [Ask(2)]  # not even halted: nobody would hear
    assert decide.decide(spec, seen).done is None
    assert usage.hours(seen) == pytest.approx(300 / 3600)


PATIENT = worlds.experiment(pendingTimeoutSeconds=600, maxInterruptions=2).spec
UNTAKEN: dict[str, Any] = {"disrupted": True, "reason": "PendingTimeout", "started": None}


@pytest.mark.parametrize("stage", [Stage.TRAIN, Stage.PREPARE])
def test_what_no_machine_takes_in_time_gives_its_slot_back(stage: Stage) -> None:
    waits = replace(
        attempt(live=True, started=None, waiting_since=400.0), stage=stage, phase=Phase.PENDING
    )
    prepared = worlds.PREPARATION if stage is Stage.TRAIN else None
    trials = (RUNNING,) if prepared else ()

    def expires(found: Attempt, spec: Spec = PATIENT, now: float = 1001.0) -> bool:
        seen = worlds.observation(trials, (found,), now=now, preparation=prepared)
        return Expire(found) in decide.decide(spec, seen).actions

    assert expires(waits)
    assert not expires(waits, now=999.0)
    assert not expires(waits, SPEC)  # unless asked for, it waits
    assert not expires(replace(waits, waiting_since=None))  # in a queue
    assert not expires(replace(waits, halted=True))


def test_what_no_machine_took_starts_again_after_others_and_not_for_ever() -> None:
    once = attempt(1, ended=500.0, **UNTAKEN)
    early = worlds.observation((RUNNING,), (once,), now=1099.0)
    assert acts(PATIENT, early) == [Ask(2)]
    late = replace(early, now=1100.0)
    assert acts(PATIENT, late) == [Launch(Stage.TRAIN, 0, 2), Ask(1)]
    thrice = tuple(attempt(n, ended=500.0, **UNTAKEN) for n in (1, 2, 3))
    assert tells(worlds.observation((RUNNING,), thrice), PATIENT) == [
        (State.FAILED, "TooManyInterruptions")
    ]
    preparing = replace(once, stage=Stage.PREPARE)
    seen = worlds.observation((), (preparing,), now=1099.0, preparation=None)
    assert acts(PATIENT, seen) == []
    assert launches(replace(seen, now=1100.0), PATIENT) == [Launch(Stage.PREPARE, 0, 2)]


WATCHED = worlds.experiment(silenceTimeoutSeconds=600, maxCrashes=1).spec


@pytest.mark.parametrize(
    ("started", "standing", "now", "silent"),
    [
        (100.0, Standing(900.0), 1501.0, True),
        (100.0, Standing(900.0), 1499.0, False),
        (100.0, Standing(900.0, 150.0), 1501.0, True),
        (100.0, Standing(900.0, 250.0), 1649.0, False),  # it is slow
        (100.0, Standing(900.0, 250.0), 1651.0, True),
        (900.0, Standing(100.0), 1499.0, False),  # its number was another attempt's
        (100.0, None, 9999.0, False),  # it was never asked
    ],
)
def test_a_training_that_reports_no_step_is_ended(
    started: float, standing: Standing | None, now: float, silent: bool
) -> None:
    live = attempt(live=True, started=started)
    seen = worlds.observation((RUNNING,), (live,), now=now)
    seen = replace(seen, standing={} if standing is None else {live.key: standing})
    message = "the training has reported no further step for 600 s"
    halts = [a for a in decide.decide(WATCHED, seen).actions if isinstance(a, Halt)]
    assert halts == ([Halt(live, "Silent", message)] if silent else [])
    assert not any(isinstance(a, Halt) for a in decide.decide(SPEC_WITHOUT_LIMITS, seen).actions)


@pytest.mark.parametrize("code", [Exit.INTERRUPTED, None])
def test_silence_counts_as_a_crash_and_resumes_within_that_limit(code: int | None) -> None:
    hung = attempt(code=code, halted=True, silent=True)
    assert launches(worlds.observation((RUNNING,), (hung,)), WATCHED)[:1] == [
        Launch(Stage.TRAIN, 0, 2)
    ]
    for other in (replace(hung, number=2), attempt(2, 1)):
        seen = worlds.observation((RUNNING,), (hung, other))
        (told,) = tells(seen, WATCHED)
        assert told[0] is State.FAILED
        assert told[1] == ("Silent" if other.silent else "Crashed")
    ended = attempt(code=0, halted=True, silent=True)  # it was not hung after all
    seen = worlds.observation((RUNNING,), (ended,), {ended: FINAL})
    assert tells(seen, WATCHED) == [(State.COMPLETED, "Completed")]


def test_an_evaluation_is_recorded_once() -> None:
    live = attempt(live=True)
    report = Report("Scrape", steps=20, metric_step=5, metrics={"exact": 3.0})
    point = Point(5, {"exact": 3.0}, steps=20, at=1000.0)
    seen = worlds.observation((RUNNING,), (live,), {live: report})
    assert Record(0, point) in acts(SPEC, seen)
    known = replace(seen, trials=(replace(RUNNING, curve=(point,)),))
    assert Record(0, point) not in acts(SPEC, known)


def test_the_last_evaluation_is_stored_with_the_ending() -> None:
    ended = attempt(code=0)
    actions = acts(SPEC, worlds.observation((RUNNING,), (ended,), {ended: FINAL}))
    (told,) = [action for action in actions if isinstance(action, Tell)]
    assert told.report.continuing((), 1000.0) == Point(20, FINAL.metrics, at=1000.0)
    assert not any(isinstance(action, Record) for action in actions)


@pytest.mark.parametrize(
    ("code", "report", "state", "reason"),
    [
        (0, FINAL, State.COMPLETED, "Completed"),
        (Exit.DIVERGED, None, State.INFEASIBLE, "Diverged"),
        (Exit.OUT_OF_MEMORY, None, State.INFEASIBLE, "OutOfMemory"),
        (Exit.INFEASIBLE, None, State.INFEASIBLE, "InfeasibleShape"),
        (Exit.BAD_REQUEST, None, State.FAILED, "BadRequest"),
    ],
)
def test_an_ending_is_told_by_its_exit_code(
    code: int, report: Report | None, state: State, reason: str
) -> None:
    ended = attempt(code=code)
    seen = worlds.observation((RUNNING,), (ended,), {ended: report} if report else {})
    assert tells(seen) == [(state, reason)]


@pytest.mark.parametrize("code", [None, 75, 1, -9, 137])
def test_an_ending_that_the_suggestion_did_not_cause_goes_on_as_a_new_attempt(
    code: int | None,
) -> None:
    assert launches(worlds.observation((RUNNING,), (attempt(code=code),))) == [
        Launch(Stage.TRAIN, 0, 2)
    ]


def test_interruptions_have_a_limit_of_their_own() -> None:
    lost = tuple(attempt(n, code=None) for n in (1, 2, 3))
    assert launches(worlds.observation((RUNNING,), lost[:2])) == [Launch(Stage.TRAIN, 0, 3)]
    assert tells(worlds.observation((RUNNING,), lost)) == [(State.FAILED, "TooManyInterruptions")]


def test_crashes_have_a_limit_of_their_own() -> None:
    crashes = (attempt(1, code=1), attempt(2, code=75), attempt(3, code=1))
    assert launches(worlds.observation((RUNNING,), crashes[:2])) == [Launch(Stage.TRAIN, 0, 3)]
    assert tells(worlds.observation((RUNNING,), crashes)) == [(State.FAILED, "Crashed")]


@pytest.mark.parametrize(
    "report",
    [
        None,
        replace(FINAL, final=False),
        replace(FINAL, metrics={}),
        replace(FINAL, metrics={"exact": 80.0}),  # without the halves that the guard judges
        replace(FINAL, metrics={"exact": float("nan")}),
    ],
)
def test_a_success_without_a_sound_final_report_is_no_result(report: Report | None) -> None:
    first, second = attempt(1, code=0), attempt(2, code=0)
    reports = {first: report, second: report} if report else {}
    assert launches(worlds.observation((RUNNING,), (first,), reports)) == [
        Launch(Stage.TRAIN, 0, 2)
    ]
    assert tells(worlds.observation((RUNNING,), (first, second), reports)) == [
        (State.FAILED, "MetricsUnavailable")
    ]


def test_a_success_whose_report_went_with_its_pod_is_as_good_as_interrupted() -> None:
    """So it is not taken for a crash, of which a trial may have one."""
    gone = tuple(attempt(n, code=0, disrupted=True) for n in (1, 2, 3))
    assert launches(worlds.observation((RUNNING,), gone[:2])) == [Launch(Stage.TRAIN, 0, 3)]
    assert tells(worlds.observation((RUNNING,), gone)) == [(State.FAILED, "TooManyInterruptions")]
    part = {gone[0]: replace(FINAL, final=False)}
    assert launches(worlds.observation((RUNNING,), gone[:1], part)) == [Launch(Stage.TRAIN, 0, 2)]
    told = worlds.observation((RUNNING,), gone[:1], {gone[0]: FINAL})  # it came another way
    assert tells(told) == [(State.COMPLETED, "Completed")]


def test_an_attempt_that_the_study_does_not_know_is_discarded_and_nothing_of_it_is_told() -> None:
    for foreign in (attempt(1, live=True), attempt(1, code=0)):
        seen = replace(worlds.observation((RUNNING,)), foreign=(foreign,))
        actions = acts(SPEC, seen)
        assert [a for a in actions if not isinstance(a, Ask)] == [Discard(foreign)]
        assert not any(isinstance(a, Launch | Tell) for a in actions)  # its name is still taken


def test_a_search_is_not_over_while_an_attempt_that_is_not_its_own_lives() -> None:
    spec = SPEC.model_copy(update={"max_trials": 1})
    over = worlds.observation((worlds.completed(0, 80.0, 2),))
    assert decide.decide(spec, over).done is not None
    seen = replace(over, foreign=(replace(attempt(1, live=True), trial=7),))
    assert decide.decide(spec, seen).done is None


@pytest.mark.parametrize(
    ("metric", "value", "sentence"),
    [
        ("exact", 1e305, "exact must be at least 0 and at most 100 percent, but got 1e+305"),
        ("exact", 250.0, "exact must be at least 0 and at most 100 percent, but got 250"),
        ("f1", -3.0, "f1 must be at least 0 and at most 100 percent, but got -3"),
        (
            "inference_seconds",
            -0.5,
            "inference_seconds must be at least 0 and at most 86400 seconds, but got -0.5",
        ),
    ],
)
def test_a_metric_beyond_what_can_be_measured_fails_the_trial_at_once(
    metric: str, value: float, sentence: str
) -> None:
    ended = attempt(1, code=0)
    report = replace(FINAL, metrics={**FINAL.metrics, metric: value})
    (told,) = (
        a
        for a in acts(SPEC, worlds.observation((RUNNING,), (ended,), {ended: report}))
        if isinstance(a, Tell)
    )
    assert (told.state, told.reason) == (State.FAILED, "MetricOutOfBounds")
    assert told.message == sentence


def test_a_metric_that_nobody_judges_may_be_no_number() -> None:
    ended = attempt(1, code=0)
    report = replace(FINAL, metrics={**FINAL.metrics, "inference_seconds": math.nan})
    seen = worlds.observation((RUNNING,), (ended,), {ended: report})
    assert tells(seen) == [(State.COMPLETED, "Completed")]


def test_a_judged_metric_that_is_no_number_is_named() -> None:
    both = attempt(1, code=0), attempt(2, code=0)
    report = replace(FINAL, metrics={**FINAL.metrics, "exact": math.nan})
    seen = worlds.observation((RUNNING,), both, dict.fromkeys(both, report))
    (told,) = (a for a in acts(SPEC, seen) if isinstance(a, Tell))
    assert told.message == "every metric that is judged must be a number, but exact is nan"


def test_what_cannot_have_been_measured_stays_out_of_the_curve() -> None:
    report = Report("Scrape", step=8, steps=24, metric_step=8, metrics={"exact": 250.0, "f1": 3})
    point = report.continuing((), 1.0)
    assert point is not None
    assert point.metrics == {"f1": 3}


def test_what_is_no_number_stays_out_of_the_curve() -> None:
    report = Report("Scrape", step=8, steps=24, metric_step=8, metrics={"exact": math.nan, "f1": 3})
    point = report.continuing((), 1.0)
    assert point is not None
    assert (point.step, point.metrics) == (8, {"f1": 3})


def test_a_trial_beyond_its_time_is_stopped_and_told_infeasible() -> None:
    live = attempt(live=True, started=899.0)
    assert Halt(live, "TimedOut") in acts(SPEC, worlds.observation((RUNNING,), (live,)))
    stopped = attempt(code=75, started=890.0)
    assert tells(worlds.observation((RUNNING,), (stopped,))) == [(State.INFEASIBLE, "TimedOut")]


def test_the_time_of_a_trial_counts_with_that_of_what_it_continues() -> None:
    paused = replace(RUNNING, state=State.STOPPED, reason="Paused", seconds=60.0)
    further = replace(RUNNING, number=1, continues=0)
    for began, late in ((961.0, False), (959.0, True)):
        live = replace(attempt(live=True, started=began), trial=1)
        actions = acts(SPEC, worlds.observation((paused, further), (live,)))
        assert (Halt(live, "TimedOut") in actions) is late
    ended = replace(attempt(code=75, started=950.0), trial=1, ended=995.0)
    (told,) = (
        a
        for a in acts(SPEC, worlds.observation((paused, further), (ended,)))
        if isinstance(a, Tell)
    )
    assert (told.state, told.reason) == (State.INFEASIBLE, "TimedOut")


def test_prepared_data_that_are_gone_are_made_again_before_the_trial_goes_on() -> None:
    prepared = Attempt(Stage.PREPARE, 0, 1, Phase.ENDED, exit_code=0, started=1.0, ended=2.0)
    gone = attempt(code=Exit.BAD_DATA)
    seen = worlds.observation((RUNNING,), (prepared, gone))
    assert acts(SPEC, seen) == [Launch(Stage.PREPARE, 0, 2)]
    again = replace(prepared, number=2, phase=Phase.RUNNING, started=1000.0, ended=None)
    assert acts(SPEC, replace(seen, attempts=(prepared, gone, again))) == []
    made = replace(again, phase=Phase.ENDED, exit_code=0, ended=1001.0)
    assert launches(replace(seen, attempts=(prepared, gone, made))) == [Launch(Stage.TRAIN, 0, 2)]
    twice = replace(seen, attempts=(prepared, gone, made, attempt(2, code=Exit.BAD_DATA)))
    assert tells(twice) == [(State.FAILED, "BadData")]
    # A restored database may have forgotten who found them gone, but not who was at work.
    stopped = replace(made, exit_code=Exit.INTERRUPTED)
    assert acts(SPEC, replace(seen, attempts=(prepared, stopped))) == [Launch(Stage.PREPARE, 0, 3)]


def test_an_oversize_suggestion_costs_no_process() -> None:
    spec = worlds.experiment(constraints=[{"metric": "parameter_count", "maximum": 250_000}]).spec
    large = replace(RUNNING, parameters={"n_layers": 6})
    assert tells(worlds.observation((large,)), spec) == [(State.INFEASIBLE, "Oversize")]
    assert launches(worlds.observation((large,)), spec) == []


def test_a_shape_that_does_not_exist_costs_no_process() -> None:
    wide = replace(RUNNING, parameters={"n_heads": 12})
    assert tells(worlds.observation((wide,))) == [(State.INFEASIBLE, "InfeasibleShape")]


def test_suspending_halts_what_lives_and_starts_nothing() -> None:
    spec = SPEC.model_copy(update={"suspend": True})
    live = attempt(live=True)
    waiting = replace(RUNNING, number=1)
    assert acts(spec, worlds.observation((RUNNING, waiting), (live,))) == [Halt(live, "Suspended")]


def test_a_suspended_experiment_still_stores_what_has_ended() -> None:
    ended = attempt(code=0)
    spec = SPEC.model_copy(update={"suspend": True})
    assert tells(worlds.observation((RUNNING,), (ended,), {ended: FINAL}), spec) == [
        (State.COMPLETED, "Completed")
    ]


def test_lowering_the_parallelism_drains() -> None:
    spec = SPEC.model_copy(update={"parallelism": 1})
    trials = (RUNNING, replace(RUNNING, number=1), replace(RUNNING, number=2))
    live = (attempt(live=True), replace(attempt(live=True), trial=1))
    assert acts(spec, worlds.observation(trials, live)) == []


def removal(*trials: int, code: int | None = None) -> Removal:
    phase = Phase.RUNNING if code is None else Phase.ENDED
    return Removal(trials, Attempt(Stage.COLLECT, 0, 1, phase, exit_code=code, message="no volume"))


def test_files_are_removed_once_and_stored_as_gone_when_they_are() -> None:
    spec = worlds.experiment(maxTrials=2, parallelism=1).spec
    seen = worlds.observation((worlds.completed(0, 80.0, 1), worlds.completed(1, 70.0, 2)))

    def actions(*removals: Removal) -> list[Action]:
        return decide.decide(spec, replace(seen, removals=removals)).actions

    assert actions() == [Collect((1,))]
    assert actions(removal(1)) == []
    assert actions(removal(1, code=1)) == []  # begun anew when its runner has forgotten it
    assert actions(removal(1, code=0)) == [Collected((1,))]
    gone = (seen.trials[0], replace(seen.trials[1], collected=True))
    seen = replace(seen, trials=gone)
    assert actions(removal(1, code=0)) == actions() == []
    assert actions(removal(7, code=0)) == []  # of a study that has forgotten it
    beside = removal(1, code=0)
    beside = replace(beside, attempt=replace(beside.attempt, lingers=("sleeper",)))
    assert actions(beside) == [Forget(beside)]  # nothing else would end its pod


def test_a_trial_that_runs_again_waits_until_the_removal_of_its_former_files_is_forgotten() -> None:
    spec = worlds.experiment(maxTrials=2, parallelism=1).spec
    restored = worlds.observation((worlds.completed(0, 80.0, 1), Trial(1, {"n_layers": 2})))
    for begun in (removal(1), removal(0, 1), removal(1, code=0), removal(1, code=1)):
        seen = replace(restored, removals=(begun,))
        assert decide.decide(spec, seen).actions == [Forget(begun)]
    (start,) = decide.decide(spec, replace(restored, removals=(removal(0, code=0),))).actions[:1]
    assert start == Launch(Stage.TRAIN, 1, 1)


def test_no_trial_goes_on_whose_checkpoint_is_being_removed() -> None:
    going = worlds.observation((*learnt(), STOPPED))
    promoted = [a for a in decide.decide(MANY, going).actions if isinstance(a, Promote)]
    assert promoted == [Promote(12)]
    for code in (None, 0, 1):
        seen = replace(going, removals=(removal(12, code=code),))
        assert not [a for a in decide.decide(MANY, seen).actions if isinstance(a, Promote)]


def test_models_off_the_front_are_collected_but_not_a_baselines() -> None:
    trials = (
        worlds.completed(0, 80.0, 3, model="a"),
        worlds.completed(1, 70.0, 4, model="b"),
        worlds.completed(2, 60.0, 5, model="c", baseline="base"),
    )
    spec = SPEC.model_copy(update={"max_trials": 3})
    actions = acts(spec, worlds.observation(trials))
    assert [a for a in actions if isinstance(a, Collect)] == [Collect((1,))]
    keep = worlds.experiment(checkpointRetention="All").spec
    assert not any(isinstance(a, Collect) for a in acts(keep, worlds.observation(trials)))


def test_while_a_search_runs_files_are_removed_for_many_trials_at_once() -> None:
    def collected(count: int) -> list[Action]:
        trials = tuple(worlds.completed(n, 90.0 - n, 1 + n) for n in range(count))
        spec = SPEC.model_copy(update={"max_trials": 50})
        actions = acts(spec, worlds.observation(trials))
        return [a for a in actions if isinstance(a, Collect)]

    assert collected(housekeeping.COLLECT_AT_ONCE) == []
    assert collected(housekeeping.COLLECT_AT_ONCE + 1) == [Collect(tuple(range(1, 11)))]


def test_a_training_within_one_second_has_run_so_that_its_files_are_collected() -> None:
    """A cluster tells times in whole seconds."""
    quick = attempt(code=0, started=990.0, ended=990.0)
    seen = worlds.observation((RUNNING,), (quick,), {quick: FINAL})
    (told,) = [action for action in acts(SPEC, seen) if isinstance(action, Tell)]
    assert told.seconds == WITHIN_ONE
    off_the_front = replace(worlds.completed(1, 70.0, 4), seconds=told.seconds)
    trials = (worlds.completed(0, 80.0, 3), off_the_front)
    spec = SPEC.model_copy(update={"max_trials": 2})
    assert Collect((1,)) in acts(spec, worlds.observation(trials))
    assert attempt(code=None, started=None, ended=999.0).seconds == 0


def test_an_attempt_is_released_once_its_trials_ending_is_stored() -> None:
    ended, live = attempt(code=0), replace(attempt(live=True), trial=1)
    seen = worlds.observation((ONE, replace(RUNNING, number=1)), (ended, live))
    assert [a for a in acts(SPEC, seen) if isinstance(a, Release)] == [Release(ended)]


def test_nothing_starts_while_there_is_an_obstacle() -> None:
    blocked = replace(worlds.observation(), obstacle="the template is refused")
    assert acts(SPEC, blocked) == []


def test_what_waits_with_an_earlier_template_is_halted() -> None:
    waiting = attempt(live=True, phase=Phase.PENDING, outdated=True)
    actions = acts(SPEC, worlds.observation((RUNNING,), (waiting,)))
    assert Halt(waiting, "TemplateChanged") in actions


def test_an_attempt_that_was_asked_to_end_is_no_interruption() -> None:
    ended = tuple(attempt(n, 75, halted=True) for n in range(1, 9))
    assert launches(worlds.observation((RUNNING,), ended)) == [Launch(Stage.TRAIN, 0, 9)]


@pytest.mark.parametrize(
    ("changes", "trials", "reason"),
    [
        ({"maxTrials": 2}, (ONE, worlds.completed(1, 90.0, 2)), "MaxTrialsReached"),
        ({"maxDurationSeconds": 999}, (ONE,), "MaxDurationReached"),
        ({"maxFailedTrials": 0}, (replace(RUNNING, state=State.FAILED),), "TooManyFailures"),
    ],
)  # fmt: skip
def test_a_budget_ends_the_experiment_with_its_reason(
    changes: dict[str, int], trials: tuple[Trial, ...], reason: str
) -> None:
    spec, seen = worlds.experiment(**changes).spec, worlds.observation(trials)
    assert acts(spec, seen) == []
    end = decide.decide(spec, seen).done
    assert end is not None
    assert end.reason == reason


def test_a_held_pod_goes_once_the_next_attempt_has_taken_over() -> None:
    first, second = attempt(1, int(Exit.INTERRUPTED), held=True), attempt(2, live=True, held=True)
    alone = acts(SPEC, worlds.observation((RUNNING,), (first,)))
    assert not [a for a in alone if isinstance(a, Free)]
    both = acts(SPEC, worlds.observation((RUNNING,), (first, second)))
    assert [a for a in both if isinstance(a, Free)] == [Free(first)]


def test_raising_max_trials_continues_a_finished_experiment() -> None:
    seen = worlds.observation(tuple(worlds.completed(n, 80.0, 1) for n in range(8)))
    assert decide.decide(SPEC, seen).done is not None
    more = SPEC.model_copy(update={"max_trials": 9})
    assert decide.decide(more, seen).done is None
    assert Ask(1) in acts(more, seen)


def curve(exact: float, steps: tuple[int, ...] = (10, 30)) -> tuple[Point, ...]:
    found = {"exact": exact, "HasAns_exact": exact, "NoAns_exact": exact}
    return tuple(Point(step, found, steps=90, at=float(step)) for step in steps)


def learnt(count: int = 12) -> tuple[Trial, ...]:
    """Return trials that ended ten points above their last rung, the smallest ones best."""
    return tuple(
        replace(
            worlds.completed(n, 90.0 - 5 * (n % 6) + n / 100, 1 + n % 6),
            parameters={"learning_rate": 0.1 + n / 1000, "n_layers": 1 + n % 6},
            curve=curve(80.0 - 5 * (n % 6) + n / 100),
        )
        for n in range(count)
    )


MANY = SPEC.model_copy(update={"max_trials": 50, "parallelism": 1})
HOPELESS = replace(
    RUNNING,
    number=12,
    parameters={"learning_rate": 0.3, "n_layers": 6},
    parameter_count=600_000,
    curve=curve(45.0),
)


def of_twelve(made: Attempt) -> Attempt:
    return replace(made, trial=12)


def test_a_hopeless_training_is_asked_to_end_with_its_reason() -> None:
    live = of_twelve(attempt(live=True))
    actions = acts(MANY, worlds.observation((*learnt(), HOPELESS), (live,)))
    (halt,) = (a for a in actions if isinstance(a, Halt))
    assert (halt.attempt, halt.reason) == (live, "CannotImprove")
    assert "which is not larger" in halt.message


def test_it_is_judged_by_an_evaluation_that_is_not_stored_yet() -> None:
    live = of_twelve(attempt(live=True))
    fresh = replace(HOPELESS, curve=HOPELESS.curve[:1])
    last = HOPELESS.curve[1]
    report = Report("Scrape", steps=90, metric_step=last.step, metrics=last.metrics)
    actions = acts(MANY, worlds.observation((*learnt(), fresh), (live,), {live: report}))
    kinds = [type(a) for a in actions]
    assert kinds.index(Record) < kinds.index(Halt)


def test_a_training_that_ended_for_it_is_told_stopped_with_what_it_reached() -> None:
    ended = of_twelve(attempt(code=75, halted=True))
    seen = worlds.observation((*learnt(), HOPELESS), (ended,))
    (told,) = (a for a in acts(MANY, seen) if isinstance(a, Tell))
    assert (told.trial, told.state, told.reason) == (12, State.STOPPED, "CannotImprove")
    assert told.report.metrics == HOPELESS.curve[-1].metrics
    assert told.expected.keys() >= {"exact", "HasAns_exact", "NoAns_exact"}
    assert told.seconds == 9.0


@pytest.mark.parametrize("code", [None, 75, 1])
def test_a_hopeless_training_that_was_lost_does_not_start_again(code: int | None) -> None:
    seen = worlds.observation((*learnt(), HOPELESS), (of_twelve(attempt(code=code)),))
    assert tells(seen, MANY) == [(State.STOPPED, "CannotImprove")]
    assert launches(seen, MANY) == []


def test_a_training_whose_outlook_has_changed_goes_on_from_its_checkpoint() -> None:
    ended = of_twelve(attempt(code=75, halted=True))
    small = replace(HOPELESS, curve=curve(88.0))
    assert launches(worlds.observation((*learnt(), small), (ended,)), MANY) == [
        Launch(Stage.TRAIN, 12, 2)
    ]


def test_a_result_is_a_result_even_of_a_training_that_was_to_stop() -> None:
    ended = of_twelve(attempt(code=0, halted=True))
    seen = worlds.observation((*learnt(), HOPELESS), (ended,), {ended: FINAL})
    assert tells(seen, MANY) == [(State.COMPLETED, "Completed")]


def test_a_baseline_trains_to_its_end() -> None:
    live = of_twelve(attempt(live=True))
    known = replace(HOPELESS, baseline="known")
    actions = acts(MANY, worlds.observation((*learnt(), known), (live,)))
    assert not any(isinstance(a, Halt) for a in actions)


STOPPED = replace(
    HOPELESS, state=State.STOPPED, reason="CannotImprove", seconds=9.0, curve=curve(85.0)
)


def test_a_stopped_trial_that_looks_better_now_goes_on_before_anything_new() -> None:
    seen = worlds.observation((*learnt(), STOPPED))
    assert [a for a in acts(MANY, seen) if isinstance(a, Promote | Ask)] == [Promote(12)]
    further = replace(STOPPED, number=13, state=State.RUNNING, continues=12, seconds=0.0)
    again = worlds.observation((*learnt(), STOPPED, further))
    assert launches(again, MANY) == [Launch(Stage.TRAIN, 13, 1)]
    assert not any(isinstance(a, Promote) for a in acts(MANY, again))


def test_what_goes_on_is_not_stopped_at_the_same_rung_again() -> None:
    bad = replace(STOPPED, curve=curve(45.0))
    further = replace(bad, number=13, state=State.RUNNING, continues=12, seconds=0.0)
    live = replace(attempt(live=True), trial=13)
    actions = acts(MANY, worlds.observation((*learnt(), bad, further), (live,)))
    assert not any(isinstance(a, Halt) for a in actions)


def test_an_experiment_is_done_when_no_stopped_trial_should_go_on() -> None:
    spec = MANY.model_copy(update={"max_trials": 13})
    assert decide.decide(spec, worlds.observation((*learnt(), STOPPED))).done is None
    hopeless = replace(STOPPED, curve=curve(45.0))
    assert decide.decide(spec, worlds.observation((*learnt(), hopeless))).done is not None


def test_a_budget_that_is_spent_leaves_stopped_trials_as_they_are() -> None:
    spec = MANY.model_copy(update={"max_trials": 13, "max_duration_seconds": 1})
    seen = worlds.observation((*learnt(), STOPPED))
    end = decide.decide(spec, seen).done
    assert end is not None
    assert end.reason == "MaxDurationReached"
    assert not any(isinstance(a, Promote) for a in acts(spec, seen))


def test_the_checkpoint_of_a_stopped_trial_is_kept_until_the_end() -> None:
    hopeless = replace(STOPPED, curve=curve(45.0))
    for limit, gone in ((50, False), (13, True)):
        spec = MANY.model_copy(update={"max_trials": limit})
        actions = acts(spec, worlds.observation((*learnt(), hopeless)))
        collected = {n for a in actions if isinstance(a, Collect) for n in a.trials}
        assert (12 in collected) is gone


TWIN = replace(RUNNING, number=12, parameters=learnt()[3].parameters, parameter_count=400_000)


def test_a_suggestion_that_was_tried_before_is_answered_from_the_record() -> None:
    seen = worlds.observation((*learnt(), TWIN))
    (told,) = (a for a in acts(MANY, seen) if isinstance(a, Tell))
    assert (told.state, told.reason, told.seconds) == (State.COMPLETED, "Duplicate", 0.0)
    assert told.report.metrics == learnt()[3].metrics
    assert "those of trial 3, which is Completed" in told.message
    assert launches(seen, MANY) == []


def test_who_repeats_a_stopped_trial_is_expected_to_end_like_it() -> None:
    stopped = replace(
        learnt()[3], state=State.STOPPED, reason="CannotImprove", expected={"exact": 57.0}
    )
    seen = worlds.observation((*learnt()[:3], stopped, *learnt()[4:], TWIN))
    (told,) = (a for a in acts(MANY, seen) if isinstance(a, Tell))
    assert (told.state, told.reason) == (State.STOPPED, "Duplicate")
    assert told.expected == {"exact": 57.0}


def test_a_suggestion_that_is_being_tried_waits_for_its_result() -> None:
    first = replace(TWIN, number=0, parameters={"n_layers": 2})
    live = attempt(live=True)
    spec = MANY.model_copy(update={"parallelism": 2})
    seen = worlds.observation((first, replace(first, number=1)), (live,))
    assert acts(spec, seen) == [Ask(1)]


def test_a_suggestion_is_started_even_where_its_likes_all_fell_short() -> None:
    poor = tuple(
        replace(
            worlds.completed(n, 80.0 - 5 * (n % 6) + (n % 5) / 10, 1 + n % 6),
            parameters={"learning_rate": 0.1 + n / 1000, "n_layers": 1 + n % 6},
        )
        for n in range(30)
    )
    large = replace(
        RUNNING,
        number=30,
        parameters={"learning_rate": 0.2, "n_layers": 6},
        parameter_count=600_000,
    )
    seen = worlds.observation((*poor, large))
    for sampler in (SamplerType.EHVI, SamplerType.TPE, SamplerType.RANDOM):
        spec = MANY.model_copy(update={"sampler": Sampler(type=sampler)})
        assert tells(seen, spec) == []
        assert launches(seen, spec) == [Launch(Stage.TRAIN, 30, 1)]


STOPPING: list[dict[str, object]] = [
    {"type": "None", "collapse": False},
    {"type": "FrontAware", "minTrials": 3},
    {"type": "ASHA"},
    {"type": "ASHA", "pause": True},
]


class Search(RuleBasedStateMachine):
    """A world of processes and a study, with a controller that is killed between two actions."""

    @initialize(
        parallelism=st.integers(1, 4),
        trials=st.integers(4, 8),
        stopping=st.sampled_from(STOPPING),
    )
    def begin(self, parallelism: int, trials: int, stopping: dict[str, object]) -> None:
        self.spec = worlds.experiment(
            parallelism=parallelism,
            maxTrials=trials,
            maxInterruptions=3,
            maxFailedTrials=99,
            earlyStopping={"rungs": [0.25, 0.5], **stopping},
        ).spec
        self.trials: list[Trial] = []
        self.attempts: dict[tuple[Stage, int, int], Attempt] = {}
        self.reports: dict[tuple[Stage, int, int], Report] = {}
        self.told: list[int] = []
        self.removals: list[Removal] = []
        self.preparing: tuple[PastAttempt, ...] = ()
        self.now = 1000.0

    def seen(self) -> Observation:
        attempts = tuple(self.attempts.values())
        return Observation(
            self.now,
            0.0,
            worlds.PREPARATION,
            tuple(self.trials),
            attempts,
            dict(self.reports),
            removals=tuple(self.removals),
            preparing=self.preparing,
        )

    def apply(self, action: Action) -> None:
        match action:
            case Launch(stage, trial, number):
                fresh = Attempt(stage, trial, number, Phase.RUNNING, started=self.now)
                self.attempts.setdefault((stage, trial, number), fresh)
            case Ask(count):
                for _ in range(count):
                    number = len(self.trials)
                    layers = 1 + number % 6  # the seventh repeats the first
                    self.trials.append(
                        Trial(number, {"n_layers": layers}, parameter_count=100_000 * layers)
                    )
            case Promote(number):
                if not any(trial.continues == number for trial in self.trials):
                    before = self.trials[number]
                    assert not before.collected
                    self.trials.append(
                        Trial(
                            len(self.trials),
                            before.parameters,
                            continues=number,
                            parameter_count=before.parameter_count,
                            curve=before.curve,
                        )
                    )
            case Halt(attempt):
                key = (attempt.stage, attempt.trial, attempt.number)
                if key in self.attempts and self.attempts[key].live:
                    self.attempts[key] = replace(self.attempts[key], halted=True)
            case Tell(number, state, reason):
                if self.trials[number].state is State.RUNNING:
                    self.told.append(number)
                    curve = self.trials[number].curve
                    point = action.report.continuing(curve, 1000.0)
                    self.trials[number] = replace(
                        self.trials[number],
                        curve=(*curve, point) if point else curve,
                        state=state,
                        reason=reason,
                        seconds=action.seconds,
                        metrics=dict(action.report.metrics),
                        model="m",
                    )
            case Remember(stage, number, past):
                if stage is Stage.TRAIN:
                    kept = [p for p in self.trials[number].attempts if p.number != past.number]
                    self.trials[number] = replace(self.trials[number], attempts=(*kept, past))
                else:
                    others = (p for p in self.preparing if p.number != past.number)
                    self.preparing = (*others, past)
            case Release(attempt):
                self.attempts.pop((attempt.stage, attempt.trial, attempt.number), None)
            case Collect(numbers):
                done = Attempt(Stage.COLLECT, 0, 1, Phase.ENDED, exit_code=0)
                self.removals.append(Removal(numbers, done))
            case Collected(numbers):
                for number in numbers:
                    self.trials[number] = replace(self.trials[number], model=None, collected=True)
            case Record(number, point):
                curve = (*self.trials[number].curve, point)
                self.trials[number] = replace(self.trials[number], curve=curve)

    @rule(survives=st.integers(0, 6), twice=st.booleans())
    def controller_passes(self, survives: int, twice: bool) -> None:
        """Apply the first actions only, as if killed then; or twice, as if killed before noting."""
        for action in decide.decide(self.spec, self.seen()).actions[:survives]:
            self.apply(action)
            if twice and not isinstance(action, Ask):
                self.apply(action)

    @rule(
        choice=st.integers(0, 9),
        code=st.sampled_from([0, 0, 0, 1, 65, 67, 68, 75, None]),
        heard=st.booleans(),
    )
    def process_ends(self, choice: int, code: int | None, heard: bool) -> None:
        live = [key for key, a in self.attempts.items() if a.live]
        if live:
            key = live[choice % len(live)]
            self.end(key, code)
            if code == 0 and heard:
                self.reports[key] = FINAL

    def end(self, key: tuple[Stage, int, int], code: int | None) -> None:
        self.now += 1
        self.attempts[key] = replace(
            self.attempts[key], phase=Phase.ENDED, exit_code=code, ended=self.now
        )

    @rule(choice=st.integers(0, 9), exact=st.sampled_from([0.0, 50.0, 55.0, 80.0]))
    def process_measures(self, choice: int, exact: float) -> None:
        live = [key for key, a in self.attempts.items() if a.live and a.stage is Stage.TRAIN]
        if live:
            self.measure(live[choice % len(live)], exact)

    def measure(self, key: tuple[Stage, int, int], exact: float) -> None:
        """Let a process evaluate, a quarter of its steps after the evaluation before."""
        curve, known = self.trials[key[1]].curve, self.reports.get(key)
        last = max(curve[-1].step if curve else 0, (known and known.metric_step) or 0)
        if last < 15:
            self.now += 1
            halves = {"HasAns_exact": exact, "NoAns_exact": 100.0 if exact == 0.0 else exact}
            self.reports[key] = Report(
                "Scrape",
                step=last + 5,
                steps=20,
                metric_step=last + 5,
                metrics={"exact": exact, **halves, "parameter_count": 3e5},
            )

    def short(self, trial: Trial) -> bool:
        """Tell whether a training is at less than three quarters of its steps."""
        return not trial.curve or trial.curve[-1].step < 15

    @rule(stopping=st.sampled_from(STOPPING))
    def user_stops_by_another_rule(self, stopping: dict[str, object]) -> None:
        wanted = worlds.experiment(earlyStopping={"rungs": [0.25, 0.5], **stopping}).spec
        self.spec = self.spec.model_copy(update={"early_stopping": wanted.early_stopping})

    @rule(parallelism=st.integers(1, 4))
    def user_scales(self, parallelism: int) -> None:
        self.spec = self.spec.model_copy(update={"parallelism": parallelism})

    @rule(suspend=st.booleans())
    def user_suspends(self, suspend: bool) -> None:
        self.spec = self.spec.model_copy(update={"suspend": suspend})

    @invariant()
    def no_trial_has_two_live_processes(self) -> None:
        for trial in self.trials:
            live = [a for a in self.attempts.values() if a.trial == trial.number and a.live]
            assert sum(a.stage is Stage.TRAIN for a in live) <= 1

    @invariant()
    def each_trial_is_told_once(self) -> None:
        assert len(self.told) == len(set(self.told))

    @invariant()
    def there_are_never_too_many_suggestions(self) -> None:
        assert self.counted <= self.spec.max_trials

    @property
    def counted(self) -> int:
        """How many suggestions were trained, or still may be: no duplicate is."""
        return sum(t.continues is None and t.reason != "Duplicate" for t in self.trials)

    @invariant()
    def a_stopped_trial_is_continued_once_and_only_from_what_it_left(self) -> None:
        continued = [t.continues for t in self.trials if t.continues is not None]
        assert len(continued) == len(set(continued))
        for number in continued:
            assert self.trials[number].state is State.STOPPED
            assert self.trials[number].seconds > 0

    @invariant()
    def no_training_is_repeated(self) -> None:
        """Of equal suggestions one trains at a time, and the others get its result."""
        live = [a for a in self.attempts.values() if a.live and a.stage is Stage.TRAIN]
        layers = [self.trials[a.trial].parameters["n_layers"] for a in live]
        assert len(layers) == len(set(layers))

    @invariant()
    def no_more_processes_live_than_were_ever_allowed(self) -> None:
        live = [a for a in self.attempts.values() if a.live]
        assert sum(a.stage is Stage.TRAIN for a in live) <= 4
        assert sum(a.stage is Stage.PREPARE for a in live) <= 1

    def teardown(self) -> None:
        """Left alone, it converges: every trial is told, every result once, and it is done."""
        if not hasattr(self, "spec"):
            return
        self.spec = self.spec.model_copy(update={"suspend": False})
        for _ in range(200):
            actions = decide.decide(self.spec, self.seen()).actions
            for action in actions:
                self.apply(action)
            live = [key for key, a in self.attempts.items() if a.live]
            for key in live:
                if self.attempts[key].halted:
                    self.end(key, Exit.INTERRUPTED)
                elif key[0] is Stage.TRAIN and self.short(self.trials[key[1]]):
                    self.measure(key, 50.0 + key[1])
                else:
                    self.end(key, 0)
                    self.reports[key] = FINAL
            if not actions and not live:
                break
        done = decide.decide(self.spec, self.seen()).done
        assert done is not None
        assert sorted(self.told) == list(range(len(self.trials)))
        exhausted = done.reason == "SpaceExhausted"  # the space has six points
        assert exhausted or self.counted == self.spec.max_trials
        assert decide.decide(self.spec, self.seen()).actions == []


TestSearch = Search.TestCase
TestSearch.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
