"""What one pass adds to the operator's counters of an experiment."""

from distillery_contract.request import Stage
from distillery_operator.cluster.kinds import Key
from distillery_operator.engine import endings
from distillery_operator.engine.actions import Launch, Tell
from distillery_operator.engine.reasons import METRICS_UNAVAILABLE
from distillery_operator.engine.reconcile import Pass
from distillery_operator.telemetry import operator_metrics
from distillery_operator.trials.trial import State


def count(key: Key, result: Pass) -> None:
    """Count what a pass has started and told."""
    for action in result.decision.actions:
        if isinstance(action, Launch):
            operator_metrics.ATTEMPTS_STARTED.labels(*key, str(action.stage)).inc()
            if action.stage is Stage.TRAIN:
                interruptions = operator_metrics.ATTEMPTS_INTERRUPTED.labels(*key)
                interruptions.inc(_resumes(result, action))
        elif isinstance(action, Tell):
            operator_metrics.TRIALS_ENDED.labels(*key, str(action.state), str(action.reason)).inc()
            operator_metrics.TRIAL_SECONDS.labels(*key).observe(action.seconds)
            if action.reason == METRICS_UNAVAILABLE:
                operator_metrics.METRICS_MISSING.inc()
            elif action.state is State.COMPLETED:
                operator_metrics.METRICS_SOURCE.labels(action.report.source).inc()


def _resumes(result: Pass, launch: Launch) -> bool:
    """Tell whether an attempt resumes what was interrupted while it ran."""
    last = result.seen.attempts_of(launch.stage, launch.trial)[-1:]
    return any(a.started is not None and endings.interrupted(a) for a in last)
