"""PURE: the stage that comes before all trials: when it is run, and what is kept of it."""

from collections.abc import Iterator

from distillery_contract.request import Stage
from distillery_contract.wire import Exit, Reason
from distillery_operator.engine import endings, usage
from distillery_operator.engine.actions import Keep, Launch
from distillery_operator.engine.endings import End
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.observation import Observation, Preparation
from distillery_operator.trials.trial import State


def launch(spec: Spec, seen: Observation) -> Iterator[Launch]:
    """Yield the preparation's next attempt, if there is to be one."""
    attempts = seen.attempts_of(Stage.PREPARE)
    if not attempts:
        yield Launch(Stage.PREPARE, 0, 1)
    elif attempts[-1].remains or endings.rests(spec, seen, attempts[-1]):
        return
    elif not (failed(spec, seen) or any(keep(seen))):
        yield Launch(Stage.PREPARE, 0, attempts[-1].number + 1)


def keep(seen: Observation) -> Iterator[Keep]:
    """Yield what a preparation found, if it is not stored yet."""
    attempts = seen.attempts_of(Stage.PREPARE)
    for attempt in attempts:
        report = seen.report(attempt)
        if seen.preparation is None and attempt.exit_code == Exit.OK and report and report.key:
            seconds, gpus = usage.total(seen, attempts)
            teacher, sources = report.teacher, report.sources
            _, _, notes = report.message.partition("; ")  # the first sentence says that it is done
            yield Keep(Preparation(report.key, teacher, sources, seconds, gpus, notes))
            return


def failed(spec: Spec, seen: Observation) -> End | None:
    """Return how the preparation failed for good; None if it did not.

    Each edit of the spec lets it run again, with all its limits: a person has acted on what it
    said. It runs again for no other reason, and so not because its Jobs are gone.
    """
    attempts = seen.attempts_of(Stage.PREPARE)
    own = [a for a in attempts if a.generation in (None, seen.generation)]
    if seen.preparation is not None or not own or attempts[-1].live:
        return None
    step = endings.follow(spec, seen, own)
    return step if isinstance(step, End) and step.state is not State.COMPLETED else None


def lost(seen: Observation) -> bool:
    """Tell whether a trial found its prepared data gone and they are not made again yet."""
    preparing = seen.attempts_of(Stage.PREPARE)
    if any(attempt.live for attempt in preparing):
        return True
    whole = [a for a in preparing if endings.cause(a, None)[0] is not Reason.INTERRUPTED]
    made = max((attempt.started or 0.0 for attempt in whole), default=0.0)
    return any(
        attempt.exit_code == Exit.BAD_DATA and (attempt.ended or 0.0) > made
        for trial in seen.trials
        if trial.state is State.RUNNING
        for attempt in seen.attempts_of(Stage.TRAIN, trial.number)[-1:]
    )
