"""EDGE: a PostgreSQL server: connections to it, and what each transaction there begins with.

Whatever a transaction needs is said in it and ends with it: a pooler such as PgBouncer gives each
transaction another connection of the server, and takes no settings from whoever connects.
"""

from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import psycopg
import sqlalchemy
from sqlalchemy import Connection
from sqlalchemy.engine import URL

from distillery_operator.errors import DatabaseUnavailable

PATIENCE: Final = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}
"""Of a transaction, where nobody else has set a limit: nothing waits for ever, also not for the
locks of a process whose machine is gone."""

BEGIN: Final = "SELECT set_config('search_path', %(schema)s, true), " + ", ".join(
    f"set_config('{name}', CASE current_setting('{name}') WHEN '0' THEN '{value}'"
    f" ELSE current_setting('{name}') END, true)"
    for name, value in PATIENCE.items()
)
"""Says in which schema the tables of this transaction are, and how long it waits."""

WRITABLE: Final = "current_setting('transaction_read_only') = 'off'"

CHECK_SECONDS: Final = 2
"""Time that each host of the URL has to take a connection which only asks whether it answers."""

STANDBY: Final = (
    "it is read-only, as a standby is, or a primary that another server has replaced; a server that"
    " may be written to is waited for"
)


class Server:
    """A server, or several of which one may be written to.

    Attributes:
        url: of the database.
        engine: connections that all experiments share.
    """

    def __init__(self, url: URL, current: Callable[[], URL], connections: int) -> None:
        """Prepare the connections; none is made before it is used.

        Args:
            url: of the database.
            current: returns the URL as it is now; each connection asks for its user and password.
            connections: the most that are open at once.
        """
        self.url, self._current = url, current
        self.engine = sqlalchemy.create_engine(
            self.url,
            creator=self.connect,
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
        )

    def connect(self, **settings: Any) -> psycopg.Connection:
        """Return a new connection, which the pool does not know.

        Args:
            settings: of this connection, instead of the URL's.
        """
        now = self._current()
        url = self.url.set(username=now.username, password=now.password)
        _, parameters = self.engine.dialect.create_connect_args(url)
        # A prepared statement keeps to the enumeration types of the schema it was made in.
        return psycopg.connect(**{**parameters, "prepare_threshold": None, **settings})

    def check(self) -> None:
        """Ask whether the server answers and may be written to, over a connection of its own.

        Raises:
            DatabaseUnavailable: it does not, or may not.
        """
        try:
            with closing(self.connect(connect_timeout=CHECK_SECONDS)) as connection:
                found = connection.execute(f"SELECT {WRITABLE}").fetchone()
        except psycopg.Error as error:
            raise unavailable(self.url, str(error)) from error
        if found != (True,):
            raise unavailable(self.url, STANDBY)


def begin(connection: Connection, schema: str) -> None:
    """Begin a transaction on the tables of a schema.

    What a standby has may be old: it must be neither believed nor written to.

    Raises:
        DatabaseUnavailable: the server is one.
    """
    begun = f"{BEGIN}, {WRITABLE} AS writable"
    if not connection.exec_driver_sql(begun, {"schema": schema}).one().writable:
        connection.invalidate()  # the next one may lead to another server
        raise unavailable(connection.engine.url, STANDBY)


def unavailable(url: URL, words: str) -> DatabaseUnavailable:
    """Return the error of a database, its password hidden."""
    hosts = {"host": url.query["host"]} if "host" in url.query else {}
    place = url.set(query=hosts).render_as_string(hide_password=True)
    line = " ".join(words.split())
    return DatabaseUnavailable(f"the database {place} cannot be used: {line}")
