"""``distillery export``: a trial's model as a folder that transformers loads."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from distillery_operator.cli import chosen_results
from distillery_operator.cli.exit_codes import Exit

if TYPE_CHECKING:
    from distillery_operator.results.results import Results


@click.command("export", epilog=chosen_results.LOOKING)
@click.argument("trial", type=click.IntRange(0, 99_999_999), help="number of the trial")
@click.argument(
    "folder", type=click.Path(path_type=Path), help="folder to make; it must not exist yet"
)
@chosen_results.options
def command(results: "Results", trial: int, folder: Path) -> Exit:
    """Copy a trial's model into a folder that transformers loads."""
    from distillery_operator.cli import terminal
    from distillery_operator.results.results import export

    export(results, trial, folder)
    terminal.say(
        terminal.console(), f"{folder}: AutoModelForQuestionAnswering.from_pretrained loads it"
    )
    return Exit.DONE
