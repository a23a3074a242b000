"""What the study remembers of attempts, once their Jobs are gone."""

from dataclasses import replace

import pytest

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.engine import budgets, decide, usage
from distillery_operator.engine.actions import Action, Ask, Keep, Launch, Remember, Tell
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.attempt import Attempt, Phase, Report
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.trial import Point, State, Trial
from support import worlds

SPEC = worlds.experiment(trialTimeoutSeconds=100, maxInterruptions=2, maxCrashes=1).spec
RUNNING = Trial(0, {"learning_rate": 0.1, "n_layers": 2}, parameter_count=300_000)


def attempt(number: int, code: int | None = None, seconds: float = 10.0, **more: object) -> Attempt:
    """Return an attempt that has ended."""
    begun = 100.0 * number
    known = Attempt(Stage.TRAIN, 0, number, Phase.ENDED, code, identity=f"uid-{number}")
    return replace(known, started=begun, ended=begun + seconds, **more)  # type: ignore[arg-type]


def live(number: int, **more: object) -> Attempt:
    known = Attempt(Stage.TRAIN, 0, number, Phase.RUNNING, identity=f"uid-{number}")
    return replace(known, started=100.0 * number, **more)  # type: ignore[arg-type]


def remembered(seen: Observation, spec: Spec = SPEC) -> list[PastAttempt]:
    actions = decide.decide(spec, seen).actions
    return [a.attempt for a in actions if isinstance(a, Remember)]


def applied(seen: Observation, spec: Spec = SPEC) -> Observation:
    """Return what is seen once what is to be remembered is stored."""
    trials, preparing = list(seen.trials), seen.preparing
    for action in decide.decide(spec, seen).actions:
        if isinstance(action, Remember):
            past = action.attempt
            kept = trials[action.trial].attempts if action.stage is Stage.TRAIN else preparing
            kept = (*(p for p in kept if p.identity != past.identity), past)
            if action.stage is Stage.TRAIN:
                trials[action.trial] = replace(trials[action.trial], attempts=kept)
            else:
                preparing = kept
    return replace(seen, trials=tuple(trials), preparing=preparing)


def after_all(*attempts: Attempt, spec: Spec = SPEC, trial: Trial = RUNNING) -> Observation:
    """Return what is seen after attempts have come and gone, one after the other."""
    seen = worlds.observation((trial,))
    for each in attempts:
        seen = applied(replace(seen, attempts=(each,)), spec)
    return replace(seen, attempts=())


def acts(seen: Observation, spec: Spec = SPEC) -> list[Action]:
    return [a for a in decide.decide(spec, seen).actions if not isinstance(a, Ask)]


def test_an_attempt_is_remembered_once_when_it_begins_and_once_when_it_ends() -> None:
    seen = worlds.observation((RUNNING,), (live(1),))
    (begun,) = remembered(seen)
    assert (begun.identity, begun.over, begun.started) == ("uid-1", False, 100.0)
    seen = applied(seen)
    assert remembered(seen) == []
    seen = replace(seen, attempts=(attempt(1, None, message="evicted"),))
    (ended,) = remembered(seen)
    assert (ended.over, ended.started, ended.ended) == (True, 100.0, 110.0)
    assert ended.message == "evicted"
    assert remembered(applied(seen)) == []


def test_what_waits_for_a_machine_or_is_told_is_not_remembered() -> None:
    waits = Attempt(Stage.TRAIN, 0, 1, Phase.PENDING, identity="uid-1")
    assert remembered(worlds.observation((RUNNING,), (waits,))) == []
    diverged = worlds.observation((RUNNING,), (attempt(1, Exit.DIVERGED),))
    assert remembered(diverged) == []  # its ending is told, and its run time with it
    assert remembered(worlds.observation((worlds.completed(0, 80.0, 1),), (attempt(1, 0),))) == []


