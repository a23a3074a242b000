"""EDGE: the tables of an experiment as a whole: how they are made, and which Optuna's they are."""

import functools
import logging
from typing import Final

import optuna
import psycopg
import sqlalchemy
from sqlalchemy import Connection, Table, select, text
from sqlalchemy.pool import NullPool, StaticPool
from sqlalchemy.schema import CreateSchema

from distillery_operator.internals import of_optuna
from distillery_operator.internals.of_optuna import VERSION
from distillery_operator.study.server import BEGIN, Server

READ_ONLY: Final = f"{BEGIN}, set_config('transaction_read_only', 'on', true)"

log = logging.getLogger(__name__)


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


def current() -> str:
    """Return the version of the tables that this Optuna makes."""
    return _versions()[0]


def older(version: str) -> bool:
    """Tell whether tables are of an earlier Optuna, so that this one can bring them up."""
    return version in _versions()[1:]


def obstacle(connection: Connection, version: str) -> str:
    """Return why tables of a later Optuna cannot be used; nothing if they can.

    They are not known here, but what is read and written may be there all the same, as after a
    release was rolled back.
    """
    found = sqlalchemy.inspect(connection)
    for table in of_optuna.TABLES:
        if not found.has_table(table.name):
            return f"a later Optuna (tables of version {version}) has no table {table.name}"
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        if missing := sorted(_names(table) - columns.keys()):
            return f"a later Optuna (version {version}) has no {table.name}.{missing[0]}"
        for name in sorted(columns.keys() - _names(table)):
            column = columns[name]
            if not column["nullable"] and column["default"] is None:
                return f"a later Optuna (version {version}) needs a {table.name}.{name}"
    log.warning("tables of version %s are later than those of this release, %s", version, current())
    return ""


def as_optuna(server: Server, schema: str) -> optuna.storages.RDBStorage:
    """Return the tables of a schema as Optuna knows them, whatever their version, to read them."""

    def begin(connection: psycopg.Connection, *_: object) -> None:
        """Begin the one transaction for which Optuna takes a connection."""
        connection.execute(READ_ONLY, {"schema": schema})

    address = server.url.render_as_string(hide_password=False)
    return optuna.storages.RDBStorage(
        address.replace("{", "{{").replace("}", "}}"),  # it is a template
        engine_kwargs={
            "creator": server.connect,
            "poolclass": NullPool,
            "pool_events": [(begin, "checkout")],  # it connects before it shows its engine
            "hide_parameters": True,
        },
        skip_compatibility_check=True,
        skip_table_creation=True,
    )


@functools.cache
def _versions() -> tuple[str, ...]:
    """Return the versions of tables that this Optuna knows, its own first."""
    made = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"poolclass": StaticPool})
    try:
        return tuple(made.get_all_versions())
    finally:
        made.engine.dispose()


def _names(table: Table) -> set[str]:
    return {column.name for column in table.columns}
