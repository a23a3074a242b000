"""PURE: the sentences at the top of the page. Called by ``payload``."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from distillery_contract.metrics import Direction
from distillery_operator.engine import conditions, trainers
from distillery_operator.report import units
from distillery_operator.resource.confirm import FrontValues
from distillery_operator.resource.spec import Spec
from distillery_operator.resource.status import ConditionType, Status
from distillery_operator.trials import feasibility
from distillery_operator.trials.trial import Trial

SIZE: Final = "parameter_count"


@dataclass(frozen=True)
class State:
    """How an experiment fares: one word, one sentence, and whether that is good, bad or neither."""

    word: str
    sentence: str
    tone: str


@dataclass(frozen=True)
class Tile:
    """One figure of the header; ``trial`` is the one it speaks of."""

    title: str
    value: str
    sentence: str
    trial: int | None = None


def state(status: Status) -> State:
    """Return what the conditions say, the most urgent first."""
    said = {condition.type: condition for condition in status.conditions}
    for kind, value, word, tone in (
        (ConditionType.ACCEPTED, "False", "Refused", "bad"),
        (ConditionType.STORAGE_REACHABLE, "False", "Database away", "bad"),
        (ConditionType.TEMPLATE_VALID, "False", "Template refused", "bad"),
        (ConditionType.WARM_STARTED, "False", "Not warm-started", "bad"),
        (ConditionType.TRAINER_ACCEPTED, "False", "Trainer changed", "bad"),
        (ConditionType.DEGRADED, "True", "Degraded", "bad"),
        (ConditionType.PROGRESSING, "True", "In progress", "neutral"),
        (ConditionType.SUCCEEDED, "True", "Succeeded", "good"),
        (ConditionType.SUCCEEDED, "False", "Ended without a result", "bad"),
        (ConditionType.PREPARED, "False", "Not prepared", "bad"),
        (ConditionType.PROGRESSING, "False", "At rest", "neutral"),
    ):
        condition = said.get(kind)
        if condition and condition.status == value:
            return State(word, condition.message, tone)
    return State("Not started", "Nothing is known of this experiment yet.", "neutral")


def tiles(spec: Spec, status: Status, trials: Sequence[Trial]) -> list[Tile]:
    """Return the header's figures: what was reached, at what size, for which effort."""
    feasible = feasibility.feasible(spec, list(trials))
    sized = [trial for trial in feasible if SIZE in trial.metrics]
    found = []
    metric = accuracy(spec)
    measured = [trial for trial in feasible if metric in trial.metrics]
    if metric and measured:
        best = max(measured, key=lambda trial: trial.metrics[metric])
        found.append(_tile(f"Best {metric}", metric, best, spec, status))
    if sized:
        smallest = min(sized, key=lambda trial: trial.metrics[SIZE])
        found.append(_tile("Smallest feasible model", SIZE, smallest, spec, status))
    if (equal := _as_good(spec, trials, sized)) is not None:
        found.append(equal)
    knee = next((trial for trial in measured if trial.number == status.knee), None)
    if metric and knee:
        found.append(_tile("Knee of the front", metric, knee, spec, status))
    return [*found, _effort(status)] if found else [_nothing(status), _effort(status)]


def accuracy(spec: Spec) -> str | None:
    """Return the first objective that is maximised."""
    return next((o.metric for o in spec.objectives if o.direction is Direction.MAXIMIZE), None)


def findings(spec: Spec, status: Status, trials: Sequence[Trial]) -> list[str]:
    """Return what is known of sampler, trainers and data, then the ways to end off the front."""
    verdicts = [feasibility.verdict(spec, trial) for trial in trials]
    ends = Counter(v.reason for v in verdicts if not v.feasible and v.reason != feasibility.RUNNING)
    found = [
        f"This search was warm-started; {condition.message}."
        for condition in status.conditions
        if condition.type is ConditionType.WARM_STARTED and condition.status == "True"
    ]
    found.append(_tested(spec, status, trials))
    found += _confirmed(spec, status)
    makers = trainers.makers(trials)
    if len(makers) > 1:
        found.append(
            f"Several trainers made these results, which may not be comparable:"
            f" {'; '.join(map(str, makers))}."
        )
    prepared = (c.message for c in status.conditions if c.type is ConditionType.PREPARED)
    if notes := next(prepared, "").partition(conditions.NOTED)[2]:
        found.append(f"Of data and models: {notes}.")
    if count := ends.pop(feasibility.COLLAPSED, 0):
        found.append(
            f"{_trials(count)} collapsed: only one kind of question is answered right, which exact "
            "alone would not show. The bounds on HasAns_exact and NoAns_exact keep such models off "
            "the front."
        )
    if ends:
        parts = ", ".join(f"{count} {reason}" for reason, count in ends.most_common())
        found.append(f"Other ends off the front: {parts}.")
    return found


