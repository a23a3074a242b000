"""Connections to a PostgreSQL server: as whom, how it is known, and what a transaction may take."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from distillery_operator.errors import DatabaseUnavailable, NotFound
from distillery_operator.study.database import Database
from distillery_operator.study.place import Place
from distillery_operator.study.study import Study
from distillery_operator.study.workers import Workers
from distillery_operator.trials.trial import State
from support import ports, postgres, worlds
from support.certificates import make
from support.postgres import Postgres

SPEC = ports.EXPERIMENT.spec


@pytest.fixture
def url(postgresql: Postgres) -> str:
    return postgresql.url(f"server_{uuid.uuid4().hex}")


def test_a_password_that_changed_is_read_anew(
    postgresql: Postgres, url: str, tmp_path: Path
) -> None:
    """Pooled connections stay; a new one waits for the file if that changes last."""
    user = f"user_{uuid.uuid4().hex}"
    postgresql.execute(f"CREATE ROLE {user} LOGIN SUPERUSER PASSWORD 'first'")
    place = url.split("@")[1]
    file = tmp_path / "url"
    file.write_text(f"postgresql://{user}:first@{place}")
    rotated = f"ALTER ROLE {user} PASSWORD 'second'"
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}'"

    async def search() -> None:
        with closing(Database(file.read_text, 1)) as database, Workers(1) as workers:
            kept = await Study.open(database.storage(ports.UID), ports.EXPERIMENT, 1.0, workers)
            await kept.keep(worlds.PREPARATION)
            postgresql.execute(rotated)
            await kept.ask(SPEC, 2, 2.0)
            postgresql.execute(cut)
            for _ in range(2):
                with pytest.raises(DatabaseUnavailable, match="password authentication failed"):
                    await kept.tell(SPEC, ports.tell(0), "model", 3.0)
            with pytest.raises(DatabaseUnavailable, match="password authentication failed"):
                database.check()
            file.write_text(f"postgresql://{user}:second@{place}")
            database.check()
            await kept.tell(SPEC, ports.tell(0), "model", 3.0)
            reader = database.reader(ports.UID)
            assert len(reader.get_all_studies()) == 1
            reader.engine.dispose()

    asyncio.run(search())
    assert [trial.state for trial in ports.trials(url)] == [State.COMPLETED, State.RUNNING]


def test_a_url_that_is_gone_is_said_where_a_connection_needs_it(url: str) -> None:
    urls = iter([url])

    def current() -> str:
        try:
            return next(urls)
        except StopIteration:
            raise NotFound("there is no URL") from None

    with closing(Database(current, 1)) as database:
        with pytest.raises(DatabaseUnavailable, match="there is no URL"):
            database.check()
        with pytest.raises(DatabaseUnavailable, match="there is no URL"):
            database.storage(ports.UID).find()


def test_a_transaction_waits_as_long_as_is_said_and_else_not_for_ever(url: str) -> None:
    shown = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
    shown += " current_setting('idle_in_transaction_session_timeout')"

    def limits(address: str) -> tuple[object, ...]:
        engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
        try:
            with Place(engine, "public").transaction() as connection:
                return tuple(connection.exec_driver_sql(shown).one())
        finally:
            engine.dispose()

    assert limits(url) == ("30s", "10s", "1min")
    assert limits(f"{url}?options=-clock_timeout%3D5s") == ("30s", "5s", "1min")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two CAs, and the certificate of a server by the first."""
    folder = tmp_path_factory.mktemp("certificates")
    for authority in ("ca", "stranger"):
        make(folder, authority, authority)
    names = ["-addext", "subjectAltName=DNS:localhost", "-CA", "ca.crt", "-CAkey", "ca.key"]
    make(folder, "server", "localhost", *names, "-addext", "basicConstraints=critical,CA:FALSE")
    return folder


@pytest.fixture(scope="module")
def encrypted(certificates: Path) -> Iterator[Postgres]:
    with postgres.running() as server:
        server.encrypt(certificates / "server.crt", certificates / "server.key")
        yield server


@pytest.mark.needs("openssl", "postgres")
def test_a_server_is_known_by_its_certificate(encrypted: Postgres, certificates: Path) -> None:
    named = encrypted.url().replace("127.0.0.1", "localhost")
    url = f"{named}?sslmode=verify-full&sslrootcert={certificates}/ca.crt"
    assert len(ports.work(url, lambda kept: kept.ask(SPEC, 1, 2.0))) == 1
    with psycopg.connect(url) as connection:
        ssl = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert connection.execute(ssl).fetchone() == (True,)
    cases = {
        url.replace("ca.crt", "stranger.crt"): "certificate verify failed",
        url.replace("localhost", "127.0.0.1"): 'does not match host name "127.0.0.1"',
        url.replace("ca.crt", "none.crt"): "none.crt.*does not exist",
    }
    for refused, words in cases.items():
        with pytest.raises(DatabaseUnavailable, match=words):
            ports.trials(refused)
