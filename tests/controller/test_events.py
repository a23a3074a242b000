from dataclasses import replace
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_contract.wire import Reason
from distillery_operator.controller import events
from distillery_operator.controller.events import NORMAL, WARNING, Event
from distillery_operator.engine import reasons
from distillery_operator.engine.actions import (
    Action,
    Ask,
    Collect,
    Collected,
    Halt,
    Keep,
    KeepConfirmation,
    Launch,
    Promote,
    Record,
    Release,
    Tell,
)
from distillery_operator.engine.conditions import timestamp
from distillery_operator.resource.status import Condition, ConditionType, Status
from distillery_operator.trials.attempt import Attempt, Phase
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import Confirmation, Point, State, Trial
from support import worlds

ENDED = Attempt(Stage.TRAIN, 3, 1, Phase.ENDED, exit_code=75, reason="Preempted", message="gone")
SEEN = worlds.observation(attempts=(ENDED,))


def of(action: Action, seen: Observation = SEEN) -> tuple[str, str, str] | None:
    event = events.of_action(action, seen)
    return (event.type, event.reason, event.message) if event else None


def attempt(**more: Any) -> Attempt:
    return Attempt(Stage.TRAIN, 3, 1, **{"phase": Phase.RUNNING, **more})


TOLD: list[tuple[Action, tuple[str, str, str] | None]] = [
    (Launch(Stage.TRAIN, 3, 1), (NORMAL, "Started", "trial 3 starts")),
    (Launch(Stage.PREPARE, 0, 1), (NORMAL, "Started", "the preparation starts")),
    (
        Launch(Stage.TRAIN, 3, 2),
        (NORMAL, "Restarted", "trial 3 goes on as attempt 2, after Preempted: gone"),
    ),
    (
        Launch(Stage.TRAIN, 4, 2),  # its first attempt is another trial's affair
        (NORMAL, "Restarted", "trial 4 goes on as attempt 2"),
    ),
    (
        Launch(Stage.PREPARE, 0, 2),
        (NORMAL, "Restarted", "the preparation goes on as attempt 2"),
    ),
    (
        Halt(attempt(), reasons.SUSPENDED),
        (NORMAL, "Suspended", "trial 3 is asked to write a checkpoint and end"),
    ),
    (
        Halt(replace(attempt(), stage=Stage.PREPARE, trial=0), reasons.TEMPLATE_CHANGED),
        (NORMAL, "TemplateChanged", "the preparation is asked to write a checkpoint and end"),
    ),
    (
        Halt(attempt(), "CannotImprove", "trial 1 is better"),
        (
            NORMAL,
            "CannotImprove",
            "trial 3 is asked to write a checkpoint and end: trial 1 is better",
        ),
    ),
    (Promote(3), (NORMAL, "Promoted", "trial 3, which was stopped, goes on")),
    (
        Tell(3, State.STOPPED, "Collapsed", "the model collapsed", 10.0),
        (NORMAL, "Collapsed", "trial 3 is Stopped: the model collapsed"),
    ),
    (
        Keep(worlds.PREPARATION),
        (NORMAL, "Prepared", "data and teacher are prepared as key"),
    ),
    (
        Tell(3, State.COMPLETED, Reason.COMPLETED, "all steps are done", 10.0),
        (NORMAL, "Completed", "trial 3 is Completed: all steps are done"),
    ),
    (
        Tell(3, State.INFEASIBLE, Reason.DIVERGED, "the loss is nan", 10.0),
        (NORMAL, "Diverged", "trial 3 is Infeasible: the loss is nan"),
    ),
    (
        Tell(3, State.FAILED, reasons.METRICS_UNAVAILABLE, "no final metrics", 10.0),
        (WARNING, "MetricsUnavailable", "trial 3 is Failed: no final metrics"),
    ),
    (
        Collected((1, 2)),
        (NORMAL, "Collected", "files of trials that nobody needs are gone: 1, 2"),
    ),
    (
        Collected((), ((3, 43),)),
        (NORMAL, "Collected", "files of trials that nobody needs are gone: 3 with the seed 43"),
    ),
    (
        KeepConfirmation(3, 0, Confirmation(43, State.COMPLETED, "Completed", "all steps")),
        (NORMAL, "Completed", "trial 3 with the seed 43 is Completed: all steps"),
    ),
    (
        KeepConfirmation(3, 0, Confirmation(43, State.FAILED, "Crashed", "it crashed")),
        (WARNING, "Crashed", "trial 3 with the seed 43 is Failed: it crashed"),
    ),
    (Collect((1, 2)), None),
    (Ask(2), None),
    (Record(3, Point(1, {})), None),
    (Release(ENDED), None),
]  # fmt: skip


@pytest.mark.parametrize(("action", "told"), TOLD)
def test_an_action_is_told_if_a_user_would_ask_about_it(
    action: Action, told: tuple[str, str, str] | None
) -> None:
    assert of(action) == told


def test_the_attempt_before_says_why_its_trial_restarts() -> None:
    first = replace(ENDED, message="", reason="")
    second = replace(ENDED, number=2, reason="NodeLost", message="m" * 5000)
    seen = worlds.observation(attempts=(second, first))
    assert of(Launch(Stage.TRAIN, 3, 2), seen) == (
        NORMAL,
        "Restarted",
        "trial 3 goes on as attempt 2, after its end: exit code 75",
    )
    told = events.of_action(Launch(Stage.TRAIN, 3, 3), seen)
    assert told
    assert told.message.startswith("trial 3 goes on as attempt 3, after NodeLost: mmm")
    assert len(told.message) <= events.MESSAGE_LIMIT


