"""``distillery status``: how an experiment stands."""

from typing import TYPE_CHECKING

import click

from distillery_operator.cli import chosen_results
from distillery_operator.cli.exit_codes import Exit

if TYPE_CHECKING:
    from distillery_operator.results.results import Results


@click.command("status", epilog=chosen_results.LOOKING)
@chosen_results.experiment_name
@chosen_results.options
def command(results: "Results") -> Exit:
    """Print the status of an experiment."""
    from distillery_operator.cli import terminal

    experiment, found = results.look()
    terminal.show_status(terminal.console(), experiment, found)
    return Exit.DONE
