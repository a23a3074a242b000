"""PURE: what an experiment needs next. Read this first.

``decide(spec, seen)`` looks at one observation and returns a decision;
:mod:`distillery_operator.engine.reconcile` carries out its actions. Nothing is remembered between
two calls, so a process killed at any line loses nothing: the next call sees what was done and asks
for the rest. Applying the actions and deciding again asks for nothing twice.
"""

import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Final

from distillery_contract.request import Stage
from distillery_operator.engine import (
    budgets,
    confirming,
    endings,
    housekeeping,
    memory,
    preparation,
    sidecars,
    testing,
    trainers,
    usage,
)
from distillery_operator.engine.actions import (
    Action,
    Ask,
    Discard,
    Expire,
    Halt,
    Launch,
    Promote,
    Record,
)
from distillery_operator.engine.budgets import Closing
from distillery_operator.engine.confirming import Confirmations
from distillery_operator.engine.endings import Again
from distillery_operator.engine.reasons import (
    PREPARATION_FAILED,
    SILENT,
    SUSPENDED,
    TEMPLATE_CHANGED,
    TIMED_OUT,
    TOO_MANY_FAILURES,
    TRIAL_ENDED,
)
from distillery_operator.engine.testing import Tests
from distillery_operator.resource.spec import Spec
from distillery_operator.stopping.rule import Rule
from distillery_operator.trials.attempt import Attempt
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State

AT_ONCE: Final = 2
"""Suggestions in one pass at most: each may take 0.2 s, and other experiments wait meanwhile."""

TIMES_ITS_PACE: Final = 3
"""How many times as long as its longest step so far a training may take for the next one."""


