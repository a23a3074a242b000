"""What an experiment would do, without running it: sizes of its space and first suggestions."""

import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distillery_contract import size, wire
from distillery_contract.parameters import Kind, Value
from distillery_contract.request import Stage
from distillery_contract.size import Architecture
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.errors import NotFound
from distillery_operator.measurements import exposition
from distillery_operator.resource import space
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.spec import Spec
from distillery_operator.study import study
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.trial import Trial

SHAPING = ("initialization", "n_layers", "n_heads", "hidden_size")
"""The hyperparameters that decide a student's size."""


@dataclass(frozen=True)
class Plan:
    """What would happen.

    Attributes:
        smallest, largest: parameter counts at the ends of the search space; None if it describes no
            student at all.
        impossible: one sentence per kind of shape in the space that describes no student.
        suggestions: the first trials: baselines, then the sampler's.
    """

    smallest: int | None
    largest: int | None
    impossible: tuple[str, ...]
    suggestions: tuple[Trial, ...]


async def plan(
    experiment: Experiment, workspace: Path, trainer: Sequence[str], count: int, now: float
) -> Plan:
    """Work out the plan.

    Raises:
        NotFound: the teacher or the student model cannot be read; the message is the trainer's.
    """
    sources = describe(experiment, workspace, trainer)
    sizes, impossible = sizes_of(experiment.spec, sources)
    with tempfile.TemporaryDirectory() as folder:
        async with study.in_file(Path(folder) / "study.db", experiment, now) as kept:
            await kept.keep(Preparation("planned", {}, sources))
            await kept.ask(experiment.spec, min(count, experiment.spec.max_trials), now)
            _, _, trials = await kept.load()
    return Plan(min(sizes, default=None), max(sizes, default=None), impossible, trials)


def describe(
    experiment: Experiment, workspace: Path, trainer: Sequence[str]
) -> Mapping[str, Architecture]:
    """Ask the trainer for the dimensions of the models that an experiment names.

    Raises:
        NotFound: they cannot be read; the message is the trainer's.
    """
    request = requests.order(experiment, Launch(Stage.DESCRIBE, 0, 1))
    with tempfile.NamedTemporaryFile() as message:
        environment = {
            **os.environ,
            wire.REQUEST: request.to_json(),
            wire.METRICS_PORT: "0",
            wire.TERMINATION_MESSAGE: message.name,
        }
        ended = subprocess.run(
            trainer,
            cwd=workspace,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        report = exposition.parse(Path(message.name).read_text(), exposition.TERMINATION_MESSAGE)
    if ended.returncode != wire.Exit.OK or report is None:
        said = (report.message if report else "") or ended.stderr.strip()[-500:]
        raise NotFound(f"the models cannot be read: {said}")
    return report.sources


def sizes_of(spec: Spec, sources: Mapping[str, Architecture]) -> tuple[list[int], tuple[str, ...]]:
    """Return the parameter counts of all shapes in the space, and why some describe no student."""
    counts, impossible = [], []
    for shape in _shapes(spec):
        try:
            counts.append(size.student_size(sources, space.described(spec, shape)))
        except ValueError as error:
            impossible.append(str(error))
    return counts, tuple(sorted(set(impossible)))


def _shapes(spec: Spec) -> Iterator[dict[str, Value]]:
    axes = [parameter for parameter in spec.parameters if parameter.name in SHAPING]
    for values in itertools.product(*(_axis(parameter) for parameter in axes)):
        yield {axis.name: value for axis, value in zip(axes, values, strict=True)}


def _axis(parameter: Parameter) -> list[Value]:
    if parameter.type is Kind.CATEGORICAL:
        return list(parameter.choices or [])
    assert parameter.low is not None
    assert parameter.high is not None
    return list(range(int(parameter.low), int(parameter.high) + 1, int(parameter.step or 1)))
