"""PURE: an experiment's status, derived anew from one observation at the end of each pass."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

from distillery_contract.request import Stage
from distillery_operator.engine import budgets, conditions, requests, shown, usage
from distillery_operator.engine.budgets import Closing, Use
from distillery_operator.engine.conditions import Finding
from distillery_operator.engine.confirming import Confirmations
from distillery_operator.engine.decide import Decision
from distillery_operator.resource import label_names
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Objective, Spec
from distillery_operator.resource.status import (
    FRONT_BYTES,
    FRONT_LIMIT,
    SUGGESTION_LIMIT,
    BaselineValues,
    Best,
    BudgetUse,
    ConditionType,
    ConfirmationRun,
    Expectation,
    Expected,
    FrontPoint,
    PointConfirmation,
    Status,
    SuggestionValues,
    TrialCounts,
)
from distillery_operator.search import expectation, reported
from distillery_operator.trials import hypervolume, pareto
from distillery_operator.trials.attempt import Phase
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State, Trial, continued, lineage


def derive(
    experiment: Experiment,
    seen: Observation,
    decision: Decision,
    before: Status | None,
    findings: Iterable[Finding] = (),
) -> Status:
    """Return the status of an experiment.

    Args:
        experiment: what is wanted.
        seen: what there is.
        decision: what follows from it.
        before: the status written last, whose transition times stand where nothing changed.
        findings: conditions that the operator found out besides.
    """
    spec, ended = experiment.spec, [t for t in seen.trials if t.state is not State.RUNNING]
    points = reported.front_of(seen.verdicts(spec))
    knee = pareto.knee(spec, points)
    closing, end = decision.closing, decision.done
    reference = hypervolume.reference(spec, seen.preparation) if seen.preparation else {}
    volume = (
        pareto.hypervolume(spec, points, hypervolume.corner(spec, reference))
        if points and reference
        else None
    )
    finished = max((t.ended or 0.0 for t in ended), default=seen.now)
    counts = _counts(spec, seen)
    found = [
        *findings,
        *conditions.trainer_accepted(spec, seen, end),
        conditions.prepared(spec, seen, closing),
        conditions.progressing(spec, seen, end),
        conditions.succeeded(points, end),
        *conditions.confirmed(spec, seen, decision, points),
        *conditions.tested(spec, seen, decision),
        conditions.degraded(spec, seen, closing),
        *(conditions.held_back(spec, seen) if end is None else []),
        *conditions.foreign(seen),
    ]
    expectations = reported.again(spec, seen.trials, points)
    front = _spread([_point(spec, seen, point, decision, expectations) for point in points])
    return Status(
        observed_generation=experiment.metadata.generation,
        state=conditions.word(found),
        progress=f"{seen.settled}/{spec.max_trials}",
        conditions=conditions.stamped(experiment.metadata.generation, found, before, seen.now),
        start_time=conditions.timestamp(seen.started),
        completion_time=conditions.timestamp(finished) if end else None,
        trials=counts,
        active=sum(attempt.live for attempt in seen.attempts),
        teacher=shown.plain(seen.preparation.teacher) if seen.preparation else {},
        teacher_test=shown.plain(
            next((t.test.teacher for t in decision.tests.chosen if t.test and t.test.teacher), {})
        ),
        selector=f"{label_names.EXPERIMENT}={experiment.metadata.name}",
        front=front,
        front_size=len(points),
        front_truncated=len(points) > len(front),
        expectations=[
            Expectation(
                metric=e.metric,
                trials=e.trials,
                error=_four_digits(e.error),
                spread=_four_digits(e.spread),
            )
            for e in expectations
        ],
        best=_best(spec, seen),
        knee=knee.number if knee else None,
        hypervolume=volume,
        hypervolume_reference=reference,
        baselines=[
            BaselineValues(
                name=t.baseline,
                trial=t.number,
                state=shown.state(spec, t),
                values=shown.values(spec, t),
                test=shown.objectives(spec, t.test.metrics) if t.test else {},
            )
            for t in seen.trials
            if t.baseline
        ],
        suggestions=_suggestions(spec, seen.trials),
        recent_trials=shown.recent(spec, seen),
        results=requests.results(experiment),
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
            "finished_generation": None,
            "state": conditions.word([finding]),
            "progress": known.progress or (f"0/{max_trials}" if max_trials else ""),
            "conditions": [*conditions.stamped(generation, [finding], known, now), *kept],
        }
    )


def deleting(generation: int, before: Status | None, waits: str, now: float) -> Status:
    """Return the status of an experiment that is being deleted; the rest stands.

    Args:
        generation: of the experiment.
        before: the status written last.
        waits: what its deletion waits for.
        now: seconds since the epoch.
    """
    known = before or Status(observed_generation=generation, conditions=[])
    message = f"study and results are deleted; this waits for: {waits}"
    said = Finding(ConditionType.DELETING, "True", "Waiting", message)
    kept = [condition for condition in known.conditions if condition.type is not said.type]
    found = conditions.stamped(generation, [said], known, now)
    update = {"finished_generation": None, "state": "Deleting", "conditions": [*found, *kept]}
    return known.model_copy(update=update)


def _counts(spec: Spec, seen: Observation) -> TrialCounts:
    """Count suggestions: one that goes on is where its last trial is."""
    states = Counter[State]()
    for ending, count in seen.verdicts(spec).counts.items():
        states[ending.state] += count
    goes_on = continued(seen.trials)
    for number in goes_on:
        if before := seen.verdicts(spec).endings[number]:
            states[before.state] -= 1
    running = {
        a.trial for a in seen.attempts if a.stage is Stage.TRAIN and a.phase is Phase.RUNNING
    }
    open_trials = {t.number for t in seen.trials if t.state is State.RUNNING}
    return TrialCounts(
        total=len(seen.trials) - len(goes_on),
        pending=len(open_trials - running),
        running=len(open_trials & running),
        completed=states[State.COMPLETED],
        infeasible=states[State.INFEASIBLE],
        stopped=states[State.STOPPED],
        failed=states[State.FAILED],
    )


def _effort(spec: Spec, seen: Observation, end: Closing | None, points: int) -> dict[str, Any]:
    """Return what the search has used: in all, for each point of the front, and of its budgets."""
    hours, cost = usage.gpu_hours(seen), usage.cost(spec, usage.hours(seen))
    return {
        "gpu_hours": round(hours, 3),
        "cost": _rounded(cost),
        "gpu_hours_per_front_point": round(hours / points, 3) if points else None,
        "cost_per_front_point": _rounded(cost / points) if points and cost is not None else None,
        "budgets": [_use(use, end) for use in budgets.uses(spec, seen, end)],
    }


def _use(use: Use, end: Closing | None) -> BudgetUse:
    """Show a budget; a time that runs on by the minute, for each change is a status to write."""
    runs_on = use.name == "maxDurationSeconds" and end is None
    used = use.used // 60 * 60 if runs_on else use.used
    return BudgetUse(name=use.name, used=used, limit=use.limit)


def _rounded(cost: float | None) -> float | None:
    return None if cost is None else round(cost, 4)


def _spread(points: list[FrontPoint]) -> list[FrontPoint]:
    """Return as many points as a status may hold, evenly spread over the front, ends included."""
    largest = max((len(point.model_dump_json()) for point in points), default=1)
    room = max(2, min(FRONT_LIMIT, FRONT_BYTES // largest))
    if len(points) <= room:
        return points
    return [points[round(i * (len(points) - 1) / (room - 1))] for i in range(room)]


def _four_digits(value: float) -> float:
    """Return an expected number with the digits that count: who changes less is written less."""
    return float(f"{value:.4g}")


def _point(
    spec: Spec,
    seen: Observation,
    point: Trial,
    decision: Decision,
    expectations: Sequence[expectation.Expectation],
) -> FrontPoint:
    """Show a point of the front, a trial with the values that are reported of it."""
    trial = seen.trials[point.number]
    pieces = [*lineage(seen.trials, trial)]
    return FrontPoint(
        trial=trial.number,
        baseline=trial.baseline,
        suggestion=trial.by_hand,
        values=shown.values(spec, point),
        metrics=shown.plain(reported.of_model(trial, point.model)),
        test=shown.plain(trial.test.metrics) if trial.test else {},
        expected={
            e.metric: Expected(
                mean=_four_digits(found.mean), deviation=_four_digits(found.deviation)
            )
            for e in expectations
            if (found := e.expected.get(trial.number))
        },
        confirmation=_confirmation(spec, trial, point.model, decision.confirmations),
        parameters=dict(trial.parameters),
        model=point.model,
        gpu_hours=round(usage.gpu_hours_of(pieces), 3),
        cost=_rounded(usage.cost(spec, usage.hours_of(pieces))),
    )


def _confirmation(
    spec: Spec, trial: Trial, model: str | None, known: Confirmations
) -> PointConfirmation | None:
    """Show the further trainings of a trial of which a model is kept."""
    if spec.confirm is None and not trial.confirmations:
        return None
    ends = [shown.objectives(spec, c.metrics) for c in reported.completed(trial)]
    columns = {name: [end[name] for end in ends] for name in (ends[0] if ends else ())}
    return PointConfirmation(
        seed=reported.seed_of(trial, model),
        runs=[
            ConfirmationRun(
                seed=c.seed,
                state=c.state,
                reason=c.reason,
                values=shown.objectives(spec, c.metrics),
            )
            for c in trial.confirmations
        ],
        mean=shown.plain({name: _four_digits(fmean(column)) for name, column in columns.items()}),
        deviation=shown.plain(
            {n: _four_digits(stdev(c)) for n, c in columns.items() if len(c) > 1}
        ),
        chance=known.chances.get(trial.number, 0.0) if known.chances else None,
        confirmed=known.confirmed(trial),
    )


def _suggestions(spec: Spec, trials: Sequence[Trial]) -> list[SuggestionValues]:
    """Return what persons suggested; of one that was stopped and goes on, what goes on."""
    made = {trial.by_hand: trial for trial in trials if trial.by_hand}
    names = dict.fromkeys([*(wanted.name for wanted in spec.suggestions), *made])
    return [_suggestion(spec, name, made.get(name)) for name in [*names][:SUGGESTION_LIMIT]]


def _suggestion(spec: Spec, name: str, trial: Trial | None) -> SuggestionValues:
    if trial is None:
        return SuggestionValues(name=name, state="Waiting")
    found = shown.state(spec, trial)
    return SuggestionValues(
        name=name, trial=trial.number, state=found, values=shown.values(spec, trial)
    )


def _best(spec: Spec, seen: Observation) -> list[Best]:
    found = reported.best_of(seen.verdicts(spec))
    return [_best_at(o, trial) for o, trial in zip(spec.objectives, found, strict=False)]


def _best_at(objective: Objective, best: Trial) -> Best:
    value = shown.plain(best.metrics)[objective.metric]
    return Best(objective=objective.metric, trial=best.number, value=value)
