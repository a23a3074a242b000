"""PURE: everything that the page shows, as plain JSON values. Called by ``render``."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from distillery_contract import metrics, parameters
from distillery_operator.engine import usage
from distillery_operator.report import correlations, summary, units
from distillery_operator.resource import space
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.resource.status import Status
from distillery_operator.search import reported
from distillery_operator.search.expectation import Expectation
from distillery_operator.search.importance import Importance
from distillery_operator.trials import feasibility, hypervolume, pareto
from distillery_operator.trials.feasibility import Verdict
from distillery_operator.trials.trial import Point, State, Trial, lineage

CURVES: Final = ("exact", "f1", *metrics.COLLAPSE)
"""Metrics whose course along the training is shown."""


def payload(
    experiment: Experiment,
    status: Status,
    trials: Sequence[Trial],
    importances: Mapping[str, Importance],
) -> dict[str, Any]:
    """Return the page's data: metrics in the contract's units, with ``units`` to show them by."""
    spec = experiment.spec
    trials = sorted(trials, key=lambda trial: trial.number)
    verdicts = {trial.number: feasibility.verdict(spec, trial) for trial in trials}
    shown = {trial.number: trial for trial in reported.values(spec, trials)}
    points = pareto.front(spec, [*shown.values()])
    front = [trial.number for trial in points]
    expectations = reported.again(spec, trials, points)
    sure = (p for p in status.front if p.confirmation and p.confirmation.confirmed)
    confirmed = {point.trial for point in sure}
    progress = {recent.trial: recent.progress for recent in status.recent_trials}
    return {
        "name": experiment.metadata.name,
        "namespace": _namespace(experiment),
        "state": asdict(summary.state(status)),
        "started": status.start_time,
        "ended": status.completion_time,
        "counts": {**status.trials.model_dump(), "planned": spec.max_trials},
        "tiles": [asdict(tile) for tile in summary.tiles(spec, status, [*shown.values()])],
        "findings": summary.findings(spec, status, trials),
        "units": {name: asdict(units.of(name)) for name in metrics.EVALUATIONS},
        "objectives": [o.model_dump(mode="json") for o in spec.objectives],
        "bounds": [asdict(bound) for bound in feasibility.bounds(spec)],
        "parameters": [p.model_dump(mode="json") for p in spec.parameters],
        "teacher": _numbers(status.teacher),
        "teacherTest": _numbers(status.teacher_test),
        "front": front,
        "knee": status.knee,
        "history": _history(spec, trials, verdicts, status.hypervolume_reference),
        "expectations": [_expectation(known) for known in expectations],
        "importances": {name: asdict(found) for name, found in importances.items()},
        "correlations": correlations.table(spec, trials),
        "trials": [
            {
                **_trial(spec, trial, verdicts[trial.number], shown.get(trial.number, trial)),
                "confirmed": trial.number in confirmed,
                **_effort(spec, [*lineage(trials, trial)]),
                "kind": _kind(trial, verdicts[trial.number], front),
                "expected": _expected(trial, expectations),
                "progress": progress.get(trial.number),
                "export": _export(experiment, trial.number),
            }
            for trial in trials
        ],
    }


def _kind(trial: Trial, verdict: Verdict, front: Sequence[int]) -> str:
    """Return the one class in which a trial is drawn and filtered."""
    if trial.state is State.RUNNING:
        return "running"
    if trial.state is State.FAILED:
        return "failed"
    if trial.number in front:
        return "front"
    if verdict.feasible:
        return "feasible"
    if verdict.reason == feasibility.COLLAPSED:
        return "collapsed"
    return "stopped" if trial.state is State.STOPPED else "infeasible"


def _namespace(experiment: Experiment) -> str | None:
    """Return the namespace of an experiment of a cluster; None of one of this machine."""
    return experiment.metadata.namespace if experiment.metadata.uid else None


def _export(experiment: Experiment, trial: int) -> str:
    name, namespace = experiment.metadata.name, _namespace(experiment)
    place = f"--namespace {namespace} " if namespace else ""
    return f"distillery export {place}--experiment {name} {trial} {name}-trial-{trial}"


def _trial(spec: Spec, trial: Trial, verdict: Verdict, shown: Trial) -> dict[str, Any]:
    """Return a trial, given with the values that are reported of it."""
    size = {} if trial.parameter_count is None else {"parameter_count": trial.parameter_count}
    measured = reported.of_model(trial, shown.model)
    return {
        "number": trial.number,
        "baseline": trial.baseline,
        "byHand": trial.by_hand,
        "continues": trial.continues,
        "reason": verdict.reason,
        "message": verdict.message,
        "metrics": _numbers({**size, **shown.metrics}),
        "measured": _numbers(measured) if measured != shown.metrics else {},
        "seed": reported.seed_of(trial, shown.model),
        "confirmations": [
            {
                "seed": run.seed,
                "state": run.state,
                "reason": run.reason,
                "message": run.message,
                "metrics": _numbers(run.metrics),
            }
            for run in trial.confirmations
        ],
        "test": _numbers(trial.test.metrics) if trial.test else {},
        "parameters": {
            name: value
            for name, value in parameters.resolve(trial.parameters).items()
            if name in trial.parameters or value is not None
        },
        "given": list(trial.parameters),
        "inactive": space.inactive(spec, trial.parameters),
        "curve": _curve(trial.curve),
        "started": trial.started or None,
        "ended": trial.ended,
        "seconds": round(trial.seconds, 1),
        "source": trial.source,
        "model": shown.model,
        "provenance": asdict(trial.provenance) if trial.provenance else None,
    }


def _expectation(known: Expectation) -> dict[str, Any]:
    """Return how far what is expected of one metric can be trusted."""
    error, spread = _rounded(known.error), _rounded(known.spread)
    return {"metric": known.metric, "trials": known.trials, "error": error, "spread": spread}


def _expected(trial: Trial, expectations: Iterable[Expectation]) -> dict[str, Any]:
    """Return what a trial comes to when it is trained again, by metric."""
    return {
        known.metric: _numbers(asdict(found))
        for known in expectations
        if (found := known.expected.get(trial.number))
    }


def _effort(spec: Spec, pieces: Sequence[Trial]) -> dict[str, float | None]:
    """Return what a training used, given with the stopped trials that it continues."""
    cost = usage.cost(spec, usage.hours_of(pieces))
    return {
        "gpuHours": _rounded(usage.gpu_hours_of(pieces)),
        "cost": cost if cost is None else _rounded(cost),
    }


def _curve(points: Sequence[Point]) -> dict[str, Any]:
    """Return a training's course by column, as plotting wants it."""
    measured = [name for name in CURVES if any(name in point.metrics for point in points)]
    parts = list(dict.fromkeys(name for point in points for name in point.losses))
    return {
        "step": [point.step for point in points],
        "metrics": {n: _column(point.metrics.get(n) for point in points) for n in measured},
        "losses": {n: _column(point.losses.get(n) for point in points) for n in parts},
    }


def _history(
    spec: Spec,
    trials: Sequence[Trial],
    verdicts: Mapping[int, Verdict],
    reference: Mapping[str, float],
) -> dict[str, Any]:
    """Return the front's hypervolume after each trial, in the order in which they ended."""
    if not reference:
        return {"trials": [], "volumes": []}
    corner = hypervolume.corner(spec, reference)
    scale = math.prod(units.of(objective.metric).factor for objective in spec.objectives)
    front: list[Trial] = []
    volume, numbers, volumes = 0.0, [], []
    ended = [trial for trial in trials if trial.state is not State.RUNNING]
    for trial in sorted(ended, key=lambda t: (t.ended or 0.0, t.number)):
        if verdicts[trial.number].feasible:
            front = pareto.front(spec, [*front, trial])
            volume = pareto.hypervolume(spec, front, corner) if trial in front else volume
        numbers.append(trial.number)
        volumes.append(_rounded(volume * scale) or 0.0)
    return {"trials": numbers, "volumes": volumes}


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _rounded(value) for name, value in values.items()}


def _column(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else _rounded(value) for value in values]


def _rounded(value: float) -> float | None:
    """Return a number with as many digits as a picture can show; None for what JSON cannot hold."""
    if not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.6g}")
