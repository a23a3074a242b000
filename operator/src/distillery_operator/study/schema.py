"""EDGE: where the tables of an experiment are, made where there are none; which Optuna's they are.

Called by :mod:`distillery_operator.study.tables`, within a transaction.
"""

import functools
from typing import Final

import optuna
import sqlalchemy
from sqlalchemy import Connection, bindparam, func, select, text
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateSchema

from distillery_operator.internals import of_optuna
from distillery_operator.internals.of_optuna import VERSION

SEARCH_PATH: Final = select(func.set_config("search_path", bindparam("schema"), True))
"""Says which schema the tables of this transaction are in."""


def version(connection: Connection) -> str | None:
    """Return the version of the tables that are there; None if there are none."""
    if not sqlalchemy.inspect(connection).has_table(VERSION.name):
        return None
    found: str | None = connection.execute(select(VERSION.c.version_num)).scalar()
    return found


def make(connection: Connection, schema: str | None) -> None:
    """Make the tables of a schema, or of a file of their own."""
    if schema is None:  # readers such as `distillery report` never block the writer
        connection.execute(text("PRAGMA journal_mode=WAL"))
    elif not sqlalchemy.inspect(connection).has_schema(schema):
        connection.execute(CreateSchema(schema))
    of_optuna.make_tables(connection, current())


@functools.cache
def current() -> str:
    """Return the version of the tables that this Optuna makes."""
    made = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"poolclass": StaticPool})
    try:
        return made.get_current_version()
    finally:
        made.engine.dispose()