def test_that_an_attempt_was_asked_to_end_is_remembered_too() -> None:
    seen = applied(worlds.observation((RUNNING,), (live(1),)))
    (halted,) = remembered(replace(seen, attempts=(live(1, halted=True),)))
    assert halted.halted


def test_the_next_attempt_has_the_next_number_though_all_jobs_are_gone() -> None:
    seen = after_all(attempt(1), attempt(2, 1))
    assert acts(seen) == [Launch(Stage.TRAIN, 0, 3)]


def test_deleted_jobs_do_not_reset_the_limit_of_interruptions() -> None:
    two = after_all(attempt(1), attempt(2))
    assert acts(two) == [Launch(Stage.TRAIN, 0, 3)]
    third = replace(two, attempts=(attempt(3),))
    (told,) = (a for a in acts(third) if isinstance(a, Tell))
    assert (told.state, told.reason) == (State.FAILED, "TooManyInterruptions")
    assert told.seconds == 30.0


def test_deleted_jobs_do_not_reset_the_limit_of_crashes() -> None:
    once = after_all(attempt(1, 1))
    assert acts(once) == [Launch(Stage.TRAIN, 0, 2)]
    (told,) = (a for a in acts(replace(once, attempts=(attempt(2, 1),))) if isinstance(a, Tell))
    assert (told.state, told.reason) == (State.FAILED, "Crashed")


def test_deleted_jobs_do_not_reset_the_run_time_of_a_trial() -> None:
    seen = after_all(attempt(1, seconds=60.0))
    late = replace(live(2), started=950.0)
    assert [type(a).__name__ for a in acts(replace(seen, attempts=(late,), now=995.0))] == [
        "Halt", "Remember"
    ]  # fmt: skip


def test_budgets_count_jobs_that_are_gone_with_the_gpus_that_they_had() -> None:
    spec = worlds.experiment(maxGpuHours=1).spec
    four = replace(worlds.observation((RUNNING,), (attempt(1, seconds=1800.0),)), gpus=4.0)
    gone = replace(applied(four, spec), attempts=(), gpus=1.0)  # the template has one GPU now
    assert usage.hours(gone) == 2.0
    closing = budgets.closing(spec, gone)
    assert closing is not None
    assert closing.reason == budgets.MAX_GPU_HOURS_REACHED
    done = replace(gone, attempts=(attempt(2, Exit.DIVERGED, seconds=600.0),))
    (told,) = (a for a in acts(done, spec) if isinstance(a, Tell))
    assert told.seconds * told.gpus == 1800.0 * 4 + 600.0


def test_an_attempt_that_is_remembered_and_listed_counts_once() -> None:
    seen = applied(worlds.observation((RUNNING,), (attempt(1),)))
    assert len(seen.attempts_of(Stage.TRAIN, 0)) == 1
    assert usage.hours(seen) == 10.0 / 3600


def test_a_number_that_comes_again_is_another_attempt() -> None:
    """As before this release: a Job was deleted, and the next one was called like it."""
    seen = after_all(attempt(1))
    again = replace(attempt(1), identity="another", started=500.0, ended=505.0)
    seen = replace(seen, attempts=(again,))
    assert len(seen.attempts_of(Stage.TRAIN, 0)) == 2
    assert len(applied(seen).trials[0].attempts) == 2
    assert usage.hours(seen) == 15.0 / 3600


def test_one_that_ran_and_is_gone_has_run_until_it_measured_last() -> None:
    curve = (Point(5, {"exact": 1.0}, at=50.0), Point(10, {"exact": 2.0}, at=140.0))
    seen = after_all(live(1), trial=replace(RUNNING, curve=curve))
    (lost,) = seen.attempts_of(Stage.TRAIN, 0)
    assert (lost.live, lost.exit_code, lost.seconds) == (False, None, 40.0)
    assert acts(seen) == [Launch(Stage.TRAIN, 0, 2)]
    later = (*curve, Point(15, {"exact": 3.0}, at=260.0))  # of the second attempt
    seen = after_all(live(1), live(2), trial=replace(RUNNING, curve=later))
    assert [a.seconds for a in seen.attempts_of(Stage.TRAIN, 0)] == [40.0, 60.0]


