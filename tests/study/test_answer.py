"""Whether the database answers, whatever is in it."""

import signal

import pytest

from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.study.database import Database
from support.postgres import Postgres


def test_a_server_answers_without_any_study_and_not_while_it_is_away(postgresql: Postgres) -> None:
    database = Database(postgresql.url(), 1)
    try:
        database.check()
        postgresql.stop(signal.SIGINT)
        with pytest.raises(DatabaseUnavailable):
            database.check()
        postgresql.start()
        database.check()
    finally:
        database.close()
