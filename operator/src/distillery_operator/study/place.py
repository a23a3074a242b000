"""EDGE: where the tables of one experiment are: a schema on a server, or a file of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, Table, bindparam, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.study import statements

SEARCH_PATH: Final = select(func.set_config("search_path", bindparam("schema"), True))
"""Says which schema the tables of this transaction are in."""


class Place:
    """A schema or a file. Every method blocks.

    Attributes:
        key: what tells this place from others of the same process.
        schema: None in a file.
    """

    def __init__(self, engine: Engine, schema: str | None) -> None:
        self._engine = engine
        self.schema = schema
        self.key = schema or str(engine.url.database)

    @property
    def url(self) -> URL:
        """Return the URL of the database."""
        return self._engine.url

    @property
    def there(self) -> bool:
        """Tell whether to connect would make no file."""
        return self.schema is not None or Path(self.key).exists()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Do all of a block or nothing of it."""
        with self.translated(), self._engine.begin() as connection:
            if self.schema is not None:
                connection.execute(SEARCH_PATH, {"schema": self.schema})
            yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise DatabaseUnavailable for what the database says in a block."""
        try:
            yield
        except DBAPIError as error:
            raise self.unavailable(str(error.orig)) from error

    def put(self, connection: Connection, table: Table, rows: statements.Rows) -> None:
        """Insert rows; one that is there already gets the new values."""
        if rows:
            server = self.schema is not None
            connection.execute(statements.upsert(table, server, tuple(rows[0])), rows)

    def close(self) -> None:
        """Give back a connection that is this place's own."""
        if self.schema is None:
            self._engine.dispose()

    def unavailable(self, words: str) -> DatabaseUnavailable:
        """Return the error of this database."""
        return unavailable(self.url, words)


def unavailable(url: URL, words: str) -> DatabaseUnavailable:
    """Return the error of a database, its password hidden."""
    place = url.set(query={}).render_as_string(hide_password=True)
    line = " ".join(words.split())
    return DatabaseUnavailable(f"the database {place} cannot be used: {line}")