def test_what_a_pod_told_stands_when_only_its_job_is_left() -> None:
    told = attempt(1, Exit.INTERRUPTED, seconds=40.0)
    seen = applied(worlds.observation((RUNNING,), (live(1),)))
    seen = applied(replace(seen, attempts=(told,)))
    bare = Attempt(Stage.TRAIN, 0, 1, Phase.ENDED, ended=150.0, identity="uid-1", disrupted=True)
    seen = replace(seen, attempts=(bare,))
    (known,) = seen.attempts_of(Stage.TRAIN, 0)
    assert (known.exit_code, known.started, known.disrupted) == (Exit.INTERRUPTED, 100.0, False)
    assert remembered(seen) == []


# The preparation.


def prepare(code: int | None, generation: int = 1, number: int = 1) -> Attempt:
    ended = replace(attempt(number, code, message="no file"), stage=Stage.PREPARE)
    return replace(ended, generation=generation)


def unprepared(*attempts: Attempt, generation: int = 1) -> Observation:
    return replace(worlds.observation((), attempts, preparation=None), generation=generation)


def test_a_failed_preparation_stays_failed_when_its_job_is_gone() -> None:
    seen = applied(unprepared(prepare(Exit.BAD_DATA)))
    for left in (seen, replace(seen, attempts=())):
        decision = decide.decide(SPEC, left)
        assert decision.actions == []
        assert decision.done is not None
        assert (decision.done.reason, decision.done.message) == ("PreparationFailed", "no file")


@pytest.mark.parametrize("gone", [True, False])
def test_an_edit_lets_a_failed_preparation_run_again(gone: bool) -> None:
    seen = applied(unprepared(prepare(Exit.BAD_DATA)))
    seen = replace(seen, attempts=() if gone else seen.attempts, generation=2)
    decision = decide.decide(SPEC, seen)
    assert decision.actions == [Launch(Stage.PREPARE, 0, 2)]
    assert decision.closing is None
    again = replace(seen, attempts=(prepare(Exit.BAD_DATA, 2, 2),))
    assert decide.decide(SPEC, applied(again)).done is not None


def test_an_edit_gives_a_preparation_all_its_limits_again() -> None:
    crashed = applied(unprepared(prepare(1, number=1), prepare(1, number=2)))
    assert decide.decide(SPEC, crashed).done is not None
    edited = applied(replace(crashed, attempts=(prepare(1, 2, 3),), generation=2))
    assert decide.decide(SPEC, edited).actions == [Launch(Stage.PREPARE, 0, 4)]


def test_a_failure_of_an_earlier_release_is_one_of_the_spec_of_today() -> None:
    old = replace(prepare(Exit.BAD_DATA), generation=None)
    seen = replace(applied(unprepared(old, generation=3)), attempts=())
    assert decide.decide(SPEC, seen).done is not None
    assert decide.decide(SPEC, replace(seen, generation=4)).done is None


def test_a_preparation_whose_end_an_edit_overtook_is_kept_and_not_repeated() -> None:
    done = prepare(Exit.OK)
    seen = unprepared(done, generation=2)
    report = Report("x", key="k", sources=worlds.SOURCES, teacher={"exact": 9.0})
    seen = replace(seen, reports={done.key: report})
    assert [type(a) for a in decide.decide(SPEC, seen).actions] == [Keep, Remember]


def test_the_preparations_hours_outlive_its_job() -> None:
    seen = applied(replace(unprepared(prepare(None)), gpus=2.0))
    assert usage.gpu_hours(replace(seen, attempts=(), gpus=0.0)) == 20.0 / 3600
