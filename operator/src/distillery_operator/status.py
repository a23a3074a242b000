"""PURE: an experiment's status, derived anew from one observation at the end of each pass."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from distillery_contract import metrics
from distillery_contract.metrics import Direction
from distillery_contract.request import Stage
from distillery_operator import decide, judge, pareto, resources
from distillery_operator.resources import (
    Condition,
    ConditionType,
    Experiment,
    Objective,
    Spec,
    Status,
)
from distillery_operator.trials import Observation, State, Trial

Truth = Literal["True", "False", "Unknown"]

NO_FEASIBLE_AFTER = 10
"""Ended trials without a feasible one after which a person should look, before a day is lost."""


def derive(experiment: Experiment, seen: Observation, before: Status | None) -> Status:
    """Return the status of an experiment.

    Args:
        experiment: what is wanted.
        seen: what there is.
        before: the status written last, whose transition times stand where nothing changed.
    """
    spec, ended = experiment.spec, [t for t in seen.trials if t.state is not State.RUNNING]
    points = pareto.front(spec, seen.trials)
    knee = pareto.knee(spec, points)
    end = decide.done(spec, seen)
    finished = max((t.ended or 0.0 for t in ended), default=seen.now)
    return Status(
        observed_generation=experiment.metadata.generation,
        conditions=_conditions(experiment, seen, points, before),
        start_time=timestamp(seen.started),
        completion_time=timestamp(finished) if end else None,
        trials=_counts(spec, seen),
        active=sum(attempt.live for attempt in seen.attempts),
        teacher=_plain(seen.preparation.teacher) if seen.preparation else {},
        front=[_point(spec, trial) for trial in points[: resources.FRONT_LIMIT]],
        front_size=len(points),
        front_truncated=len(points) > resources.FRONT_LIMIT,
        best=_best(spec, seen.trials),
        knee=knee.number if knee else None,
        hypervolume=pareto.hypervolume(spec, seen.trials) if points else None,
        baselines=[
            resources.BaselineValues(
                name=t.baseline, trial=t.number, state=state(spec, t), values=_values(spec, t)
            )
            for t in seen.trials
            if t.baseline
        ],
        recent_trials=_recent(spec, seen),
        compute_seconds=round(sum(trial.seconds for trial in ended), 1),
    )


def state(spec: Spec, trial: Trial) -> State:
    """Return a trial's state as people see it: measured but not acceptable counts as infeasible."""
    if trial.state is State.COMPLETED and not judge.verdict(spec, trial).feasible:
        return State.INFEASIBLE
    return trial.state


