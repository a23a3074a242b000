"""PURE: the stage that comes before all trials: when it is run, and what is kept of it."""

from collections.abc import Iterator

from distillery_contract.request import Stage
from distillery_contract.wire import Exit, Reason
from distillery_operator.engine import endings
from distillery_operator.engine.actions import Keep, Launch
from distillery_operator.engine.endings import Again, End
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.observation import Observation, Preparation
from distillery_operator.trials.trial import State


def launch(spec: Spec, seen: Observation) -> Iterator[Launch]:
    """Yield the preparation's next attempt, if there is to be one."""
    attempts = seen.attempts_of(Stage.PREPARE)
    if not attempts:
        yield Launch(Stage.PREPARE, 0, 1)
    elif not attempts[-1].remains:
        if endings.rests(spec, seen, attempts[-1]):
            return
        step = endings.follow(spec, seen, attempts)
        if isinstance(step, Again) or seen.preparation is not None:
            yield Launch(Stage.PREPARE, 0, attempts[-1].number + 1)


def keep(seen: Observation) -> Iterator[Keep]:
    """Yield what a preparation found, if it is not stored yet."""
    attempts = seen.attempts_of(Stage.PREPARE)
    for attempt in attempts:
        report = seen.report(attempt)
        if seen.preparation is None and attempt.exit_code == Exit.OK and report and report.key:
            seconds = sum(a.seconds for a in attempts)
            teacher, sources = report.teacher, report.sources
            yield Keep(Preparation(report.key, teacher, sources, seconds, seen.gpus))
            return


def failed(spec: Spec, seen: Observation) -> End | None:
    """Return how the preparation failed for good; None if it did not."""
    attempts = seen.attempts_of(Stage.PREPARE)
    if seen.preparation is not None or not attempts or attempts[-1].live:
        return None
    step = endings.follow(spec, seen, attempts)
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
