"""PURE: is a trial acceptable, and if not, why. Called by everything that shows or ranks trials.

Verdicts are derived from the metrics and the spec of today, never stored, so that a threshold
edited while the experiment runs holds for the trials of yesterday too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from distillery_contract import metrics, size
from distillery_contract.size import Architecture
from distillery_contract.wire import Reason
from distillery_operator.resource.spec import Spec, effective_constraints
from distillery_operator.trials.trial import State, Trial

ENDED_EARLY: Final = "ended_early"
"""Name of the constraint that a trial violates which ended before it could be measured."""

COLLAPSE_LOW: Final = 1.0
COLLAPSE_HIGH: Final = 97.0
"""Percent. A model that serves one kind of question only scores below the one on the other kind and
above the other on its own: trainings recorded of such models have 0 to 0.3 against 98.4 to 100."""

KNOWN: Final = ("parameter_count",)
"""Metrics that a suggestion decides before it is trained."""

THRESHOLD_MISSED: Final = "ThresholdMissed"
CONSTRAINT_VIOLATED: Final = "ConstraintViolated"
COLLAPSED: Final = "Collapsed"
OVERSIZE: Final = "Oversize"
RUNNING: Final = "Running"
DUPLICATE: Final = "Duplicate"
"""Reason of a trial that has the hyperparameters, and so the result, of an earlier one."""


@dataclass(frozen=True)
class Verdict:
    """Whether a trial may stand on the front, with one word and one sentence that say why."""

    feasible: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Bound:
    """A limit on a metric: ``sign * (value - limit) >= 0`` must hold."""

    metric: str
    sign: int
    limit: float
    reason: str

    @property
    def name(self) -> str:
        """The constraint's key in the study."""
        return f"{self.metric}_{'minimum' if self.sign > 0 else 'maximum'}"

    def violation(self, value: float) -> float:
        """Return by how much a value breaks the limit; zero or less if it does not."""
        return self.sign * (self.limit - value)

    def sentence(self, value: float) -> str:
        """Say the rule, then the value."""
        relation = ">=" if self.sign > 0 else "<="
        return f"{self.metric} {relation} {_shown(self.limit)} must hold, but got {_shown(value)}"


def _shown(value: float) -> str:
    """Write counts whole and measurements to six digits."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:.6g}"


def bounds(spec: Spec) -> list[Bound]:
    """Return every limit in force: thresholds, then constraints with the collapse guard."""
    found = []
    for objective in spec.objectives:
        if objective.threshold is not None:
            sign = -objective.direction.sign
            found.append(Bound(objective.metric, sign, objective.threshold, THRESHOLD_MISSED))
    for constraint in effective_constraints(spec):
        for sign, limit in ((1, constraint.minimum), (-1, constraint.maximum)):
            if limit is not None:
                found.append(Bound(constraint.metric, sign, limit, CONSTRAINT_VIOLATED))
    return found


def violations(spec: Spec, trial: Trial) -> dict[str, float]:
    """Return every constraint of a trial that has ended, by name; positive means violated.

    All trials of a study have the same names: samplers compare them position by position. A metric
    that was never measured counts with the worst value that it can have.
    """
    found = {b.name: b.violation(measured(trial, b.metric)) for b in bounds(spec)}
    return {**found, ENDED_EARLY: 0.0 if trial.state is State.COMPLETED else 1.0}


def measured(trial: Trial, metric: str) -> float:
    """Return a trial's metric, or the metric's worst value if the trial ended unmeasured."""
    return trial.metrics.get(metric, metrics.EVALUATIONS[metric].worst)


def collapsed(values: Mapping[str, float]) -> bool:
    """Tell whether a model answers everything, or nothing: the trap of unanswerable questions."""
    pair = sorted(values.get(name, 50.0) for name in metrics.COLLAPSE)
    return pair[0] <= COLLAPSE_LOW and pair[1] >= COLLAPSE_HIGH


def verdict(spec: Spec, trial: Trial) -> Verdict:
    """Judge a trial by the spec of today."""
    return judge(spec, bounds(spec), trial)


def judge(spec: Spec, limits: Sequence[Bound], trial: Trial) -> Verdict:
    """Judge a trial by the spec of today, whose bounds are given."""
    if trial.state is State.RUNNING:
        return Verdict(False, RUNNING, "the trial has not ended")
    if trial.state is not State.COMPLETED:
        return Verdict(False, trial.reason, trial.message)
    broken = _broken(limits, trial)
    if not broken:
        holds = "all thresholds and constraints hold"
        if trial.reason == DUPLICATE:
            return Verdict(True, DUPLICATE, f"{trial.message}; {holds}")
        return Verdict(True, Reason.COMPLETED, holds)
    sentence = "; ".join(b.sentence(measured(trial, b.metric)) for b in broken)
    if spec.data.unanswerable and collapsed(trial.metrics):
        low = min(metrics.COLLAPSE, key=lambda name: trial.metrics[name])
        kind = "no question is answered" if low == "HasAns_exact" else "every question is answered"
        return Verdict(False, COLLAPSED, f"the model collapsed: {kind}, {sentence}")
    return Verdict(False, broken[0].reason, sentence)


def state(trial: Trial, verdict: Verdict) -> State:
    """Return a trial's state as people see it: measured but not acceptable counts as infeasible."""
    unfit = trial.state is State.COMPLETED and not verdict.feasible
    return State.INFEASIBLE if unfit else trial.state


def refusal(spec: Spec, trial: Trial, sources: Mapping[str, Architecture]) -> Verdict | None:
    """Return why a suggestion's shape alone rules out its training; None if it may start."""
    try:
        count = size.student_size(sources, trial.parameters)
    except ValueError as error:
        return Verdict(False, Reason.INFEASIBLE, str(error))
    broken = [b for b in bounds(spec) if b.metric == "parameter_count" and b.violation(count) > 0]
    if broken:
        return Verdict(False, OVERSIZE, broken[0].sentence(count))
    return None


def feasible(spec: Spec, candidates: Sequence[Trial]) -> list[Trial]:
    """Return the trials that may stand on the front."""
    limits = [
        (b.metric, b.sign, b.limit, metrics.EVALUATIONS[b.metric].worst) for b in bounds(spec)
    ]
    return [
        trial
        for trial in candidates
        if trial.state is State.COMPLETED
        # As ``_broken``, which takes five times as long.
        and not any(s * (limit - trial.metrics.get(n, w)) > 0 for n, s, limit, w in limits)
    ]


def _broken(limits: Sequence[Bound], trial: Trial) -> list[Bound]:
    return [bound for bound in limits if bound.violation(measured(trial, bound.metric)) > 0]
