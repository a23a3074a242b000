"""``distillery plan``: what an experiment would do, without running it."""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distillery_operator.cli import options
from distillery_operator.cli.exit_codes import Exit
from distillery_operator.errors import InvalidExperiment, NotFound

if TYPE_CHECKING:
    from distillery_contract.size import Architecture
    from distillery_operator.cli.student_sizes import Sizes
    from distillery_operator.resource.experiment import Experiment
    from distillery_operator.resource.spec import Spec
    from distillery_operator.trials.trial import Trial


@click.command("plan")
@options.experiment_file
@click.option(
    "--suggestions",
    type=click.IntRange(0),
    metavar="NUMBER",
    default=5,
    help="first suggestions to show (default: 5)",
)
@click.pass_obj
def command(place: options.Place, file: str, suggestions: int) -> Exit:
    """Check an experiment and show what it would do, without running it."""
    from distillery_operator.cli import student_sizes, terminal
    from distillery_operator.search import optuna_samplers

    _, experiment = options.read(file)
    if faults := optuna_samplers.lacking(experiment.spec):
        raise InvalidExperiment(faults)
    console, trainer = terminal.console(), place.find_trainer()
    name = experiment.metadata.name
    terminal.say(console, f"{options.called(file)}: {name} is a valid DistillationExperiment")
    console.print(_filled_in(experiment), end="", markup=False)
    sources = _describe(experiment, place.workspace, trainer)
    for line in _sizes(student_sizes.of(experiment.spec, sources)):
        terminal.say(console, line)
    trials = asyncio.run(_first(experiment, sources, suggestions, time.time()))
    for line in _search(experiment.spec, trials):
        terminal.say(console, line)
    return Exit.DONE


def _filled_in(experiment: "Experiment") -> str:
    """Return the spec as YAML, with every default."""
    from distillery_operator.resource import yaml_files

    return yaml_files.dump(
        experiment.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    )


def _sizes(sizes: "Sizes") -> Iterator[str]:
    """Say how large the students of the space are."""
    if sizes.smallest is not None:
        yield f"students have {sizes.smallest:,} to {sizes.largest:,} parameters"
    for sentence in sizes.impossible:
        yield f"part of the space describes no student: {sentence}"


def _search(spec: "Spec", trials: "Sequence[Trial]") -> Iterator[str]:
    """Say what the search does first, and when it ends."""
    from distillery_operator.cli import terminal
    from distillery_operator.resource import space
    from distillery_operator.resource.sampler import SamplerType

    if share := spec.data.test_share:
        yield (
            f"at least {share:.0%} of the validation questions, in whole articles, are set apart as"
            " test questions: the search measures on the others"
        )
    if spec.sampler.type is SamplerType.GRID:
        yield f"the grid has {space.grid_size(spec)} points"
    for source in spec.warm_start_from:
        yield f"the trials of {source.experiment} inform the sampler, if they fit"
    yield terminal.budgets(spec)
    yield f"the first {len(trials)} of {spec.max_trials} trials:"
    for trial in trials:
        yield terminal.suggestion(spec, trial)


def _describe(
    experiment: "Experiment", workspace: Path, trainer: Sequence[str]
) -> "Mapping[str, Architecture]":
    """Ask the trainer for the dimensions of the models that an experiment names.

    Raises:
        NotFound: they cannot be read; the message is the trainer's.
    """
    from distillery_contract import wire
    from distillery_contract.request import Stage
    from distillery_operator.engine import requests
    from distillery_operator.engine.actions import Launch
    from distillery_operator.measurements import exposition

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
            errors="replace",
            check=False,
        )
        told = Path(message.name).read_text(encoding="utf-8", errors="replace")
    report = exposition.parse(told, exposition.TERMINATION_MESSAGE)
    if ended.returncode != wire.Exit.OK or report is None or "teacher" not in report.sources:
        said = (report.message if report else "") or ended.stderr.strip()[-500:]
        raise NotFound(f"the models cannot be read: {said or 'the trainer says nothing of them'}")
    return report.sources


async def _first(
    experiment: "Experiment", sources: "Mapping[str, Architecture]", count: int, now: float
) -> "tuple[Trial, ...]":
    """Return the first trials: baselines, then what the sampler suggests."""
    from distillery_operator.study import study
    from distillery_operator.trials.observation import Preparation

    with tempfile.TemporaryDirectory() as folder:
        async with study.in_file(Path(folder) / "study.db", experiment, now) as kept:
            await kept.keep(Preparation("planned", {}, sources))
            await kept.ask(experiment.spec, min(count, experiment.spec.max_trials), now)
            _, _, trials = await kept.load()
    return trials
