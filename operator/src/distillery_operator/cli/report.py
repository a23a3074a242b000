"""``distillery report``: an experiment's report as one HTML file. A run ends with one too."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from distillery_operator.cli import chosen_results, options
from distillery_operator.cli import output as stdout
from distillery_operator.cli.exit_codes import Exit
from distillery_operator.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distillery_contract.size import Architecture
    from distillery_operator.resource.experiment import Experiment
    from distillery_operator.resource.status import Status
    from distillery_operator.results.results import Results
    from distillery_operator.trials.trial import Trial


@click.command("report", epilog=chosen_results.LOOKING)
@click.option(
    "-o",
    "--output",
    type=click.Path(allow_dash=True),
    help="file to write, or - for standard output (default: report.html in the results; of a"
    " cluster, NAME.html)",
)
@chosen_results.experiment_name
@chosen_results.options
def command(results: "Results", output: str | None) -> Exit:
    """Write an experiment's report as one HTML file."""
    from distillery_operator.cli import terminal

    if reason := lack():
        raise MissingExtra(reason)
    (experiment, found), (sources, trials) = results.look(), results.studied()
    text = render(experiment, found, trials, sources)
    if output == "-":
        stdout.write(text)
        return Exit.DONE
    path = Path(output) if output else results.report
    write(path, text)
    terminal.say(terminal.console(), str(path))
    return Exit.DONE


def lack() -> str:
    """Say what has to be installed before a report can be written; nothing if it is there."""
    return options.lack("report", "plotly")


def write(path: Path, text: str) -> None:
    """Write a report, whole or not at all."""
    from distillery_operator.resource import files

    files.write(path, text)


def render(
    experiment: "Experiment",
    found: "Status",
    trials: "tuple[Trial, ...]",
    sources: "Mapping[str, Architecture]",
) -> str:
    """Return a report as HTML; ``sources``: what students start from, as far as it is known."""
    from distillery_operator.report import page
    from distillery_operator.search import importance

    known = importance.importances(experiment.spec, trials, sources)
    return page.render(experiment, found, trials, known)
