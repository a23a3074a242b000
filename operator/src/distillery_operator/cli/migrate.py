"""``distillery migrate``: all studies of a database brought to this release."""

from collections.abc import Callable
from contextlib import closing

from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.study import migration
from distillery_operator.study.database import Database

Say = Callable[[str], None]


def migrate(url: str, say: Say, complain: Say) -> bool:
    """Bring all studies of a database to this release; tell whether all could be.

    Args:
        url: of the database.
        say: gets a line for each study that was brought to this release, and a last one.
        complain: gets a line for each that could not be, or for the database.
    """
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
