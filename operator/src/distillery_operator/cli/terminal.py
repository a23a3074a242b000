"""EDGE: what a person sees of a run in a terminal."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from distillery_contract.metrics import COLLAPSE, EVALUATIONS
from distillery_contract.request import Stage
from distillery_operator.cli import output
from distillery_operator.engine import shown
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.resource.status import (
    Condition,
    ConditionType,
    FrontPoint,
    Status,
    SuggestionValues,
)
from distillery_operator.trials import feasibility
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State, Trial

PIPE_COLUMNS: Final = 160
"""Width of tables where the output is no terminal."""

ORDINARY: Final = {
    ConditionType.SUCCEEDED: "Unknown",
    ConditionType.DEGRADED: "False",
    ConditionType.TRAINER_ACCEPTED: "True",
}
"""What these conditions say while nothing has happened."""


class _Console(Console):
    """Standard output. Where nobody reads it any more, as after ``| head``, work still goes on."""

    def on_broken_pipe(self) -> None:
        output.drop()


def console() -> Console:
    """Return standard output."""
    return _Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS)


class View:
    """Shows a run: a live picture in a terminal, a line per event in a file or a pipe."""

    def __init__(self, console: Console, experiment: Experiment) -> None:
        self._console = console
        self._experiment = experiment
        self._live = (
            Live(console=console, auto_refresh=False, transient=True)
            if console.is_terminal
            else None
        )
        self._ended: set[int] = set()
        self._running: set[int] = set()
        self._conditions: dict[str, str] = {}
        if self._live:
            self._live.start()

    def show(self, seen: Observation, found: Status) -> None:
        """Show the state after a pass."""
        self._tell_events(seen, found)
        if self._live:
            self._live.update(_picture(self._experiment, seen, found), refresh=True)

    def close(self) -> None:
        """Take the live picture away; the status that follows says it all."""
        if self._live:
            self._live.stop()

    def _say(self, text: str) -> None:
        say(self._console, f"{time.strftime('%H:%M:%S')} {text}")

    def _tell_events(self, seen: Observation, found: Status) -> None:
        """Say once what has changed; these lines stay above the live picture."""
        spec = self._experiment.spec
        for trial in seen.trials:
            if trial.state is State.RUNNING and trial.number not in self._running:
                self._running.add(trial.number)
                self._say(suggestion(spec, trial))
            if trial.state is not State.RUNNING and trial.number not in self._ended:
                self._ended.add(trial.number)
                self._say(f"{_name(trial)} {outcome(spec, trial)}")
        for condition in found.conditions:
            ordinary = condition.status == ORDINARY.get(condition.type)
            if self._conditions.get(condition.type) != condition.reason and not ordinary:
                self._conditions[condition.type] = condition.reason
                self._say(_condition(condition))


def say(console: Console, text: str) -> None:
    """Print one line, whole whatever the width and its characters."""
    console.print(Text(text), soft_wrap=True)


def suggestion(spec: Spec, trial: Trial) -> str:
    """Return what a trial tries, in one line: its size and the hyperparameters that vary."""
    count = trial.parameter_count
    size = f"{count:,} parameters; " if count is not None else ""
    if trial.continues is not None:
        return f"{_name(trial)} goes on from the checkpoint of trial {trial.continues}"
    return f"{_name(trial)} tries {size}{_varying(spec, trial.parameters)}"


def outcome(spec: Spec, trial: Trial) -> str:
    """Return how a trial ended, in one line."""
    values = _numbers(
        {o.metric: trial.metrics[o.metric] for o in spec.objectives if o.metric in trial.metrics}
    )
    verdict = feasibility.verdict(spec, trial)
    if verdict.feasible and verdict.reason != feasibility.DUPLICATE:
        return f"ended after {trial.seconds:.0f} s: {values}"
    return f"is {shown.state(spec, trial)} ({verdict.reason}): {verdict.message[:200]}; {values}"


def remaining_seconds(spec: Spec, seen: Observation) -> float | None:
    """Estimate the time until all trials have ended by those that have; None before the first."""
    ended = [trial.seconds for trial in seen.trials if trial.seconds > 0]
    if not ended:
        return None
    begun = {a.trial: seen.now - (a.started or seen.now) for a in seen.attempts if a.live}
    mean = sum(ended) / len(ended)
    work = mean * (spec.max_trials - seen.settled) - sum(min(age, mean) for age in begun.values())
    return max(0.0, work / spec.parallelism)


def budgets(spec: Spec) -> str:
    """Return what a search may use, in one line."""
    found = [f"{spec.max_trials} trials"]
    if spec.max_duration_seconds is not None:
        found.append(_duration(spec.max_duration_seconds))
    if spec.max_gpu_hours is not None:
        found.append(f"{spec.max_gpu_hours:g} GPU-hours")
    if spec.max_cost is not None:
        found.append(f"a cost of {spec.max_cost:g} at {spec.cost_per_gpu_hour:g} per GPU-hour")
    if spec.stagnation is not None:
        last = spec.stagnation.trials or "20 or a tenth of all"
        found.append(f"the last {last} trials bring less than {spec.stagnation.gain_percent:g} %")
    return f"ends at the first of: {', '.join(found)}"


def front_table(spec: Spec, points: Sequence[FrontPoint], knee: int | None) -> Table:
    """Return the front as a table: objectives, the two halves of exact, hyperparameters."""
    table = Table(title="Pareto front", title_justify="left")
    names = [o.metric for o in spec.objectives]
    names += [m for m in COLLAPSE if spec.data.unanswerable and m not in names]
    table.add_column("trial", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    tested = [
        o.metric
        for o in spec.objectives
        if o.metric != "parameter_count" and any(o.metric in point.test for point in points)
    ]
    for name in tested:
        table.add_column(f"{name} (test)", justify="right")
    varied = [o.metric for o in spec.objectives if o.metric != "parameter_count"]
    believed = [n for n in varied if any(_believed(point, n) for point in points)]
    again = [n for n in varied if any(_again(point, n) for point in points)]
    for name in believed:
        table.add_column(f"{name} (any seed)", justify="right")
    for name in again:
        table.add_column(f"{name} (other seeds)", justify="right")
    table.add_column("parameters", overflow="fold")
    for point in points:
        label = f"{point.trial}{' (knee)' if point.trial == knee else ''}"
        label += " (confirmed)" * (point.confirmation is not None and point.confirmation.confirmed)
        label += _origin(None, point.suggestion)
        shown = [
            _number(name, point.metrics[name]) if name in point.metrics else "" for name in names
        ]
        shown += [_number(name, point.test[name]) if name in point.test else "" for name in tested]
        shown += [_believed(point, name) for name in believed]
        shown += [_again(point, name) for name in again]
        settings = _varying(spec, point.parameters)
        table.add_row(
            label, *shown, f"{point.baseline}: {settings}" if point.baseline else settings
        )
    return table


def _believed(point: FrontPoint, name: str) -> str:
    """Write what is reported of a point, where that is not what was measured of its model."""
    value = point.values.get(name)
    return "" if value is None or value == point.metrics.get(name) else _number(name, value)


def _again(point: FrontPoint, name: str) -> str:
    """Write mean, spread and number of the trainings of a point with other seeds."""
    found = point.confirmation
    if found is None or name not in found.mean:
        return ""
    spread = f" ± {_number(name, found.deviation[name])}" if name in found.deviation else ""
    count = sum(bool(run.values) for run in found.runs)
    return f"{_number(name, found.mean[name])}{spread} ({count})"


def show_status(console: Console, experiment: Experiment, found: Status) -> None:
    """Print a status: conditions, counts, the front."""
    for condition in found.conditions:
        say(console, _condition(condition))
    say(console, _counts(found))
    say(console, _effort(found))
    if found.teacher:
        shown = ("exact", "f1", *COLLAPSE, "parameter_count")
        teacher = {name: found.teacher[name] for name in shown if name in found.teacher}
        say(console, f"teacher: {_numbers(teacher)}")
        if found.teacher_test:
            tested = {
                name: found.teacher_test[name] for name in shown if name in found.teacher_test
            }
            say(console, f"teacher on the test set: {_numbers(tested)}")
    for suggestion in found.suggestions:
        say(console, _suggested(suggestion))
    if found.front:
        console.print(front_table(experiment.spec, found.front, found.knee))


def _picture(experiment: Experiment, seen: Observation, found: Status) -> Group:
    spec = experiment.spec
    left = remaining_seconds(spec, seen)
    head = f"{experiment.metadata.name}: {_counts(found)}"
    if left is not None and found.completion_time is None:
        head += f", about {_duration(left)} left"
    parts: list[Text | Progress | Table] = [Text(head, style="bold")]
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.percentage:>3.0f} %")
    )
    for attempt in seen.attempts:
        if attempt.live:
            report = seen.reports.get(attempt.key)
            what = str(attempt.stage)
            if attempt.stage is not Stage.PREPARE:
                word = {Stage.TEST: "test of ", Stage.CONFIRM: "another seed of "}
                what = f"{word.get(attempt.stage, '')}trial {attempt.trial}"
            shown = report.metrics if report else {}
            metrics = {o.metric: shown[o.metric] for o in spec.objectives if o.metric in shown}
            step = f" step {report.step}/{report.steps}" if report and report.steps else ""
            ratio = report.progress if report else None
            bars.add_task(
                f"{what}{step} {_numbers(metrics)}", completed=round(100 * (ratio or 0.0))
            )
    parts.append(bars)
    if found.front:
        parts.append(front_table(spec, found.front[:12], found.knee))
    return Group(*parts)


def _counts(found: Status) -> str:
    t = found.trials
    ended = t.total - t.running - t.pending
    return (
        f"{ended} trials ended ({t.completed} feasible, {t.infeasible} infeasible,"
        f" {t.stopped} stopped,"
        f" {t.failed} failed), {t.running} running, front {found.front_size}"
    )


def _effort(found: Status) -> str:
    """Write what was used: in all, for each point of the front, and of the budgets."""
    cost = "" if found.cost is None else f", cost {found.cost:g}"
    if found.cost_per_front_point is not None:
        cost += f" ({found.cost_per_front_point:g} for each point of the front)"
    each = found.gpu_hours_per_front_point
    hours = f", {found.gpu_hours:g} GPU-hours" if found.gpu_hours else ""
    hours += f" ({each:g} for each point of the front)" if found.gpu_hours and each else ""
    spent = ", ".join(f"{b.used:g} of {b.limit:g} {b.name}" for b in found.budgets)
    return f"used {_duration(found.compute_seconds)} of run time{hours}{cost}; budgets: {spent}"


def _suggested(suggestion: SuggestionValues) -> str:
    """Write how a suggestion of a person stands."""
    where = "" if suggestion.trial is None else f" as trial {suggestion.trial}"
    values = f": {_numbers(suggestion.values)}" if suggestion.values else ""
    return f"suggested by hand: {suggestion.name} is {suggestion.state}{where}{values}"


def _condition(condition: Condition) -> str:
    return f"{condition.type}={condition.status} {condition.reason}: {condition.message}"


def _name(trial: Trial) -> str:
    return f"trial {trial.number}" + _origin(trial.baseline, trial.by_hand)


def _origin(baseline: str | None, suggestion: str | None) -> str:
    """Say of a trial that no sampler suggested who did."""
    if baseline:
        return f" (baseline {baseline})"
    if suggestion is None:
        return ""
    return f" (suggested by hand: {suggestion})" if suggestion else " (suggested by hand)"


def _varying(spec: Spec, parameters: Mapping[str, object]) -> str:
    """Write the hyperparameters that are not the same for all trials."""
    fixed = spec.training
    return _numbers({k: v for k, v in parameters.items() if k not in fixed or v != fixed[k]})


def _numbers(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_number(name, value)}" for name, value in values.items())


def _number(name: str, value: object) -> str:
    if name == "parameter_count" and isinstance(value, int | float):
        return f"{value:,.0f}"
    if name in EVALUATIONS and isinstance(value, float):
        return f"{value:.2f}" if EVALUATIONS[name].unit == "percent" else f"{value:.4g}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