@dataclass(frozen=True)
class Decision:
    """What follows from one observation.

    Attributes:
        actions: what to do, in this order.
        closing: why no further trial is asked for; None while the search goes on.
        done: why the search is over; None while it has something left to do.
        tests: how far the tests are of what it has chosen.
        confirmations: how far the confirmation of its front is, once it is over.
    """

    actions: list[Action]
    closing: Closing | None
    done: Closing | None
    tests: Tests = field(default_factory=Tests)
    confirmations: Confirmations = field(default_factory=Confirmations)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: what the search has chosen is confirmed and tested."""
        return self.done is not None and not (self.tests.missing or self.confirmations.missing)


def decide(spec: Spec, seen: Observation) -> Decision:
    """Say what an experiment needs next, and whether and why its search is over.

    First what has ended is stored, then what must end is halted; only then, within the parallelism,
    trials that lack a process get one and new suggestions are asked for. Once the search is over,
    points of its front are trained again with other seeds, and then what it has chosen is tested.
    """
    records = list(_record(seen))
    seen = _recorded(spec, seen, records)
    rule = Rule(spec, seen.trials, seen.verdicts(spec))
    closing = _closing(spec, seen, rule)
    done = _done(spec, seen, rule, closing)
    repeats = endings.repeated(seen)
    told = list(endings.tell(spec, seen, rule, repeats))
    over = {tell.trial for tell in told}
    lasting = [r for r in records if r.trial not in over]  # the others are stored with the ending
    tested, confirmed = list(testing.keep(seen)), list(confirming.keep(spec, seen))
    actions: list[Action] = [*preparation.keep(seen), *tested, *confirmed, *lasting, *told]
    actions += _halt(spec, seen, rule)
    stored = {(Stage.TRAIN, number) for number in over} | {(Stage.TEST, k.trial) for k in tested}
    stored |= {(Stage.CONFIRM, k.trial) for k in confirmed}
    actions += [r for r in memory.remember(seen) if (r.stage, r.trial) not in stored]
    actions += [Discard(attempt) for attempt in seen.foreign]
    actions += sidecars.close(seen)
    tests = testing.tests(spec, seen)
    confirmations = confirming.confirmations(spec, seen) if done else Confirmations()
    if done is None:
        actions += _fill(spec, seen, rule, closing, over | repeats.keys())
    elif confirmations.missing:
        actions += confirming.launch(spec, seen, confirmations)
    else:
        actions += testing.launch(spec, seen, tests)
    # Last, for a freed slot waits for what stands before.
    actions += housekeeping.release(seen)
    actions += housekeeping.free(seen)
    actions += housekeeping.collected(seen)
    actions += housekeeping.forget(seen)
    unsettled = done is None or bool(confirmations.missing)
    actions += housekeeping.collect(spec, seen, done is not None, unsettled)
    return Decision(actions, closing, done, tests, confirmations)


def _closing(spec: Spec, seen: Observation, rule: Rule) -> Closing | None:
    """Return why no further trial is asked for, or None if the search goes on."""
    if failure := preparation.failed(spec, seen):
        return Closing(PREPARATION_FAILED, failure.message)
    failed = [trial for trial in seen.trials if trial.state is State.FAILED]
    if len(failed) > spec.max_failed_trials:
        last = failed[-1]
        return Closing(
            TOO_MANY_FAILURES,
            f"failed trials <= {spec.max_failed_trials} must hold, but {len(failed)} failed; "
            f"the last, trial {last.number}: {last.reason}: {last.message}",
        )
    return budgets.closing(spec, seen, lambda: bool(_promotions(seen, rule)))


def _done(spec: Spec, seen: Observation, rule: Rule, closing: Closing | None) -> Closing | None:
    """Return why an experiment is over, or None while it has something left to do."""
    open_trials = any(trial.state is State.RUNNING for trial in seen.trials)
    stages = {Stage.TRAIN}
    if open_trials or not seen.prepared:
        stages.add(Stage.PREPARE)  # else it prepares again what tests read
    searching = [a for a in (*seen.attempts, *seen.foreign) if a.stage in stages]
    if closing is None or any(attempt.remains for attempt in searching):
        return None
    if closing.finishes and (open_trials or _promotions(seen, rule) or budgets.own(spec, seen)):
        return None
    return closing


def _promotions(seen: Observation, rule: Rule) -> list[int]:
    """Return the stopped trials that go on: those whose checkpoint is being removed cannot."""
    return [number for number in rule.promotions if number not in seen.removing]


def _fill(
    spec: Spec, seen: Observation, rule: Rule, closing: Closing | None, settled: Set[int]
) -> Iterator[Launch | Promote | Ask]:
    """Yield what the free slots get: trials that lack a process, then further suggestions.

    Not those that are settled: they are told, or repeat an earlier one.
    """
    if spec.suspend or seen.obstacle or (closing is not None and not closing.finishes):
        return
    cap = seen.caps.gpu_hours.left if seen.gpus else math.inf
    free = int(min(usage.free_slots(spec, seen), budgets.affordable(spec, seen, cap)))
    if seen.preparation is None or preparation.lost(seen):
        yield from [*preparation.launch(spec, seen)][:free]
        return
    begun = [*_begin(spec, seen, rule, closing, settled, free)]
    yield from begun if seen.prepared or not begun else [*preparation.launch(spec, seen)][:free]


def _begin(
    spec: Spec,
    seen: Observation,
    rule: Rule,
    closing: Closing | None,
    settled: Set[int],
    free: int,
) -> Iterator[Launch | Promote | Ask]:
    """Yield what that many slots get of trials."""
    settled = settled | {a.trial for a in seen.foreign}  # their names are taken until they are gone
    settled |= seen.removing  # until that is forgotten: it would take the new files
    waiting = [launch for launch in _waiting(spec, seen) if launch.trial not in settled]
    if trainers.refusal(spec, seen):
        yield from [launch for launch in waiting if launch.number > 1][:free]
        return
    yield from waiting[:free]
    free = max(0, free - len(waiting))
    promoted = [Promote(number) for number in _promotions(seen, rule)[:free]] if free else []
    yield from promoted
    wanted = budgets.missing(spec, seen) if closing is None else budgets.own(spec, seen)
    missing = min(free - len(promoted), wanted, seen.caps.trials.left - seen.suggested)
    if missing > 0:
        yield Ask(min(int(missing), AT_ONCE))


def _waiting(spec: Spec, seen: Observation) -> Iterator[Launch]:
    """Yield the trials that lack a process, in their order."""
    for trial in seen.trials:
        if trial.state is not State.RUNNING:
            continue
        attempts = seen.attempts_of(Stage.TRAIN, trial.number)
        if not attempts:
            yield Launch(Stage.TRAIN, trial.number, 1)
        elif not attempts[-1].remains:
            step = endings.follow(spec, seen, attempts)
            if isinstance(step, Again) and not endings.rests(spec, seen, attempts[-1]):
                yield Launch(Stage.TRAIN, trial.number, step.number)


def _record(seen: Observation) -> Iterator[Record]:
    """Yield evaluations that the learning curves lack."""
    for trial in seen.trials:
        if trial.state is not State.RUNNING:
            continue
        for attempt in seen.attempts_of(Stage.TRAIN, trial.number)[-1:]:
            report = seen.report(attempt)
            point = report.continuing(trial.curve, seen.now) if report else None
            if point:
                yield Record(trial.number, point)


def _recorded(spec: Spec, seen: Observation, records: Sequence[Record]) -> Observation:
    """Return the observation as it is once the records are stored."""
    if not records:
        return seen
    trials = list(seen.trials)
    for record in records:
        before = trials[record.trial]
        trials[record.trial] = replace(before, curve=(*before.curve, record.point))
    return replace(seen, trials=tuple(trials), before=seen.verdicts(spec))


def _halt(spec: Spec, seen: Observation, rule: Rule) -> Iterator[Halt | Expire]:
    """Yield the attempts that must end."""
    running = {trial.number for trial in seen.trials if trial.state is State.RUNNING}
    for attempt in seen.attempts:
        if not attempt.live or attempt.halted or attempt.lost:
            continue
        if spec.suspend:
            yield Halt(attempt, SUSPENDED)
        elif attempt.outdated:
            yield Halt(attempt, TEMPLATE_CHANGED)
        elif _waits_too_long(spec, seen, attempt):
            yield Expire(attempt)
        elif attempt.stage is not Stage.PREPARE:
            now = seen.now - attempt.started if attempt.started is not None else 0.0
            if endings.overtime(spec, endings.seconds(seen, attempt) + now):
                yield Halt(attempt, TIMED_OUT)
            elif attempt.stage is Stage.TEST:
                continue  # it takes no steps, and what it brings counts whatever the search does
            elif _silent(spec, seen, attempt):
                yield Halt(attempt, SILENT, endings.silence(spec))
            elif attempt.stage is Stage.CONFIRM:
                continue  # what it brings counts as well
            elif attempt.trial not in running:  # another operator told it meanwhile
                yield Halt(attempt, TRIAL_ENDED)
            elif stop := rule.stop(seen.trials[attempt.trial]):
                yield Halt(attempt, stop.reason, stop.message)


def _silent(spec: Spec, seen: Observation, attempt: Attempt) -> bool:
    """Tell whether a training has reported no further step for longer than it may.

    By its own pace, a slow one is not a stuck one: each step may take some times the longest.
    """
    limit, standing = spec.silence_timeout_seconds, seen.standing.get(attempt.key)
    if limit is None or standing is None or attempt.started is None:
        return False
    patience = max(limit, TIMES_ITS_PACE * standing.longest)
    return seen.now - max(standing.since, attempt.started) > patience


def _waits_too_long(spec: Spec, seen: Observation, attempt: Attempt) -> bool:
    """Tell whether an attempt has waited for a machine longer than it may."""
    limit, since = spec.pending_timeout_seconds, attempt.waiting_since
    return limit is not None and since is not None and seen.now - since > limit
