"""EDGE: where the tables of one experiment are: a schema on a server, or a file of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import DBAPIError

from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.study import server, statements


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
    def there(self) -> bool:
        """Tell whether to connect would make no file."""
        return self.schema is not None or Path(self.key).exists()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Do all of a block or nothing of it."""
        with self.translated(), self._engine.begin() as connection:
            if self.schema is not None:
                server.begin(connection, self.schema)
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
            upsert = statements.upsert(table, self.schema is not None, tuple(rows[0]))
            connection.execute(upsert, rows)

    def close(self) -> None:
        """Give back a connection that is this place's own."""
        if self.schema is None:
            self._engine.dispose()

    def unavailable(self, words: str) -> DatabaseUnavailable:
        """Return the error of this database."""
        return server.unavailable(self._engine.url, words)
