"""An experiment as series, as kube-state-metrics describes objects: the table of them.

Nothing here has a label per trial, for those series come from the trials' pods and end with them.
Two exceptions are bounded: the points of the front that the status lists, and the baselines.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from distillery_operator.cluster.kinds import Key
from distillery_operator.engine.statistics import Statistics
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.resource.status import ConditionType, Status
from distillery_operator.telemetry.operator_metrics import (
    ATTEMPTS_INTERRUPTED,
    ATTEMPTS_STARTED,
    REGISTRY,
    TRIAL_SECONDS,
    TRIALS_ENDED,
)

DAY: Final = 24 * 3600.0


class Experiments(Collector):
    """The state of every experiment, from the statuses written last."""

    def __init__(self, days: float = math.inf) -> None:
        """Show experiments until so many days after their end."""
        self._known: dict[Key, Shown] = {}
        self._seconds = days * DAY
        REGISTRY.register(self)

    def show(
        self, key: Key, experiment: Experiment, status: Status, figures: Statistics | None = None
    ) -> None:
        """Take in a status, and the figures beside it; without them the last ones stand."""
        before = self._known.get(key)
        known = figures or (before.figures if before else Statistics())
        metadata = experiment.metadata
        self._known[key] = Shown(metadata.uid, metadata.generation, experiment.spec, status, known)

    def show_obstructed(self, key: Key, metadata: Mapping[str, Any], status: Status) -> None:
        """Take in a status that names an obstacle.

        The spec may be one that nobody can read, and the study may be out of reach: what was known
        of both stands, and without it the status alone is shown.
        """
        uid, generation = metadata["uid"], metadata["generation"]
        known = self._known.get(key)
        if known is None or known.uid != uid:
            known = Shown(uid, generation, None, status, Statistics())
        self._known[key] = replace(known, generation=generation, status=status)

    def forget(self, key: Key) -> None:
        """Drop an experiment that was deleted, with all its series."""
        self._known.pop(key, None)
        for family in (TRIALS_ENDED, ATTEMPTS_STARTED, ATTEMPTS_INTERRUPTED, TRIAL_SECONDS):
            family.remove_by_labels({"namespace": key.namespace, "experiment": key.name})

    def collect(self) -> Iterable[Metric]:
        """Return the families, as a registry asks for them."""
        oldest = time.time() - self._seconds
        known = [
            (key, shown)
            for key, shown in sorted(self._known.items(), key=itemgetter(0))
            if (_ended_time(shown) or math.inf) >= oldest
        ]
        for family in FAMILIES:
            made = GaugeMetricFamily(
                f"distillery_experiment_{family.name}",
                family.help,
                labels=["namespace", "experiment", *family.labels],
            )
            for key, shown in known:
                for values, value in family.samples(shown):
                    made.add_metric([*key, *values], value)
            yield made


def _ended_time(shown: "Shown") -> float | None:
    return _time(shown.status.completion_time)


Samples = Iterator[tuple[list[str], float]]
"""Label values and a value."""


@dataclass(frozen=True)
class Shown:
    """What is known of an experiment; without a spec, no study of it has been open."""

    uid: str
    generation: int
    spec: Spec | None
    status: Status
    figures: Statistics


@dataclass(frozen=True)
class Family:
    """Gauges ``distillery_experiment_<name>``; ``labels`` besides namespace and experiment."""

    name: str
    help: str
    samples: Callable[[Shown], Samples]
    labels: tuple[str, ...] = ()


def _one(read: Callable[[Shown], float | None]) -> Callable[[Shown], Samples]:
    """Make a family of one sample, or none where nothing is known."""

    def samples(shown: Shown) -> Samples:
        value = read(shown)
        if value is not None:
            yield [], value

    return samples


def _each(read: Callable[[Shown], Mapping[str, float]]) -> Callable[[Shown], Samples]:
    """Make a family of a sample for each key."""

    def samples(shown: Shown) -> Samples:
        for key, value in read(shown).items():
            yield [key], value

    return samples


def _info(shown: Shown) -> Samples:
    objectives, sampler = "", ""
    if shown.spec:
        objectives = ",".join(objective.metric for objective in shown.spec.objectives)
        sampler = str(shown.spec.sampler.type)
    yield [shown.uid, sampler, objectives, shown.status.state], 1.0


def _conditions(shown: Shown) -> Samples:
    for condition in shown.status.conditions:
        for truth in ("True", "False", "Unknown"):
            yield [str(condition.type), truth.lower()], float(condition.status == truth)


def _trials(shown: Shown) -> Mapping[str, float]:
    counts: Mapping[str, int] = shown.status.trials.model_dump(exclude={"total"})
    return {state.capitalize(): count for state, count in counts.items()}


def _ended(shown: Shown) -> Samples:
    for (state, reason), count in shown.figures.ended.items():
        yield [state, reason], count


def _thresholds(shown: Shown) -> Mapping[str, float]:
    objectives = shown.spec.objectives if shown.spec else ()
    return {o.metric: o.threshold for o in objectives if o.threshold is not None}


def _front(shown: Shown) -> Samples:
    for point in shown.status.front:
        for objective, value in point.values.items():
            yield [str(point.trial), objective], value


def _front_tests(shown: Shown) -> Samples:
    for point in shown.status.front:
        for objective in point.values.keys() & point.test.keys():
            yield [str(point.trial), objective], point.test[objective]


def _confirmed(shown: Shown) -> Samples:
    for point in shown.status.front:
        if point.confirmation is not None:
            yield [str(point.trial)], float(point.confirmation.confirmed)


def _front_again(shown: Shown) -> Samples:
    for point in shown.status.front:
        for objective, value in (point.confirmation.mean if point.confirmation else {}).items():
            yield [str(point.trial), objective], value


def _baselines(shown: Shown) -> Samples:
    for baseline in shown.status.baselines:
        yield [baseline.name, str(baseline.trial)], 1.0


def _baseline_values(shown: Shown) -> Samples:
    for baseline in shown.status.baselines:
        for objective, value in baseline.values.items():
            yield [baseline.name, objective], value


def _baseline_tests(shown: Shown) -> Samples:
    for baseline in shown.status.baselines:
        for objective, value in baseline.test.items():
            yield [baseline.name, objective], value


def _time(timestamp: str | None) -> float | None:
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else None


def _progress_time(shown: Shown) -> float | None:
    """Return when a trial ended last, or the experiment went on, whichever is later."""
    went_on = (
        _time(c.last_transition_time)
        for c in shown.status.conditions
        if c.type is ConditionType.PROGRESSING and c.status == "True"
    )
    return max((t for t in (shown.figures.ended_time, *went_on) if t is not None), default=None)


FAMILIES: Final = (
    Family("info", "An experiment.", _info, ("uid", "sampler", "objectives", "state")),
    Family(
        "status_condition", "A condition of an experiment.", _conditions, ("condition", "status")
    ),
    Family("trials", "Trials by state.", _each(_trials), ("state",)),
    Family("ended_trials", "Trials that ended, by reason.", _ended, ("state", "reason")),
    Family(
        "one_sided_trials",
        "Trials that fail on one half of the questions only, by that half.",
        _each(lambda shown: shown.figures.one_sided),
        ("half",),
    ),
    Family(
        "spec_max_trials", "Trials wanted.", _one(lambda s: s.spec.max_trials if s.spec else None)
    ),
    Family(
        "spec_parallelism",
        "Trials at a time.",
        _one(lambda s: s.spec.parallelism if s.spec else None),
    ),
    Family("spec_threshold", "Threshold of an objective.", _each(_thresholds), ("objective",)),
    Family(
        "budget_used_ratio",
        "Share of a budget that is used, by the field that sets it.",
        _each(lambda shown: shown.figures.budgets),
        ("budget",),
    ),
    Family("active", "Attempts that run or wait.", _one(lambda s: s.status.active)),
    Family(
        "pending_timestamp_seconds",
        "When the attempt was made that has waited longest, by what it waits for.",
        _each(lambda shown: shown.figures.pending_times),
        ("reason",),
    ),
    Family("pareto_front_size", "Points of the front.", _one(lambda s: s.status.front_size)),
    Family(
        "pareto_front_truncated",
        "Whether the status lists only a part of the front.",
        _one(lambda s: s.status.front_truncated),
    ),
    Family(
        "pareto_front_value",
        "An objective of a point of the front that the status lists: at most 200 points.",
        _front,
        ("trial", "objective"),
    ),
    Family(
        "pareto_front_test_value",
        "An objective of such a point on the test set, which no decision reads.",
        _front_tests,
        ("trial", "objective"),
    ),
    Family(
        "pareto_front_other_seeds_value",
        "The mean of an objective of such a point over its trainings with other seeds.",
        _front_again,
        ("trial", "objective"),
    ),
    Family(
        "pareto_front_confirmed",
        "Whether such a point is confirmed by trainings with other seeds, if these are wanted.",
        _confirmed,
        ("trial",),
    ),
    Family(
        "pareto_front_improved_timestamp_seconds",
        "When a trial joined the front last.",
        _one(lambda s: s.figures.improved_time),
    ),
    Family(
        "unimproved_trials",
        "Trials that ended since one joined the front.",
        _one(lambda s: s.figures.unimproved),
    ),
    Family(
        "hypervolume",
        "Volume that the front dominates.",
        _one(lambda s: s.status.hypervolume or 0.0),
    ),
    Family(
        "best_value",
        "Best feasible value of an objective.",
        _each(lambda s: {best.objective: best.value for best in s.status.best}),
        ("objective",),
    ),
    Family(
        "latest_value",
        "Evaluation of the trial that was measured last.",
        _each(lambda shown: shown.figures.latest),
        ("metric",),
    ),
    Family(
        "teacher_value",
        "Evaluation of the teacher.",
        _each(lambda s: s.status.teacher),
        ("metric",),
    ),
    Family(
        "teacher_test_value",
        "Evaluation of the teacher on the test set.",
        _each(lambda s: s.status.teacher_test),
        ("metric",),
    ),
    Family("baseline_info", "The trial of a baseline.", _baselines, ("baseline", "trial")),
    Family(
        "baseline_value", "An objective of a baseline.", _baseline_values, ("baseline", "objective")
    ),
    Family(
        "baseline_test_value",
        "An objective of a baseline on the test set.",
        _baseline_tests,
        ("baseline", "objective"),
    ),
    Family("gpu_seconds", "Time of GPUs that was used.", _one(lambda s: 3600 * s.status.gpu_hours)),
    Family("cost", "What the trials cost, by costPerGpuHour.", _one(lambda s: s.status.cost)),
    Family(
        "median_trial_seconds",
        "Median run time of the completed trials.",
        _one(lambda s: s.figures.trial_seconds),
    ),
    Family(
        "observed_generation",
        "Generation that the status speaks of.",
        _one(lambda s: s.status.observed_generation),
    ),
    Family(
        "metadata_generation",
        "Generation of the spec.",
        _one(lambda s: s.generation),
    ),
    Family(
        "start_timestamp_seconds",
        "When the study began.",
        _one(lambda s: _time(s.status.start_time)),
    ),
    Family(
        "progress_timestamp_seconds",
        "When a trial ended last, or the experiment went on, whichever is later.",
        _one(_progress_time),
    ),
    Family(
        "completion_timestamp_seconds",
        "When the experiment ended.",
        _one(_ended_time),
    ),
)
