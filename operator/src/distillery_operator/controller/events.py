"""PURE: what is told of an action and of a condition, in logs and as Kubernetes events.

The reason of an event is the same word as the reason of its trial or condition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from distillery_contract.request import Stage
from distillery_operator.engine import requests, sidecars
from distillery_operator.engine.actions import (
    Action,
    Close,
    Collected,
    Discard,
    Expire,
    Halt,
    Keep,
    KeepConfirmation,
    KeepTest,
    Launch,
    Promote,
    Tell,
)
from distillery_operator.engine.reasons import FOREIGN, LINGERING
from distillery_operator.resource.status import ConditionType, Status
from distillery_operator.trials.attempt import PENDING_TIMEOUT
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State

WARNING: Final = "Warning"
NORMAL: Final = "Normal"

MESSAGE_LIMIT: Final = 1024
"""Characters that the API server takes as an event's message."""

WRONG: Final = {
    (ConditionType.ACCEPTED, "False"),
    (ConditionType.TEMPLATE_VALID, "False"),
    (ConditionType.STORAGE_REACHABLE, "False"),
    (ConditionType.ACTIONS_ACCEPTED, "False"),
    (ConditionType.VISITED, "False"),
    (ConditionType.WARM_STARTED, "False"),
    (ConditionType.TRAINER_ACCEPTED, "False"),
    (ConditionType.PREPARED, "False"),
    (ConditionType.SUCCEEDED, "False"),
    (ConditionType.TESTED, "False"),
    (ConditionType.CONFIRMED, "False"),
    (ConditionType.HELD_BACK, "True"),
    (ConditionType.FOREIGN_TRIALS, "True"),
    (ConditionType.DEGRADED, "True"),
}
"""Conditions that a person should look at."""


@dataclass(frozen=True)
class Event:
    """Something that a user would ask about.

    Attributes:
        routine: whether it is one of so many alike that some of them may be in the log alone.
    """

    type: str
    reason: str
    message: str
    routine: bool = False


def of_action(action: Action, seen: Observation) -> Event | None:
    """Return what an action is told as; None for those that nobody asks about."""
    match action:
        case Launch(stage, trial, number):
            what, first = _what(stage, trial), 1
            if stage is Stage.CONFIRM:
                known = seen.trials[trial]
                what = f"trial {trial} with the seed {requests.seed_of(known, number)}"
                first = known.confirmed_up_to + 1
            if number == first:
                return _routine("Started", f"{what} starts")
            return _routine("Restarted", f"{what} goes on as attempt {number}{_why(action, seen)}")
        case Halt(attempt, reason, message):
            what = _what(attempt.stage, attempt.trial)
            said = f"{what} is asked to write a checkpoint and end" + (message and f": {message}")
            return _routine(reason, said)
        case Expire(attempt):
            what = _what(attempt.stage, attempt.trial)
            said = f"{what} has waited too long and gives its slot back: {attempt.message}"
            return _routine(PENDING_TIMEOUT, said)
        case Close(attempt):
            what = _what(attempt.stage, attempt.trial)
            return _routine(LINGERING, f"{what}: {sidecars.lingering(attempt)}")
        case Discard(attempt):
            said = (
                f"attempt {attempt.number} of trial {attempt.trial} is of a suggestion that the"
                " study does not know; the attempt is ended and removed, and nothing of it counts"
            )
            return _event(WARNING, FOREIGN, said)
        case Promote(trial):
            return _routine("Promoted", f"trial {trial}, which was stopped, goes on")
        case Keep(preparation):
            said = f"data and teacher are prepared as {preparation.key[:12]}"
            return _event(NORMAL, "Prepared", said)
        case KeepTest(trial):
            return _routine("Tested", f"trial {trial} is evaluated on the test questions")
        case KeepConfirmation(trial, _, found):
            said = f"trial {trial} with the seed {found.seed} is {found.state}: {found.message}"
            if found.state is State.FAILED:
                return _event(WARNING, found.reason, said)
            return _routine(found.reason, said)
        case Tell(trial, state, reason, message):
            said = f"trial {trial} is {state}: {message}"
            if state is State.FAILED:
                return _event(WARNING, reason, said)
            return _routine(reason, said)
        case Collected(trials, runs):
            names = [*map(str, trials), *(f"{trial} with the seed {seed}" for trial, seed in runs)]
            shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
            return _routine("Collected", f"files of trials that nobody needs are gone: {shown}")
    return None


def of_change(before: Status | None, after: Status) -> Iterator[Event]:
    """Yield what is told of conditions that have changed."""
    known = {c.type: (c.status, c.reason) for c in before.conditions} if before else {}
    for condition in after.conditions:
        earlier = known.get(condition.type)
        if earlier == (condition.status, condition.reason):
            continue
        wrong = (condition.type, condition.status) in WRONG
        over = condition.type is ConditionType.SUCCEEDED and condition.status == "True"
        if wrong or over:
            yield _event(WARNING if wrong else NORMAL, condition.reason, condition.message)


def not_owned(said: str) -> Event:
    """Return what is told of an experiment that another operator works on."""
    return _event(NORMAL, "NotOwned", said)


def not_watched(namespace: str, why: str) -> Event:
    """Return what is told of an experiment whose namespace is watched no more."""
    said = (
        f"the namespace {namespace} is watched no more, for {why}; trials that run go on, and their"
        " results are stored once it is watched again"
    )
    return _event(WARNING, "NotWatched", said)


def _what(stage: Stage, trial: int) -> str:
    named = {
        Stage.TRAIN: f"trial {trial}",
        Stage.TEST: f"the test of trial {trial}",
        Stage.CONFIRM: f"trial {trial} with another seed",
    }
    return named.get(stage, "the preparation")


def _routine(reason: str, message: str) -> Event:
    return _event(NORMAL, reason, message, routine=True)


def _event(kind: str, reason: str, message: str, routine: bool = False) -> Event:
    return Event(kind, str(reason), message[:MESSAGE_LIMIT], routine)


def _why(launch: Launch, seen: Observation) -> str:
    """Return how the attempt before ended."""
    for attempt in seen.attempts_of(launch.stage, launch.trial):
        if attempt.number == launch.number - 1:
            said = attempt.message or f"exit code {attempt.exit_code}"
            return f", after {attempt.reason or 'its end'}: {said}"[:500]
    return ""