def _confirmed(spec: Spec, status: Status) -> list[str]:
    """Say what the values of the front are, and how far it is confirmed; nothing unless wanted."""
    if spec.confirm is None:
        return []
    said = next((c.message for c in status.conditions if c.type is ConditionType.CONFIRMED), "")
    values = {
        FrontValues.EXPECTATION: "Values are what a training comes to with any seed, by all its"
        " trainings and what the other trials teach; what was measured of the model stands beside"
        " them",
        FrontValues.CHECKPOINT: "Values were measured of the one model that is exported, the luck"
        " of its seed included",
    }
    return [f"{values[spec.confirm.report]}. {said[:1].upper()}{said[1:]}."]


def _tested(spec: Spec, status: Status, trials: Sequence[Trial]) -> str:
    """Say which questions were optimised on, and what is known of others."""
    optimised = "All values are of the validation set, which the search has optimised"
    if not spec.data.has_test:
        return (
            f"{optimised}, and there is no test set (data.test, data.testShare). The best of many"
            " trials is partly the luckiest on these questions, so expect less of it on others."
        )
    known = sum(trial.test is not None for trial in trials)
    tested = (c.message for c in status.conditions if c.type is ConditionType.TESTED)
    rest = next(tested, "")
    if not known:
        return f"{optimised}. Of the test set: {rest or 'nothing is measured yet'}."
    return (
        "Values are of the validation set, which the search has optimised, unless they say test: no"
        " decision has read the test set, and each model that was chosen was evaluated on it once."
        f" {rest[:1].upper()}{rest[1:]}."
    )


def compare(values: Mapping[str, float], other: Mapping[str, float], name: str, metric: str) -> str:
    """Say how a model stands to another one in size and accuracy, as far as both are known."""
    parts = []
    if values.get(SIZE) and other.get(SIZE):
        share = 100 * (1 - values[SIZE] / other[SIZE])
        word = "smaller" if share > 0 else "larger"
        parts.append(
            f"as large as {name}" if abs(share) < 0.05 else f"{abs(share):.1f} % {word} than {name}"
        )
    if metric in values and metric in other:
        parts.append(_difference(values[metric] - other[metric], metric, None if parts else name))
    return " at ".join(parts)


def _difference(points: float, metric: str, name: str | None) -> str:
    against = f" than {name}" if name else ""
    if abs(points) < 0.005:
        return f"the same {metric}" + (f" as {name}" if name else "")
    return f"{abs(points):.2f} points {'more' if points > 0 else 'less'} {metric}{against}"


def _tile(title: str, metric: str, trial: Trial, spec: Spec, status: Status) -> Tile:
    """Show one metric of a trial, and how it stands to the teacher."""
    shown = units.of(metric).show(trial.metrics[metric])
    if metric != SIZE and SIZE in trial.metrics:
        shown += f" at {units.of(SIZE).show(trial.metrics[SIZE])}"
    sentence = compare(trial.metrics, status.teacher, "the teacher", accuracy(spec) or metric)
    return Tile(title, shown, _label(trial) + (f": {sentence}" if sentence else ""), trial.number)


def _as_good(spec: Spec, trials: Sequence[Trial], sized: Sequence[Trial]) -> Tile | None:
    """Return the smallest trial that is no worse than the best baseline, if it is smaller."""
    metric = accuracy(spec)
    baselines = [t for t in trials if t.baseline and metric in t.metrics and SIZE in t.metrics]
    if metric is None or not baselines:
        return None
    baseline = max(baselines, key=lambda trial: trial.metrics[metric])
    equal = [t for t in sized if t.metrics.get(metric, -1.0) >= baseline.metrics[metric]]
    smallest = min(equal, key=lambda trial: trial.metrics[SIZE], default=baseline)
    saved = 100 * (1 - smallest.metrics[SIZE] / baseline.metrics[SIZE])
    if saved <= 0:
        return None
    sentence = compare(smallest.metrics, baseline.metrics, f"baseline {baseline.baseline}", metric)
    title = "Smaller at no loss"
    return Tile(title, f"−{saved:.1f} %", f"{_label(smallest)}: {sentence}", smallest.number)


def _nothing(status: Status) -> Tile:
    ended = status.trials.total - status.trials.running
    said = f"None of {_trials(ended)} is feasible." if ended else "No trial has ended yet."
    return Tile("Front", "empty", said)


def _effort(status: Status) -> Tile:
    shown = units.duration(status.compute_seconds)
    front = f", {status.front_size} on the front" if status.front_size else ""
    said = f"run time of {_trials(status.trials.total)}{front}"
    for used, each, words in (
        (status.gpu_hours, status.gpu_hours_per_front_point, "{:g} GPU-hours"),
        (status.cost, status.cost_per_front_point, "cost {:g}"),
    ):
        if used:
            per_point = f" ({each:g} for each point)" if each is not None else ""
            said += f"; {words.format(used)}{per_point}"
    return Tile("Compute", shown, said)


def _label(trial: Trial) -> str:
    if trial.baseline:
        return f"Trial {trial.number} (baseline {trial.baseline})"
    return f"Trial {trial.number}" + (" (suggested by hand)" if trial.by_hand is not None else "")


def _trials(count: int) -> str:
    return f"{count} trial" + ("" if count == 1 else "s")
