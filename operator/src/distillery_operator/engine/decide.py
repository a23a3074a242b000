"""PURE: what an experiment needs next. Read this first.

``decide(spec, seen)`` looks at one observation and returns actions;
:mod:`distillery_operator.engine.reconcile` carries them out. Nothing is remembered between two
calls, so a process killed at any line loses nothing: the next call sees what was done and asks for
the rest. Applying the actions and deciding again asks for nothing twice.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Final

from distillery_contract.request import Stage
from distillery_contract.wire import REASON_OF_EXIT, Exit, Reason
from distillery_operator.engine import budgets
from distillery_operator.engine.actions import (
    Action,
    Ask,
    Collect,
    Free,
    Halt,
    Keep,
    Launch,
    Promote,
    Record,
    Release,
    Tell,
)
from distillery_operator.engine.budgets import Closing
from distillery_operator.resource.spec import CheckpointRetention, Spec
from distillery_operator.search import duplicates
from distillery_operator.stopping import reasons
from distillery_operator.stopping.rule import Rule
from distillery_operator.trials import feasibility, pareto
from distillery_operator.trials.attempt import Attempt, Report
from distillery_operator.trials.observation import Observation, Preparation
from distillery_operator.trials.trial import State, Trial, lineage

METRICS_UNAVAILABLE: Final = "MetricsUnavailable"
TOO_MANY_INTERRUPTIONS: Final = "TooManyInterruptions"
TIMED_OUT: Final = "TimedOut"
SUSPENDED: Final = "Suspended"
OBSTRUCTED: Final = "Obstructed"
TEMPLATE_CHANGED: Final = "TemplateChanged"

COLLECT_AT_ONCE: Final = 10
COLLECT_AT_MOST: Final = 500
"""Trials whose files are removed together, at least and at most: on a cluster each removal takes a
pod, whose request must fit into one environment variable."""

CRASHES: Final = (Reason.CRASHED, Reason.COMPLETED, Reason.BAD_DATA)
"""Endings that are tried again: a crash, no final metrics, prepared data that were gone."""

TOO_MANY_FAILURES: Final = "TooManyFailures"
PREPARATION_FAILED: Final = "PreparationFailed"


def decide(spec: Spec, seen: Observation) -> list[Action]:
    """Say what an experiment needs next.

    First what has ended is stored, then what must end is halted; only then, within the parallelism,
    trials that lack a process get one and new suggestions are asked for.
    """
    records = list(_record(seen))
    seen = _recorded(seen, records)
    rule = Rule(spec, seen.trials)
    told = list(_tell(spec, seen, rule))
    over = {tell.trial for tell in told}
    lasting = [r for r in records if r.trial not in over]  # the others are stored with the ending
    actions: list[Action] = [*_prepared(seen), *lasting, *told, *_halt(spec, seen, rule)]
    actions += _fill(spec, seen, rule, over)
    # Last, for a freed slot waits for what stands before.
    return [*actions, *_release(seen), *_free(seen), *_collect(spec, seen, rule)]


def closing(spec: Spec, seen: Observation, rule: Rule | None = None) -> Closing | None:
    """Return why no further trial is asked for, or None if the search goes on.

    Args:
        spec: of the experiment.
        seen: what is known of it.
        rule: of early stopping, where the caller has asked it already.
    """
    rule = rule or Rule(spec, seen.trials)
    preparing = _attempts(seen, Stage.PREPARE)
    if seen.preparation is None and preparing and not preparing[-1].live:
        step = _follow(spec, seen, preparing)
        if isinstance(step, _End) and step.state is not State.COMPLETED:
            return Closing(PREPARATION_FAILED, step.message)
    failed = [trial for trial in seen.trials if trial.state is State.FAILED]
    if len(failed) > spec.max_failed_trials:
        last = failed[-1]
        return Closing(
            TOO_MANY_FAILURES,
            f"failed trials <= {spec.max_failed_trials} must hold, but {len(failed)} failed; "
            f"the last, trial {last.number}: {last.reason}: {last.message}",
        )
    return budgets.closing(spec, seen, lambda: bool(rule.promotions))


def done(spec: Spec, seen: Observation, rule: Rule | None = None) -> Closing | None:
    """Return why an experiment is over, or None while it has something left to do.

    The arguments are those of :func:`closing`.
    """
    rule = rule or Rule(spec, seen.trials)
    end = closing(spec, seen, rule)
    if end is None or any(attempt.live for attempt in seen.attempts):
        return None
    open_trials = any(trial.state is State.RUNNING for trial in seen.trials)
    if end.finishes and (open_trials or rule.promotions):
        return None
    return end


def _fill(
    spec: Spec, seen: Observation, rule: Rule, told: Set[int]
) -> Iterator[Launch | Promote | Ask]:
    """Yield what the free slots get: trials that lack a process, then further suggestions."""
    end = closing(spec, seen, rule)
    over = end is not None and not end.finishes
    if spec.suspend or seen.obstacle or over:
        return
    free = max(0, spec.parallelism - sum(attempt.live for attempt in seen.attempts))
    free = int(min(free, budgets.affordable(spec, seen)))
    if seen.preparation is None or _lost(seen):
        yield from [*_prepare(spec, seen)][:free]
        return
    settled = told | _repeated(seen).keys()
    waiting = [launch for launch in _waiting(spec, seen) if launch.trial not in settled]
    yield from waiting[:free]
    free = max(0, free - len(waiting))
    promoted = [Promote(number) for number in rule.promotions[:free]] if free else []
    yield from promoted
    missing = min(free - len(promoted), budgets.missing(spec, seen))
    if end is None and missing > 0:
        yield Ask(missing)


@dataclass(frozen=True)
class _Again:
    """A trial goes on with another attempt."""

    number: int


@dataclass(frozen=True)
class _End:
    """A trial has ended."""

    state: State
    reason: str
    message: str
    expected: Mapping[str, float] = field(default_factory=dict)


def _follow(spec: Spec, seen: Observation, attempts: Sequence[Attempt]) -> _Again | _End:
    """Say what follows the last of a trial's attempts, which has ended.

    Only what the suggestion caused becomes an observation. Interruptions by the infrastructure
    resume from the checkpoint, crashes are tried again: each within a limit of its own.
    """
    last = attempts[-1]
    report = _report(seen, last)
    reason, message = _cause(last, report)
    if reason is Reason.INTERRUPTED and _overtime(spec, _seconds(seen, last)):
        limit = f"the run time of a trial <= {spec.trial_timeout_seconds} s must hold"
        return _End(State.INFEASIBLE, TIMED_OUT, limit)
    if reason in (Reason.DIVERGED, Reason.OUT_OF_MEMORY, Reason.INFEASIBLE):
        return _End(State.INFEASIBLE, reason, message)
    if reason is Reason.BAD_REQUEST or (reason is Reason.BAD_DATA and last.stage is Stage.PREPARE):
        return _End(State.FAILED, reason, message)
    if reason is Reason.INTERRUPTED:
        number = sum(_cause(a, None)[0] is Reason.INTERRUPTED and not a.halted for a in attempts)
        if number > spec.max_interruptions:
            limit = f"interruptions <= {spec.max_interruptions} must hold, but got {number}"
            return _End(State.FAILED, TOO_MANY_INTERRUPTIONS, f"{limit}; the last: {message}")
        return _Again(last.number + 1)
    if reason is Reason.COMPLETED and report and _usable(spec, last.stage, report):
        return _End(State.COMPLETED, reason, message)
    crashes = sum(_cause(a, None)[0] in CRASHES for a in attempts)
    if crashes > spec.max_crashes:
        if reason is Reason.COMPLETED:
            return _End(State.FAILED, METRICS_UNAVAILABLE, "the trial ended without final metrics")
        return _End(State.FAILED, reason, message)
    return _Again(last.number + 1)


def _cause(attempt: Attempt, report: Report | None) -> tuple[Reason, str]:
    """Return why an attempt ended: the reason by exit code, the sentence by report."""
    message = (report.message if report else "") or attempt.message
    if attempt.disrupted or attempt.exit_code is None:
        return Reason.INTERRUPTED, message or "the process was lost"
    if attempt.exit_code in REASON_OF_EXIT:
        return REASON_OF_EXIT[Exit(attempt.exit_code)], message
    return Reason.CRASHED, message or f"the trainer ended with exit code {attempt.exit_code}"


def _usable(spec: Spec, stage: Stage, report: Report) -> bool:
    """Tell whether a report is a result: final, with every metric that is judged, all finite."""
    if stage is Stage.PREPARE:
        return report.key is not None and "teacher" in report.sources
    judged = {objective.metric for objective in spec.objectives}
    judged |= {bound.metric for bound in feasibility.bounds(spec)}
    return (
        report.final
        and judged <= {*report.metrics, "parameter_count"}
        and all(map(isfinite, report.metrics.values()))
    )


def _tell(spec: Spec, seen: Observation, rule: Rule) -> Iterator[Tell]:
    for trial in seen.trials:
        attempts = _attempts(seen, Stage.TRAIN, trial.number)
        if trial.state is not State.RUNNING or any(a.live for a in attempts):
            continue
        if not attempts:
            yield from _tell_untrained(spec, seen, rule, trial)
            continue
        report = _report(seen, attempts[-1]) or Report("")
        step = _follow(spec, seen, attempts)
        if isinstance(step, _Again) and (stop := rule.stop(trial)):
            step = _End(State.STOPPED, stop.reason, stop.message, stop.expected)
            report = replace(report, metrics=trial.curve[-1].metrics)
        if isinstance(step, _End):
            seconds = sum(attempt.seconds for attempt in attempts)
            said = (step.state, step.reason, step.message)
            yield Tell(trial.number, *said, seconds, report, seen.gpus, step.expected)


def _tell_untrained(spec: Spec, seen: Observation, rule: Rule, trial: Trial) -> Iterator[Tell]:
    """Yield the ending of a suggestion that needs no training."""
    if seen.preparation is None:
        return
    number, twin = trial.number, _repeated(seen).get(trial.number)
    if refusal := feasibility.refusal(spec, trial, seen.preparation.sources):
        yield Tell(number, State.INFEASIBLE, refusal.reason, refusal.message, 0.0)
    elif twin and twin.state is not State.RUNNING:
        said = f"its hyperparameters are those of trial {twin.number}, which is {twin.state}"
        record = Report(twin.source, metrics=twin.metrics)
        yield Tell(
            number, twin.state, feasibility.DUPLICATE, said, 0.0, record, expected=twin.expected
        )
    elif twin is None and (stop := rule.start(trial)):
        yield Tell(number, State.STOPPED, stop.reason, stop.message, 0.0)


def _waiting(spec: Spec, seen: Observation) -> Iterator[Launch]:
    """Yield the trials that lack a process, in their order."""
    for trial in seen.trials:
        if trial.state is not State.RUNNING:
            continue
        attempts = _attempts(seen, Stage.TRAIN, trial.number)
        if not attempts:
            yield Launch(Stage.TRAIN, trial.number, 1)
        elif not attempts[-1].live:
            step = _follow(spec, seen, attempts)
            if isinstance(step, _Again):
                yield Launch(Stage.TRAIN, trial.number, step.number)


def _prepare(spec: Spec, seen: Observation) -> Iterator[Launch]:
    attempts = _attempts(seen, Stage.PREPARE)
    if not attempts:
        yield Launch(Stage.PREPARE, 0, 1)
    elif not attempts[-1].live:
        step = _follow(spec, seen, attempts)
        if isinstance(step, _Again) or seen.preparation is not None:
            yield Launch(Stage.PREPARE, 0, attempts[-1].number + 1)


def _lost(seen: Observation) -> bool:
    """Tell whether a trial found its prepared data gone and they are not made again yet."""
    preparing = _attempts(seen, Stage.PREPARE)
    if any(attempt.live for attempt in preparing):
        return True
    whole = [a for a in preparing if _cause(a, None)[0] is not Reason.INTERRUPTED]
    made = max((attempt.started or 0.0 for attempt in whole), default=0.0)
    return any(
        attempt.exit_code == Exit.BAD_DATA and (attempt.ended or 0.0) > made
        for trial in seen.trials
        if trial.state is State.RUNNING
        for attempt in _attempts(seen, Stage.TRAIN, trial.number)[-1:]
    )


def _prepared(seen: Observation) -> Iterator[Keep]:
    for attempt in _attempts(seen, Stage.PREPARE):
        report = _report(seen, attempt)
        if seen.preparation is None and attempt.exit_code == Exit.OK and report and report.key:
            seconds = sum(a.seconds for a in _attempts(seen, Stage.PREPARE))
            teacher, sources = report.teacher, report.sources
            yield Keep(Preparation(report.key, teacher, sources, seconds, seen.gpus))
            return


def _record(seen: Observation) -> Iterator[Record]:
    """Yield evaluations that the learning curves lack."""
    for trial in seen.trials:
        if trial.state is not State.RUNNING:
            continue
        for attempt in _attempts(seen, Stage.TRAIN, trial.number)[-1:]:
            report = _report(seen, attempt)
            point = report.continuing(trial.curve, seen.now) if report else None
            if point:
                yield Record(trial.number, point)


def _recorded(seen: Observation, records: Sequence[Record]) -> Observation:
    """Return the observation as it is once the records are stored."""
    trials = list(seen.trials)
    for record in records:
        before = trials[record.trial]
        trials[record.trial] = replace(before, curve=(*before.curve, record.point))
    return replace(seen, trials=tuple(trials))


def _repeated(seen: Observation) -> Mapping[int, Trial]:
    """Return the suggestions without a process that repeat an earlier one, with that one."""
    begun = {a.trial for a in seen.attempts if a.stage is Stage.TRAIN}
    fresh = {t.number for t in seen.trials if t.state is State.RUNNING} - begun
    if not fresh or seen.preparation is None:
        return {}
    found = duplicates.earlier(seen.trials, seen.preparation.sources)
    return {number: twin for number, twin in found.items() if number in fresh}


def _halt(spec: Spec, seen: Observation, rule: Rule) -> Iterator[Halt]:
    running = {trial.number for trial in seen.trials if trial.state is State.RUNNING}
    for attempt in seen.attempts:
        if not attempt.live or attempt.halted:
            continue
        if spec.suspend:
            yield Halt(attempt, SUSPENDED)
        elif attempt.outdated:
            yield Halt(attempt, TEMPLATE_CHANGED)
        elif attempt.stage is Stage.TRAIN:
            now = seen.now - attempt.started if attempt.started is not None else 0.0
            if _overtime(spec, _seconds(seen, attempt) + now):
                yield Halt(attempt, TIMED_OUT)
            elif attempt.trial in running and (stop := rule.stop(seen.trials[attempt.trial])):
                yield Halt(attempt, stop.reason, stop.message)


def _seconds(seen: Observation, attempt: Attempt) -> float:
    """Return the run time so far of what an attempt works on, with that of what it continues."""
    own = sum(a.seconds for a in _attempts(seen, attempt.stage, attempt.trial))
    if attempt.stage is Stage.PREPARE:
        return own
    _, *earlier = lineage(seen.trials, seen.trials[attempt.trial])
    return own + sum(trial.seconds for trial in earlier)


def _overtime(spec: Spec, seconds: float) -> bool:
    return spec.trial_timeout_seconds is not None and seconds > spec.trial_timeout_seconds


def _release(seen: Observation) -> Iterator[Release]:
    """Yield the attempts of trials whose ending is stored."""
    ended = {trial.number for trial in seen.trials if trial.state is not State.RUNNING}
    for attempt in seen.attempts:
        if attempt.stage is Stage.TRAIN and attempt.trial in ended and not attempt.live:
            yield Release(attempt)


def _free(seen: Observation) -> Iterator[Free]:
    """Yield the attempts whose pods are held, though the next attempt has taken over."""
    last: dict[int, int] = {}
    for attempt in seen.attempts:
        if attempt.stage is Stage.TRAIN:
            last[attempt.trial] = max(attempt.number, last.get(attempt.trial, 0))
    for attempt in seen.attempts:
        if attempt.held and not attempt.live and attempt.number < last[attempt.trial]:
            yield Free(attempt)


def _collect(spec: Spec, seen: Observation, rule: Rule) -> Iterator[Collect]:
    """Yield the trials whose files nobody needs; those of a failed trial may explain it."""
    if spec.checkpoint_retention is CheckpointRetention.ALL:
        return
    kept = {trial.number for trial in pareto.front(spec, seen.trials)}
    end = done(spec, seen, rule)
    if not end:
        kept |= reasons.resumable(seen.trials)
    useless = tuple(
        trial.number
        for trial in seen.trials
        if trial.state in (State.COMPLETED, State.INFEASIBLE, State.STOPPED)
        and trial.seconds
        and not (trial.collected or trial.baseline or trial.number in kept)
    )
    if len(useless) >= COLLECT_AT_ONCE or (useless and end):
        yield Collect(useless[:COLLECT_AT_MOST])


def _attempts(seen: Observation, stage: Stage, trial: int = 0) -> list[Attempt]:
    own = [a for a in seen.attempts if a.stage is stage and a.trial == trial]
    return sorted(own, key=lambda attempt: attempt.number)


def _report(seen: Observation, attempt: Attempt) -> Report | None:
    return seen.reports.get(attempt.key)
