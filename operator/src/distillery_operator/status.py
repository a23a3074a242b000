"""PURE: an experiment's status, derived anew from one observation at the end of each pass."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final, Literal

from distillery_contract import metrics
from distillery_contract.request import Stage
from distillery_operator import budgets, decide, jobs, judge, manifests, pareto, resources, stops
from distillery_operator.budgets import Closing, Use
from distillery_operator.errors import DistilleryError, Unfit
from distillery_operator.resources import (
    Condition,
    ConditionType,
    Experiment,
    Objective,
    Spec,
    Status,
)
from distillery_operator.stopping import Rule
from distillery_operator.trials import (
    STUCK,
    Attempt,
    Observation,
    Phase,
    State,
    Trial,
    continued,
    lineage,
)

Truth = Literal["True", "False", "Unknown"]

MESSAGE_BYTES: Final = 4096
"""Of a condition's message; Kubernetes allows 32,768 characters."""
RECENT_BYTES: Final = 512
"""Of the message of a recent trial."""

OBSTACLES: Final = (
    ConditionType.ACCEPTED,
    ConditionType.STORAGE_REACHABLE,
    ConditionType.TEMPLATE_VALID,
    ConditionType.WARM_STARTED,
)
"""Conditions without which nothing starts."""

NO_FEASIBLE_AFTER: Final = 10
"""Ended trials without a feasible one after which a person should look, before a day is lost."""


@dataclass(frozen=True)
class Finding:
    """A condition, said by whoever knows: is it true, one word why, and a sentence."""

    type: ConditionType
    status: Truth
    reason: str
    message: str


def derive(
    experiment: Experiment,
    seen: Observation,
    before: Status | None,
    findings: Iterable[Finding] = (),
) -> Status:
    """Return the status of an experiment.

    Args:
        experiment: what is wanted.
        seen: what there is.
        before: the status written last, whose transition times stand where nothing changed.
        findings: conditions that the operator found out besides.
    """
    spec, ended = experiment.spec, [t for t in seen.trials if t.state is not State.RUNNING]
    points = pareto.front(spec, seen.trials)
    knee = pareto.knee(spec, points)
    rule = Rule(spec, seen.trials)
    closing, end = decide.closing(spec, seen, rule), decide.done(spec, seen, rule)
    finished = max((t.ended or 0.0 for t in ended), default=seen.now)
    counts = _counts(spec, seen)
    found = [
        *findings,
        _prepared(seen, closing),
        _progressing(spec, seen, end),
        _succeeded(points, end),
        _degraded(spec, seen, closing),
    ]
    shown = _spread([_point(spec, [*lineage(seen.trials, trial)]) for trial in points])
    return Status(
        observed_generation=experiment.metadata.generation,
        state=_word(found),
        progress=f"{seen.settled}/{spec.max_trials}",
        conditions=_conditions(experiment.metadata.generation, found, before, seen.now),
        start_time=timestamp(seen.started),
        completion_time=timestamp(finished) if end else None,
        trials=counts,
        active=sum(attempt.live for attempt in seen.attempts),
        teacher=_plain(seen.preparation.teacher) if seen.preparation else {},
        selector=f"{manifests.EXPERIMENT}={experiment.metadata.name}",
        front=shown,
        front_size=len(points),
        front_truncated=len(points) > len(shown),
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
        results=jobs.results(experiment),
        compute_seconds=round(sum(trial.seconds for trial in ended), 1),
        **_effort(spec, seen, end, len(points)),
    )


def obstructed(
    generation: int, max_trials: int | None, before: Status | None, finding: Finding, now: float
) -> Status:
    """Return the status of an experiment of which only an obstacle is known; the rest stands.

    Args:
        generation: of the experiment.
        max_trials: of a sound spec; None of a broken one.
        before: the status written last.
        finding: the obstacle.
        now: seconds since the epoch.
    """
    known = before or Status(observed_generation=generation, conditions=[])
    kept = [condition for condition in known.conditions if condition.type is not finding.type]
    return known.model_copy(
        update={
            "observed_generation": generation,
            "state": _word([finding]),
            "progress": known.progress or (f"0/{max_trials}" if max_trials else ""),
            "conditions": [*_conditions(generation, [finding], known, now), *kept],
        }
    )


