"""PURE: how trials end, and what follows an attempt that has ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Final

from distillery_contract import metrics
from distillery_contract.request import Stage
from distillery_contract.wire import REASON_OF_EXIT, Exit, Reason
from distillery_operator.engine import trainers, usage
from distillery_operator.engine.actions import Tell
from distillery_operator.engine.reasons import (
    METRIC_OUT_OF_BOUNDS,
    METRICS_UNAVAILABLE,
    SILENT,
    TIMED_OUT,
    TOO_MANY_INTERRUPTIONS,
)
from distillery_operator.resource.spec import Spec
from distillery_operator.search import duplicates
from distillery_operator.stopping.rule import Rule
from distillery_operator.trials import feasibility
from distillery_operator.trials.attempt import PENDING_TIMEOUT, Attempt, Report
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State, Trial, lineage

CRASHES: Final = (Reason.CRASHED, Reason.COMPLETED, Reason.BAD_DATA)
"""Endings that are tried again: a crash, no final metrics, prepared data that were gone."""


@dataclass(frozen=True)
class Again:
    """A trial goes on with another attempt of this number."""

    number: int


@dataclass(frozen=True)
class End:
    """A trial has ended."""

    state: State
    reason: str
    message: str
    expected: Mapping[str, float] = field(default_factory=dict)


def tell(spec: Spec, seen: Observation, rule: Rule, repeats: Mapping[int, Trial]) -> Iterator[Tell]:
    """Yield how trials have ended that are not stored as ended; ``repeats``: see ``repeated``."""
    for trial in seen.trials:
        if trial.state is not State.RUNNING:
            continue
        attempts = seen.attempts_of(Stage.TRAIN, trial.number)
        if any(a.live for a in attempts):
            continue
        if not attempts:
            yield from _tell_untrained(spec, seen, trial, repeats.get(trial.number))
            continue
        report = seen.report(attempts[-1]) or Report("")
        step = follow(spec, seen, attempts)
        if isinstance(step, Again) and (stop := rule.stop(trial)):
            step = End(State.STOPPED, stop.reason, stop.message, stop.expected)
            report = replace(report, metrics=trial.curve[-1].metrics)
        if isinstance(step, End):
            seconds, gpus = usage.total(seen, attempts)
            said = (step.state, step.reason, step.message)
            made = trainers.provenance(seen, attempts[-1])
            yield Tell(trial.number, *said, seconds, report, gpus, step.expected, made)


def _tell_untrained(
    spec: Spec, seen: Observation, trial: Trial, twin: Trial | None
) -> Iterator[Tell]:
    """Yield the ending of a suggestion that needs no training; ``twin`` is what it repeats."""
    if seen.preparation is None:
        return
    number = trial.number
    if refusal := feasibility.refusal(spec, trial, seen.preparation.sources):
        yield Tell(number, State.INFEASIBLE, refusal.reason, refusal.message, 0.0)
    elif twin and twin.state is not State.RUNNING:
        said = f"its hyperparameters are those of trial {twin.number}, which is {twin.state}"
        record = Report(twin.source, metrics=twin.metrics)
        reason = feasibility.DUPLICATE
        like = Tell(number, twin.state, reason, said, 0.0, record, expected=twin.expected)
        yield replace(like, provenance=twin.provenance)


def repeated(seen: Observation) -> Mapping[int, Trial]:
    """Return the suggestions without a process that repeat an earlier one, with that one."""
    begun = {a.trial for a in seen.all_attempts if a.stage is Stage.TRAIN}
    fresh = {t.number for t in seen.trials if t.state is State.RUNNING} - begun
    if not fresh or seen.preparation is None:
        return {}
    return duplicates.earlier(seen.trials, seen.preparation.sources, fresh)


def follow(spec: Spec, seen: Observation, attempts: Sequence[Attempt]) -> Again | End:
    """Say what follows the last of a trial's attempts, which has ended.

    Only what the suggestion caused becomes an observation. Interruptions by the infrastructure
    resume from the checkpoint, crashes are tried again: each within a limit of its own.
    """
    last = attempts[-1]
    report = seen.report(last)
    reason, message = cause(last, report)
    if reason is Reason.INTERRUPTED and overtime(spec, seconds(seen, last)):
        limit = f"the run time of a trial <= {spec.trial_timeout_seconds} s must hold"
        return End(State.INFEASIBLE, TIMED_OUT, limit)
    if reason in (Reason.DIVERGED, Reason.OUT_OF_MEMORY, Reason.INFEASIBLE):
        return End(State.INFEASIBLE, reason, message)
    if reason is Reason.BAD_REQUEST or (reason is Reason.BAD_DATA and last.stage is Stage.PREPARE):
        return End(State.FAILED, reason, message)
    if reason is Reason.INTERRUPTED and not last.silent:
        number = sum(interrupted(a) for a in attempts)
        if number > spec.max_interruptions:
            limit = f"interruptions <= {spec.max_interruptions} must hold, but got {number}"
            return End(State.FAILED, TOO_MANY_INTERRUPTIONS, f"{limit}; the last: {message}")
        return Again(last.number + 1)
    if reason is Reason.COMPLETED and report and _whole(last.stage, report):
        if faults := out_of_bounds(report):
            return End(State.FAILED, METRIC_OUT_OF_BOUNDS, "; ".join(faults))
        if not _lacking(spec, last.stage, report):
            return End(State.COMPLETED, reason, message)
    crashes = sum(cause(a, None)[0] in CRASHES or _hung(a) for a in attempts)
    if crashes > spec.max_crashes:
        if _hung(last):
            limit = f"crashes and silences <= {spec.max_crashes} must hold, but got {crashes}"
            return End(State.FAILED, SILENT, f"{limit}; the last: {silence(spec)}")
        if reason is Reason.COMPLETED:
            return End(State.FAILED, METRICS_UNAVAILABLE, _unavailable(spec, last.stage, report))
        return End(State.FAILED, reason, message)
    return Again(last.number + 1)


def rests(spec: Spec, seen: Observation, last: Attempt) -> bool:
    """Tell whether what no machine took in time leaves its slot to others for a while."""
    limit = spec.pending_timeout_seconds
    if last.reason != PENDING_TIMEOUT or limit is None or last.ended is None:
        return False
    return seen.now - last.ended < limit


def silence(spec: Spec) -> str:
    """Say why a training that reports nothing is ended."""
    return f"the training has reported no further step for {spec.silence_timeout_seconds} s"


def interrupted(attempt: Attempt) -> bool:
    """Tell whether the infrastructure ended an attempt, without having been asked to."""
    return cause(attempt, None)[0] is Reason.INTERRUPTED and not attempt.halted


def _hung(attempt: Attempt) -> bool:
    """Tell whether an attempt was ended for its silence, before it ended otherwise.

    That counts as a crash, not as an interruption: what hangs once because of its machine may well
    pass on another, what hangs again does so by itself, and each time costs the whole silence.
    """
    return attempt.silent and cause(attempt, None)[0] is Reason.INTERRUPTED


def cause(attempt: Attempt, report: Report | None) -> tuple[Reason, str]:
    """Return why an attempt ended: the reason by exit code, the sentence by report.

    One that ended well and of which there is a whole report has ended so, whatever became of its
    pod; where its report went with the pod, it is as good as interrupted.
    """
    message = (report.message if report else "") or attempt.message
    told = attempt.exit_code == Exit.OK and report is not None and _whole(attempt.stage, report)
    if attempt.exit_code is None or (attempt.disrupted and not told):
        return Reason.INTERRUPTED, message or "the process was lost"
    if attempt.exit_code in REASON_OF_EXIT:
        return REASON_OF_EXIT[Exit(attempt.exit_code)], message
    return Reason.CRASHED, message or f"the trainer ended with exit code {attempt.exit_code}"


def seconds(seen: Observation, attempt: Attempt) -> float:
    """Return the run time so far of what an attempt works on, with that of what it continues."""
    own = sum(a.seconds for a in seen.attempts_of(attempt.stage, attempt.trial))
    if attempt.stage is not Stage.TRAIN:  # a confirmation trains from the beginning
        return own
    _, *earlier = lineage(seen.trials, seen.trials[attempt.trial])
    return own + sum(trial.seconds for trial in earlier)


def overtime(spec: Spec, spent: float) -> bool:
    """Tell whether a training has run for longer than a trial may, in seconds."""
    return spec.trial_timeout_seconds is not None and spent > spec.trial_timeout_seconds


def out_of_bounds(report: Report) -> list[str]:
    """Say of each evaluation that a report has why it cannot have been measured."""
    parts = (report.metrics, report.teacher, report.test, report.teacher_test)
    return list(dict.fromkeys(fault for part in parts for fault in metrics.faults(part)))


def _whole(stage: Stage, report: Report) -> bool:
    """Tell whether a report was made once the result stood."""
    if stage is Stage.PREPARE:
        return report.key is not None and "teacher" in report.sources
    return bool(report.test) if stage is Stage.TEST else report.final


def _lacking(spec: Spec, stage: Stage, report: Report) -> list[str]:
    """Return the metrics that are judged and that a result does not have as numbers."""
    if not stage.trains:
        return []
    judged = {objective.metric for objective in spec.objectives}
    judged |= {bound.metric for bound in feasibility.bounds(spec)}
    known = {name for name, value in report.metrics.items() if isfinite(value)}
    return sorted(judged - known - {*feasibility.KNOWN})


def _unavailable(spec: Spec, stage: Stage, report: Report | None) -> str:
    """Say what is missing of the result of an attempt that ended well."""
    if report is None or not _whole(stage, report):
        return "the trial ended without final metrics"
    told = ", ".join(
        f"{name} is {report.metrics.get(name, 'absent')}" for name in _lacking(spec, stage, report)
    )
    return f"every metric that is judged must be a number, but {told}"