def test_a_further_training_is_told_with_its_seed() -> None:
    trial = replace(
        worlds.completed(0, 70.0, 3), confirmations=(Confirmation(43, State.COMPLETED),)
    )
    seen = worlds.observation((trial,))
    assert of(Launch(Stage.CONFIRM, 0, 2), seen) == (
        NORMAL,
        "Started",
        "trial 0 with the seed 44 starts",
    )
    assert of(Launch(Stage.CONFIRM, 0, 3), seen) == (
        NORMAL,
        "Restarted",
        "trial 0 with the seed 44 goes on as attempt 3",
    )


def test_a_message_fits_an_event() -> None:
    long = Tell(3, State.FAILED, Reason.CRASHED, "x" * 5000, 1.0)
    many = Collected(tuple(range(10_000)))
    for action in (long, many):
        told = events.of_action(action, SEEN)
        assert told
        assert 50 < len(told.message) <= events.MESSAGE_LIMIT
    assert of(many) == (
        NORMAL,
        "Collected",
        f"files of trials that nobody needs are gone: {', '.join(map(str, range(20)))}, …",
    )


def made(*conditions: tuple[ConditionType, str, str]) -> Status:
    """A status with these conditions."""
    times = {"last_transition_time": timestamp(0), "observed_generation": 1}
    return Status(
        observed_generation=1,
        conditions=[
            Condition.model_validate(
                {"type": kind, "status": truth, "reason": reason, "message": f"{kind}!", **times}
            )
            for kind, truth, reason in conditions
        ],
    )


REFUSED = made((ConditionType.TEMPLATE_VALID, "False", "TemplateRefused"))
VALID = made((ConditionType.TEMPLATE_VALID, "True", "Accepted"))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, VALID, []),
        (None, REFUSED, [(WARNING, "TemplateRefused")]),
        (VALID, REFUSED, [(WARNING, "TemplateRefused")]),
        (REFUSED, REFUSED, []),
        (REFUSED, VALID, []),
        (
            made((ConditionType.DEGRADED, "True", "ImagePullFailed")),
            made((ConditionType.DEGRADED, "True", "NoFeasibleTrial")),
            [(WARNING, "NoFeasibleTrial")],
        ),
        (
            made((ConditionType.DEGRADED, "False", "AsExpected")),
            made((ConditionType.DEGRADED, "True", "NoFeasibleTrial")),
            [(WARNING, "NoFeasibleTrial")],
        ),
        (
            made((ConditionType.SUCCEEDED, "Unknown", "Running")),
            made((ConditionType.SUCCEEDED, "True", "MaxTrialsReached")),
            [(NORMAL, "MaxTrialsReached")],
        ),
        (
            made((ConditionType.SUCCEEDED, "Unknown", "Running")),
            made((ConditionType.SUCCEEDED, "False", "NoFeasibleTrial")),
            [(WARNING, "NoFeasibleTrial")],
        ),
        (None, made((ConditionType.FOREIGN_TRIALS, "True", "LeftAlone")), [(WARNING, "LeftAlone")]),
        (
            made((ConditionType.PROGRESSING, "True", "Running")),
            made((ConditionType.PROGRESSING, "False", "Suspended")),
            [],
        ),
        (
            None,
            made(
                (ConditionType.ACCEPTED, "False", "InvalidExperiment"),
                (ConditionType.STORAGE_REACHABLE, "False", "DatabaseUnavailable"),
                (ConditionType.PREPARED, "False", "PreparationFailed"),
            ),
            [
                (WARNING, "InvalidExperiment"),
                (WARNING, "DatabaseUnavailable"),
                (WARNING, "PreparationFailed"),
            ],
        ),
    ],
)
def test_a_condition_is_told_when_it_changes_to_something_to_look_at(
    before: Status | None, after: Status, told: list[tuple[str, str]]
) -> None:
    assert [(e.type, e.reason) for e in events.of_change(before, after)] == told


def test_a_condition_is_told_in_its_own_words() -> None:
    assert list(events.of_change(None, REFUSED)) == [
        Event(WARNING, "TemplateRefused", "TemplateValid!")
    ]


def test_a_whole_search_tells_each_condition_once() -> None:
    experiment, before, told = worlds.experiment(maxTrials=2, parallelism=1), None, []
    running = Trial(1, {"n_layers": 2})
    first = worlds.completed(0, 80.0, 1)
    for trials, preparation in (
        ((), None),
        ((), worlds.PREPARATION),
        ((first,), worlds.PREPARATION),
        ((first, running), worlds.PREPARATION),
        ((first, worlds.completed(1, 90.0, 2)), worlds.PREPARATION),
        ((first, worlds.completed(1, 90.0, 2)), worlds.PREPARATION),
    ):
        after = worlds.status(
            experiment, worlds.observation(trials, preparation=preparation), before
        )
        told += [event.reason for event in events.of_change(before, after)]
        before = after
    assert told == ["MaxTrialsReached"]


def test_only_what_is_said_of_each_trial_is_routine() -> None:
    said = [event for action, _ in TOLD if (event := events.of_action(action, SEEN))]
    once = {event.reason for event in said if not event.routine}
    assert once == {"Prepared", "MetricsUnavailable", "Crashed"}
    spec = worlds.experiment(maxTrials=1, parallelism=1)
    seen = worlds.observation((worlds.completed(0, 80.0, 1),))
    (over,) = events.of_change(None, worlds.status(spec, seen, None))
    assert (over.reason, over.routine) == ("MaxTrialsReached", False)