def timestamp(seconds: float) -> str:
    """Write a time as Kubernetes does, in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _counts(spec: Spec, seen: Observation) -> resources.TrialCounts:
    states = [state(spec, trial) for trial in seen.trials]
    return resources.TrialCounts(
        total=len(states),
        running=states.count(State.RUNNING),
        completed=states.count(State.COMPLETED),
        infeasible=states.count(State.INFEASIBLE),
        failed=states.count(State.FAILED),
    )


def _values(spec: Spec, trial: Trial) -> dict[str, float]:
    names = {objective.metric for objective in spec.objectives}
    return _plain({name: value for name, value in trial.metrics.items() if name in names})


def _plain(values: Mapping[str, float]) -> dict[str, float]:
    """Return metrics with counts as integers, the way a person writes them."""
    counts = {n for n in values if metrics.EVALUATIONS[n].unit == "parameters"}
    return {n: int(v) if n in counts else v for n, v in values.items()}


def _point(spec: Spec, trial: Trial) -> resources.FrontPoint:
    return resources.FrontPoint(
        trial=trial.number,
        baseline=trial.baseline,
        values=_values(spec, trial),
        metrics=_plain(trial.metrics),
        parameters=dict(trial.parameters),
        model=trial.model,
    )


def _best(spec: Spec, trials: Sequence[Trial]) -> list[resources.Best]:
    candidates = judge.feasible(spec, trials)
    return [_best_at(objective, candidates) for objective in spec.objectives if candidates]


def _best_at(objective: Objective, candidates: Sequence[Trial]) -> resources.Best:
    choose = max if objective.direction is Direction.MAXIMIZE else min
    best = choose(candidates, key=lambda trial: trial.metrics[objective.metric])
    value = _plain(best.metrics)[objective.metric]
    return resources.Best(objective=objective.metric, trial=best.number, value=value)


def _recent(spec: Spec, seen: Observation) -> list[resources.RecentTrial]:
    """Return running trials, then those that ended last; at most ``RECENT_LIMIT``."""
    progress = {
        trial: report.progress
        for (stage, trial, _), report in sorted(seen.reports.items())
        if stage is Stage.TRAIN
    }
    newest = sorted(seen.trials, key=lambda t: (t.state is not State.RUNNING, -(t.ended or 0.0)))
    found = []
    for trial in newest[: resources.RECENT_LIMIT]:
        verdict = judge.verdict(spec, trial)
        running = trial.state is State.RUNNING
        found.append(
            resources.RecentTrial(
                trial=trial.number,
                state=state(spec, trial),
                reason=verdict.reason,
                message=verdict.message[:512],
                values=_values(spec, trial),
                progress=progress.get(trial.number) if running else None,
            )
        )
    return found


def _conditions(
    experiment: Experiment, seen: Observation, points: Sequence[Trial], before: Status | None
) -> list[Condition]:
    said = [
        (ConditionType.PREPARED, *_prepared(experiment.spec, seen)),
        (ConditionType.PROGRESSING, *_progressing(experiment.spec, seen)),
        (ConditionType.SUCCEEDED, *_succeeded(experiment.spec, seen, points)),
        (ConditionType.DEGRADED, *_degraded(experiment.spec, seen)),
    ]
    earlier = {c.type: c for c in before.conditions} if before else {}
    found = []
    for kind, truth, reason, message in said:
        same = kind in earlier and earlier[kind].status == truth
        since = earlier[kind].last_transition_time if same else timestamp(seen.now)
        found.append(
            Condition(
                type=kind,
                status=truth,
                reason=reason,
                message=message[:1024],
                last_transition_time=since,
                observed_generation=experiment.metadata.generation,
            )
        )
    return found


def _prepared(spec: Spec, seen: Observation) -> tuple[Truth, str, str]:
    if seen.preparation:
        floor = ", ".join(
            f"{k} {v:.2f}" for k, v in seen.preparation.teacher.items() if k in metrics.COLLAPSE
        )
        return (
            "True",
            "Prepared",
            f"data and teacher are checked and cached; the teacher has {floor}",
        )
    end = decide.closing(spec, seen)
    if end and end.reason == decide.PREPARATION_FAILED:
        return "False", end.reason, end.message
    return "Unknown", "Preparing", "data and teacher are being read and checked"


def _progressing(spec: Spec, seen: Observation) -> tuple[Truth, str, str]:
    live = sum(attempt.live for attempt in seen.attempts)
    end = decide.done(spec, seen)
    if end:
        return "False", end.reason, end.message
    if spec.suspend:
        return (
            "False",
            decide.SUSPENDED,
            f"nothing starts; {live} trials still run to their next checkpoint",
        )
    asked = f"{len(seen.trials)} of {spec.max_trials} trials are suggested"
    return "True", "Running", f"{asked}, {live} processes run"


def _succeeded(spec: Spec, seen: Observation, points: Sequence[Trial]) -> tuple[Truth, str, str]:
    end = decide.done(spec, seen)
    if end is None:
        return "Unknown", "Running", f"the front has {len(points)} points so far"
    if not points:
        return (
            "False",
            "NoFeasibleTrial",
            f"no trial satisfies all thresholds and constraints; {end.message}",
        )
    return "True", end.reason, f"the front has {len(points)} points; {end.message}"


def _degraded(spec: Spec, seen: Observation) -> tuple[Truth, str, str]:
    ended = [trial for trial in seen.trials if trial.state is not State.RUNNING]
    verdicts = [judge.verdict(spec, trial) for trial in ended]
    end = decide.closing(spec, seen)
    if end and end.reason in (decide.PREPARATION_FAILED, decide.TOO_MANY_FAILURES):
        return "True", end.reason, end.message
    if len(ended) >= NO_FEASIBLE_AFTER and not any(v.feasible for v in verdicts):
        common = max({v.reason for v in verdicts}, key=[v.reason for v in verdicts].count)
        return (
            "True",
            "NoFeasibleTrial",
            f"none of {len(ended)} trials satisfies all thresholds and constraints;"
            f" most often: {common}",
        )
    return (
        "False",
        "AsExpected",
        f"{sum(v.feasible for v in verdicts)} of {len(ended)} ended trials are feasible",
    )
