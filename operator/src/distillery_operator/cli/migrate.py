"""``distillery migrate``: all studies of a database brought to this release."""

from collections.abc import Callable
from contextlib import closing

import click

from distillery_operator.cli import options, output
from distillery_operator.cli.exit_codes import Exit
from distillery_operator.errors import DatabaseUnavailable

Say = Callable[[str], None]


@click.command("migrate")
@click.option("--lenient", is_flag=True, help="exit with 0 even if a study could not be migrated")
def command(lenient: bool) -> Exit:
    """Migrate all studies of a database to this release, before its operator starts.

    The environment variable DISTILLERY_DATABASE_URL has the URL of the studies' database.
    """
    from distillery_operator.cli import terminal

    console = terminal.console()
    done = _migrate(options.database(), lambda line: terminal.say(console, line), output.complain)
    return Exit.DONE if done or lenient else Exit.REFUSED


def _migrate(url: str, say: Say, complain: Say) -> bool:
    """Bring all studies of a database to this release; tell whether all could be.

    Args:
        url: of the database.
        say: gets a line for each study that was brought to this release, and a last one.
        complain: gets a line for each that could not be, or for the database.
    """
    from distillery_operator.study import migration
    from distillery_operator.study.database import Database

    count = failed = 0
    with closing(Database(url, 1)) as database:
        try:
            for outcome in migration.every(database.places()):
                count += 1
                failed += bool(outcome.fault)
                if outcome.fault:
                    complain(f"{outcome.key}: {outcome.fault}")
                elif outcome.done:
                    say(f"{outcome.key}: {'; '.join(outcome.done)}")
        except DatabaseUnavailable as error:
            complain(str(error))
            return False
    say(f"{count - failed} of {count} studies are of this release")
    return failed == 0
