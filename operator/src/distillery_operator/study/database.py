"""EDGE: the database of a process: connections, and a place for each experiment."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import optuna
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from distillery_operator.errors import DatabaseUnavailable, DistilleryError
from distillery_operator.resource.experiment import study_of
from distillery_operator.study import schema, server
from distillery_operator.study.place import Place
from distillery_operator.study.server import Server
from distillery_operator.study.tables import Storage

DRIVERS: Final = ("postgresql", "postgres", "postgresql+psycopg")
DEFAULTS: Final = {
    "application_name": "distillery",
    "connect_timeout": "10",
    "tcp_user_timeout": "30000",
}
"""Of a connection to a server, where the URL says nothing else: nothing waits for ever."""

HOSTS: Final = re.compile(
    r"(postgres\w*(?:\+psycopg)?://(?:[^/@]*@)?)([^/@?]+(?:,[^/@?]+)+)([^?]*)\??(.*)"
)
"""A URL with several hosts, as libpq writes it."""

BUSY_SECONDS: Final = 60.0
"""How long SQLite waits for another process, such as a report that reads."""

SCHEMAS: Final = (
    "SELECT nspname FROM pg_namespace WHERE nspname ~ '^exp_[0-9a-f]{32}$' ORDER BY nspname"
)
"""Those of all experiments."""

FILE: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""What the file of an experiment is called: by its uid."""

READABLE: Final = (
    "SELECT substr(nspname, 5) FROM pg_namespace"
    " WHERE nspname ~ '^exp_[0-9a-f]{32}$' AND has_schema_privilege(oid, 'USAGE')"
    " AND EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_namespace.oid"
    " AND relname = 'trials' AND has_table_privilege(pg_class.oid, 'SELECT')) ORDER BY nspname"
)
"""The experiments whose tables may be read."""


class Database:
    """The database of a process's studies.

    A server has one schema per experiment, for one search is slowed down by another in the same
    tables; a folder has one SQLite file per experiment. All experiments share the connections to a
    server, so that their number is that of the threads at work and not that of experiments.
    """

    def __init__(self, url: str | Callable[[], str], connections: int) -> None:
        """Prepare the connections; none is made before it is used.

        Args:
            url: of a PostgreSQL database or, as ``sqlite:////folder``, of a folder. If a function
                returns it, each connection to a server asks again for its user and password.
            connections: the most that are open at once.

        Raises:
            DatabaseUnavailable: the URL is none of these.
        """
        self._source = url
        self._url, self._server = self._current(), None
        if self._url.drivername == "sqlite":
            _make_folder(Path(str(self._url.database)))
        else:
            self._server = Server(self._url, self._current, connections)

    def storage(self, uid: str) -> "Storage":
        """Return the place of the experiment with this uid."""
        identifier = uuid.UUID(uid)
        if self._server is None:
            return of_file(Path(str(self._url.database)) / f"{identifier}.db")
        return Storage(Place(self._server.engine, f"exp_{identifier.hex}"))

    def check(self) -> None:
        """Ask whether the database answers, over a connection apart from the studies'.

        Raises:
            DatabaseUnavailable: it does not.
        """
        if self._server is not None:  # else a file is there, or is made
            self._server.check()

    def storage_of(self, metadata: Mapping[str, Any]) -> "Storage":
        """Return the place of an experiment's study, given its metadata as of an API server.

        If an annotation names the study, that must be one which this experiment made: whoever may
        write an annotation must not read what is another's.
        """
        study, own = study_of(metadata), str(metadata["uid"])
        place = self.storage(study)
        if study == own:
            return place
        return place.only_of(str(metadata["namespace"]), str(metadata["name"]))

    def readable(self) -> list[str]:
        """Return the uids of the experiments that have tables which this user may read."""
        if self._server is None:
            raise DatabaseUnavailable("only a PostgreSQL server can list its experiments")
        return [str(uuid.UUID(found)) for found in self._names(self._server, READABLE)]

    def places(self) -> Iterator[Place]:
        """Yield where the tables of each experiment are; each is to be closed."""
        for _, place in self.named_places():
            yield place

    def named_places(self) -> Iterator[tuple[str, Place]]:
        """Yield the uid that each study is named by and where its tables are, which is closed."""
        if self._server is None:
            for file in sorted(Path(str(self._url.database)).glob("*.db")):
                if re.fullmatch(FILE, file.stem):
                    yield file.stem, _file(file)
            return
        for name in self._names(self._server, SCHEMAS):
            yield str(uuid.UUID(name.removeprefix("exp_"))), Place(self._server.engine, name)

    def reader(self, uid: str) -> optuna.storages.RDBStorage:
        """Return the tables of an experiment as Optuna knows them; nothing can be written."""
        if self._server is None:
            raise DatabaseUnavailable("only the tables of a PostgreSQL server are read so")
        return schema.as_optuna(self._server, f"exp_{uuid.UUID(uid).hex}")

    def close(self) -> None:
        """Give the connections back."""
        if self._server is not None:
            self._server.engine.dispose()

    def _names(self, of: Server, statement: str) -> list[str]:
        """Return what a statement finds, also on a server that may only be read."""
        try:
            with of.engine.begin() as connection:
                connection.exec_driver_sql(server.BEGIN, {"schema": ""})
                return list(connection.exec_driver_sql(statement).scalars())
        except DBAPIError as error:
            raise server.unavailable(of.url, str(error.orig)) from error

    def _current(self) -> URL:
        """Return the URL as it is now."""
        if isinstance(self._source, str):
            return _parse(self._source)
        try:
            return _parse(self._source())
        except DistilleryError as error:  # whoever gives it cannot, for now
            raise DatabaseUnavailable(str(error)) from error


def of_file(path: Path) -> Storage:
    """Return the place in a SQLite file, which is made if it is not there."""
    return Storage(_file(path))


def _file(path: Path) -> Place:
    url = URL.create("sqlite", database=str(path), query={"timeout": str(BUSY_SECONDS)})
    return Place(sqlalchemy.create_engine(url, pool_size=1, max_overflow=0), None)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailable(f"the folder of the studies cannot be made: {error}") from error


def _parse(address: str) -> URL:
    """Read the URL of a database. What is wrong with it is said without what may be a password."""
    if many := HOSTS.fullmatch(address):
        user, hosts, database, query = many.groups()
        listed = [f"host={host}" for host in hosts.split(",")]
        address = f"{user}{database}?{'&'.join([*listed, *filter(None, [query])])}"
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        url = URL.create("")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    # An @ in a host is the rest of a password that was not quoted.
    if url.drivername in DRIVERS and url.database and "@" not in (url.host or ""):
        return url.set(drivername="postgresql+psycopg", query={**DEFAULTS, **url.query})
    raise DatabaseUnavailable(
        "a database URL must be postgresql://user:password@host:port/database, special characters"
        " of the password percent-encoded, or sqlite:////folder, but got another"
        + (f" that begins with {url.drivername}:" if url.drivername else "")
    )
