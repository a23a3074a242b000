"""The command `distillery`: its commands put together, and what goes wrong as a sentence."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from distillery_operator.cli import (
    completion,
    dashboard,
    exit_codes,
    export,
    migrate,
    operator,
    options,
    output,
    plan,
    prune,
    report,
    run,
    status,
    suggest,
    try_on_cluster,
)
from distillery_operator.cli.exit_codes import Exit
from distillery_operator.errors import DistilleryError, InvalidExperiment, Unusable

MOST: Final = 200
"""Characters of a command's first sentence in the list of commands: all of them."""


class Commands(click.Group):
    """Commands that are listed in their order, with whole sentences, and what exit codes mean."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names in the order in which they were added."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write their names, each with the first sentence of its help."""
        told = [(name, c.get_short_help_str(MOST)) for name, c in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(told)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in exit_codes.MEANINGS.items()])


@click.group("distillery", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--workspace",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="folder that an experiment's paths are relative to, and that has the results"
    " (default: the current folder)",
)
@click.option(
    "--trainer",
    type=options.Words(),
    help="command of a trainer that speaks the contract (default: Distillery's own)",
)
@click.version_option(package_name="distillery-operator")
@click.pass_context
def distillery(context: click.Context, workspace: Path, trainer: Sequence[str] | None) -> None:
    """Search for the best small models, and look at what was found."""
    context.obj = options.Place(workspace, trainer)


for _command in (
    run.command,
    plan.command,
    status.command,
    report.command,
    export.command,
    suggest.command,
    operator.command,
    try_on_cluster.command,
    dashboard.command,
    migrate.command,
    prune.command,
    completion.command,
):
    distillery.add_command(_command)


def main() -> int:
    """Run the command that the command line names; return the exit code."""
    output.open_up()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        code: int = distillery.main(prog_name="distillery", standalone_mode=False)
        output.finish()
    except SystemExit as ended:  # click's, after a completion or where nobody reads the help
        return Exit.REFUSED if ended.code else Exit.DONE
    except Exception as error:
        code = _told(error)
        with contextlib.suppress(Unusable):
            output.finish()
    return code


def _told(error: Exception) -> Exit:
    """Tell a person what went wrong; return the exit code."""
    match error:
        case click.Abort():
            return Exit.INTERRUPTED
        case click.ClickException():
            error.show()
        case InvalidExperiment(faults=faults):
            rules = "1 rule" if len(faults) == 1 else f"{len(faults)} rules"
            output.complain(f"{error.origin} breaks {rules}:\n{error}")
        case DistilleryError():
            output.complain(str(error))
        case OSError(filename=path, strerror=words):
            output.complain(f"{path}: {words}" if path else words or str(error))
        case _:
            traceback.print_exception(error)
            output.complain("this is a fault of distillery itself; please report it")
            return Exit.FAULT
    return Exit.REFUSED


if __name__ == "__main__":
    sys.exit(main())