def state(spec: Spec, trial: Trial) -> State:
    """Return a trial's state as people see it: measured but not acceptable counts as infeasible."""
    if trial.state is State.COMPLETED and not judge.verdict(spec, trial).feasible:
        return State.INFEASIBLE
    return trial.state


def warm_started(
    spec: Spec, taken: Mapping[str, Sequence[Trial]], error: DistilleryError | None = None
) -> list[Finding]:
    """Return what is said of the experiments that this one starts from; nothing without any.

    Args:
        spec: names them.
        taken: their trials that inform the sampler.
        error: why those of one do not, if so.
    """
    kind, names = ConditionType.WARM_STARTED, [w.experiment for w in spec.warm_start_from]
    if not names:
        return []
    if error is not None:
        reason = "SourceUnfit" if isinstance(error, Unfit) else "SourceNotFound"
        return [Finding(kind, "False", reason, str(error))]
    if not set(names) <= taken.keys():
        return [Finding(kind, "Unknown", "Preparing", "data and teacher are not prepared yet")]
    shown = ", ".join(f"{len(taken[name])} trials of {name}" for name in names)
    return [Finding(kind, "True", "Taken", f"these inform the sampler: {shown}")]


def timestamp(seconds: float) -> str:
    """Write a time as Kubernetes does, in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _counts(spec: Spec, seen: Observation) -> resources.TrialCounts:
    """Count suggestions: one that goes on is where its last trial is."""
    begun = continued(seen.trials)
    states = [state(spec, trial) for trial in seen.trials if trial.number not in begun]
    running = {a.trial for a in seen.attempts if _trains(a) and a.phase is Phase.RUNNING}
    open_trials = {t.number for t in seen.trials if t.state is State.RUNNING}
    return resources.TrialCounts(
        total=len(states),
        pending=len(open_trials - running),
        running=len(open_trials & running),
        completed=states.count(State.COMPLETED),
        infeasible=states.count(State.INFEASIBLE),
        stopped=states.count(State.STOPPED),
        failed=states.count(State.FAILED),
    )


def _values(spec: Spec, trial: Trial) -> dict[str, float]:
    return _objectives(spec, trial.metrics)


def _objectives(spec: Spec, found: Mapping[str, float]) -> dict[str, float]:
    names = {objective.metric for objective in spec.objectives}
    return _plain({name: value for name, value in found.items() if name in names})


def _plain(values: Mapping[str, float]) -> dict[str, float]:
    """Return metrics the way a person writes them: counts as integers.

    A trainer may expose what the contract does not know, or what is no number (yet).
    """
    known = {n: v for n, v in values.items() if n in metrics.EVALUATIONS and isfinite(v)}
    counts = {n for n in known if metrics.EVALUATIONS[n].unit == "parameters"}
    return {n: int(v) if n in counts else v for n, v in known.items()}


def _trains(attempt: Attempt) -> bool:
    return attempt.stage is Stage.TRAIN


def _effort(spec: Spec, seen: Observation, end: Closing | None, points: int) -> dict[str, Any]:
    """Return what the search has used: in all, for each point of the front, and of its budgets."""
    hours, cost = budgets.gpu_hours(seen), budgets.cost(spec, budgets.hours(seen))
    return {
        "gpu_hours": round(hours, 3),
        "cost": _rounded(cost),
        "gpu_hours_per_front_point": round(hours / points, 3) if points else None,
        "cost_per_front_point": _rounded(cost / points) if points and cost is not None else None,
        "budgets": [_use(use, end) for use in budgets.uses(spec, seen, end)],
    }


def _use(use: Use, end: Closing | None) -> resources.BudgetUse:
    """Show a budget; a time that runs on by the minute, for each change is a status to write."""
    runs_on = use.name == "maxDurationSeconds" and end is None
    used = use.used // 60 * 60 if runs_on else use.used
    return resources.BudgetUse(name=use.name, used=used, limit=use.limit)


def _rounded(cost: float | None) -> float | None:
    return None if cost is None else round(cost, 4)


def _spread(points: list[resources.FrontPoint]) -> list[resources.FrontPoint]:
    """Return as many points as a status may hold, evenly spread over the front, ends included."""
    largest = max((len(point.model_dump_json()) for point in points), default=1)
    room = max(2, min(resources.FRONT_LIMIT, resources.FRONT_BYTES // largest))
    if len(points) <= room:
        return points
    return [points[round(i * (len(points) - 1) / (room - 1))] for i in range(room)]


def _point(spec: Spec, pieces: Sequence[Trial]) -> resources.FrontPoint:
    """Show a trial on the front, given with the stopped ones that it continues."""
    trial = pieces[0]
    return resources.FrontPoint(
        trial=trial.number,
        baseline=trial.baseline,
        values=_values(spec, trial),
        metrics=_plain(trial.metrics),
        parameters=dict(trial.parameters),
        model=trial.model,
        gpu_hours=round(budgets.gpu_hours_of(pieces), 3),
        cost=_rounded(budgets.cost(spec, budgets.hours_of(pieces))),
    )


def _best(spec: Spec, trials: Sequence[Trial]) -> list[resources.Best]:
    candidates = judge.feasible(spec, trials)
    return [_best_at(objective, candidates) for objective in spec.objectives if candidates]


def _best_at(objective: Objective, candidates: Sequence[Trial]) -> resources.Best:
    sign = objective.direction.sign
    best = min(candidates, key=lambda trial: sign * trial.metrics[objective.metric])
    value = _plain(best.metrics)[objective.metric]
    return resources.Best(objective=objective.metric, trial=best.number, value=value)


def _recent(spec: Spec, seen: Observation) -> list[resources.RecentTrial]:
    """Return trials that have not ended, then those that ended last; at most ``RECENT_LIMIT``."""
    live = {a.trial: a for a in seen.attempts if _trains(a) and a.live}
    newest = sorted(seen.trials, key=lambda t: (t.state is not State.RUNNING, -(t.ended or 0.0)))
    return [
        _unfinished(spec, seen, trial, live.get(trial.number))
        if trial.state is State.RUNNING
        else _finished(spec, trial)
        for trial in newest[: resources.RECENT_LIMIT]
    ]


def _finished(spec: Spec, trial: Trial) -> resources.RecentTrial:
    verdict = judge.verdict(spec, trial)
    return resources.RecentTrial(
        trial=trial.number,
        state=state(spec, trial),
        reason=verdict.reason,
        message=_cut(verdict.message, RECENT_BYTES),
        values=_values(spec, trial),
    )


def _unfinished(
    spec: Spec, seen: Observation, trial: Trial, attempt: Attempt | None
) -> resources.RecentTrial:
    runs = attempt is not None and attempt.phase is Phase.RUNNING
    report = attempt and seen.reports.get(attempt.key)
    said = attempt.message if attempt else "no process works on it yet"
    return resources.RecentTrial(
        trial=trial.number,
        state=str(State.RUNNING if runs else Phase.PENDING),
        reason=(attempt.reason if attempt else "") or str(State.RUNNING if runs else Phase.PENDING),
        message=_cut(said or f"attempt {attempt.number if attempt else 1} runs", RECENT_BYTES),
        values=_objectives(spec, report.metrics) if report else {},
        progress=report.progress if report else None,
    )


def _conditions(
    generation: int, findings: Iterable[Finding], before: Status | None, now: float
) -> list[Condition]:
    earlier = {c.type: c for c in before.conditions} if before else {}
    found = []
    for said in findings:
        same = said.type in earlier and earlier[said.type].status == said.status
        since = earlier[said.type].last_transition_time if same else timestamp(now)
        found.append(
            Condition(
                type=said.type,
                status=said.status,
                reason=said.reason,
                message=_cut(said.message, MESSAGE_BYTES),
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return found


def _cut(text: str, size: int) -> str:
    """Return as many characters as fit into some bytes."""
    return text.encode(errors="replace")[:size].decode(errors="ignore")


def _word(findings: Iterable[Finding]) -> str:
    """Return the state of an experiment in one word."""
    said = {finding.type: finding for finding in findings}
    for kind in OBSTACLES:
        if kind in said and said[kind].status == "False":
            return said[kind].reason
    if said[ConditionType.SUCCEEDED].status != "Unknown":
        return "Succeeded" if said[ConditionType.SUCCEEDED].status == "True" else "Failed"
    if said[ConditionType.PREPARED].status != "True":
        return "Preparing" if said[ConditionType.PROGRESSING].status == "True" else "Suspended"
    return said[ConditionType.PROGRESSING].reason


def _prepared(seen: Observation, closing: Closing | None) -> Finding:
    kind = ConditionType.PREPARED
    if seen.preparation:
        teacher = seen.preparation.teacher
        floor = ", ".join(f"{k} {v:.2f}" for k, v in teacher.items() if k in metrics.COLLAPSE)
        message = f"data and teacher are checked and cached; the teacher has {floor}"
        return Finding(kind, "True", "Prepared", message)
    if closing and closing.reason == decide.PREPARATION_FAILED:
        return Finding(kind, "False", closing.reason, closing.message)
    message = "data and teacher are being read and checked"
    return Finding(kind, "Unknown", "Preparing", message)


def _progressing(spec: Spec, seen: Observation, end: Closing | None) -> Finding:
    kind = ConditionType.PROGRESSING
    live = [attempt for attempt in seen.attempts if attempt.live]
    if end:
        return Finding(kind, "False", end.reason, end.message)
    if spec.suspend:
        message = f"nothing starts; {len(live)} processes still run to their next checkpoint"
        return Finding(kind, "False", decide.SUSPENDED, message)
    asked = f"{seen.suggested} of {spec.max_trials} trials are suggested"
    if seen.obstacle:
        return Finding(kind, "False", decide.OBSTRUCTED, f"nothing starts: {seen.obstacle}")
    waiting = [attempt for attempt in live if attempt.phase is Phase.PENDING]
    message = f"{asked}, {len(live) - len(waiting)} processes run"
    if waiting:
        message += f", {len(waiting)} wait: {waiting[0].message}"
    return Finding(kind, "True", "Running", message)


def _succeeded(points: Sequence[Trial], end: Closing | None) -> Finding:
    kind = ConditionType.SUCCEEDED
    if end is None:
        message = f"the front has {len(points)} points so far"
        return Finding(kind, "Unknown", "Running", message)
    if not points:
        message = f"no trial satisfies all thresholds and constraints; {end.message}"
        return Finding(kind, "False", "NoFeasibleTrial", message)
    return Finding(kind, "True", end.reason, f"the front has {len(points)} points; {end.message}")


def _degraded(spec: Spec, seen: Observation, closing: Closing | None) -> Finding:
    kind = ConditionType.DEGRADED
    ended = [
        trial
        for trial in seen.trials
        if trial.state is not State.RUNNING and trial.reason not in stops.RESUMABLE
    ]
    verdicts = [judge.verdict(spec, trial) for trial in ended]
    if closing and closing.reason in (decide.PREPARATION_FAILED, decide.TOO_MANY_FAILURES):
        return Finding(kind, "True", closing.reason, closing.message)
    for attempt in seen.attempts:
        if attempt.live and attempt.reason in STUCK:
            message = f"{attempt.message}; mend spec.template, and what waits starts anew"
            return Finding(kind, "True", attempt.reason, message)
    if len(ended) >= NO_FEASIBLE_AFTER and not any(v.feasible for v in verdicts):
        reasons = [v.reason for v in verdicts]
        message = (
            f"none of {len(ended)} trials satisfies all thresholds and constraints;"
            f" most often: {max(set(reasons), key=reasons.count)}"
        )
        return Finding(kind, "True", "NoFeasibleTrial", message)
    feasible = sum(v.feasible for v in verdicts)
    message = f"{feasible} of {len(ended)} ended trials are feasible"
    return Finding(kind, "False", "AsExpected", message)
