"""The study on a real PostgreSQL: the port's suite, and what can happen to a server."""

import asyncio
import contextlib
import re
import signal
import socket
import threading
import uuid
from collections.abc import Awaitable, Callable

import optuna
import pytest
from sqlalchemy.pool import NullPool

from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.workers import Workers
from distillery_operator.trials.trial import Point, State
from support import ports, shared, worlds
from support.postgres import GONE, Postgres

EXPERIMENT = worlds.experiment()
SPEC = EXPERIMENT.spec
SENTENCE = re.compile(
    r"the database postgresql\+psycopg://\w+:\*\*\*@127\.0\.0\.1:\d+/.* cannot be used: "
)


@pytest.fixture
def url(postgresql: Postgres) -> str:
    return postgresql.url(f"test_{uuid.uuid4().hex}")


class TestPostgres(ports.StudySuite, shared.SharedSuite):
    @pytest.fixture
    def url(self, postgresql: Postgres) -> str:
        return postgresql.url(f"{{suite}} {uuid.uuid4().hex}")

    @pytest.fixture
    def outside(self, url: str) -> Callable[[str], optuna.Study]:
        def load(uid: str) -> optuna.Study:
            schema = f"exp_{uid.replace('-', '')}"
            address = url.replace("postgresql:", "postgresql+psycopg:").replace("{", "{{")
            storage = optuna.storages.RDBStorage(
                f"{address.replace('}', '}}')}?options=-csearch_path%3D{schema}",
                engine_kwargs={"poolclass": NullPool},
            )
            return optuna.load_study(study_name="tiny", storage=storage)

        return load


def test_the_study_goes_on_after_the_server_was_restarted(postgresql: Postgres, url: str) -> None:
    async def between(kept: Study) -> None:
        for number, sign in enumerate((signal.SIGINT, signal.SIGQUIT)):  # a stop, a crash
            await kept.ask(SPEC, 1, 2.0)
            postgresql.stop(sign)
            postgresql.start()
            await kept.record(number, Point(1, {"exact": 1.0}))
            postgresql.stop(sign)
            postgresql.start()
            await kept.tell(SPEC, ports.tell(number), "model", 3.0)

    trials = ports.work(url, between)
    assert [(t.state, len(t.curve)) for t in trials] == [(State.COMPLETED, 1)] * 2


def test_while_the_server_is_down_every_call_says_so_and_nothing_is_lost(
    postgresql: Postgres, url: str
) -> None:
    async def reopen() -> None:
        async with ports.opened(url):
            pass

    async def outage(kept: Study) -> None:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: kept.ask(SPEC, 1, 2.0),
            lambda: kept.tell(SPEC, ports.tell(0), "model", 3.0),
            kept.load,  # for it is not known what the server has of these
            reopen,
        ]
        await kept.ask(SPEC, 2, 2.0)
        before = await kept.load()
        postgresql.stop()
        try:
            for call in calls:
                with pytest.raises(DatabaseUnavailable, match=GONE) as caught:
                    await call()
                assert_sound(caught.value)
        finally:
            postgresql.start()
        assert await kept.load() == before
        await kept.tell(SPEC, ports.tell(0), "model", 3.0)
        await kept.ask(SPEC, 1, 4.0)

    trials = ports.work(url, outage)
    assert [t.state for t in trials] == [State.COMPLETED, State.RUNNING, State.RUNNING]


def assert_sound(error: DatabaseUnavailable) -> None:
    """One line that names the place and has the server's words, but no part of the password."""
    assert SENTENCE.match(str(error))
    assert "\n" not in str(error)
    assert not re.search(r"pa[{%]|ss[}%]|word", str(error).replace("password authentication", ""))


class Cutting:
    """Passes bytes between clients and a server; once, when told to, it cuts a COMMIT off."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.cut: str | None = None  # "request": the server gets none; "answer": the client
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                unanswered = threading.Event()
                for work in (self._requests, self._answers):
                    arguments = (client, server, unanswered)
                    threading.Thread(target=work, args=arguments, daemon=True).start()

    def _requests(
        self, client: socket.socket, server: socket.socket, unanswered: threading.Event
    ) -> None:
        with contextlib.suppress(OSError), client:
            while data := client.recv(65536):
                if b"COMMIT" in data and self.cut is not None:
                    cut, self.cut = self.cut, None
                    unanswered.set()
                    if cut == "request":
                        break
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _answers(
        self, client: socket.socket, server: socket.socket, unanswered: threading.Event
    ) -> None:
        with contextlib.suppress(OSError), server:
            while (data := server.recv(65536)) and not unanswered.is_set():
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("cut", ["request", "answer"])
def test_a_commit_that_was_cut_off_is_looked_up(postgresql: Postgres, url: str, cut: str) -> None:
    proxy = Cutting(postgresql.port)
    through = url.replace(str(postgresql.port), str(proxy.port))
    stored = cut == "answer"

    async def search() -> None:
        async with ports.opened(through) as kept:
            await kept.keep(worlds.PREPARATION)
            proxy.cut = cut
            with pytest.raises(DatabaseUnavailable):
                await kept.ask(SPEC, 1, 2.0)
            found = (await kept.load())[2]
            assert len(found) == stored
            await kept.ask(SPEC, 1 - len(found), 2.0)
            proxy.cut = cut
            with pytest.raises(DatabaseUnavailable):
                await kept.tell(SPEC, ports.tell(0), "first", 3.0)
            await kept.tell(SPEC, ports.tell(0), "second", 4.0)  # looks before it tells
            await kept.ask(SPEC, 1, 5.0)

    asyncio.run(search())
    proxy.close()
    told, running = ports.trials(url)
    assert (told.state, told.model) == (State.COMPLETED, "first" if stored else "second")
    assert running.state is State.RUNNING


def test_connections_are_as_many_as_threads_and_not_as_experiments(
    postgresql: Postgres, url: str
) -> None:
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        question = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'distillery'"
        with postgresql.connect() as connection:
            while not over.wait(0.01):
                (count,) = connection.execute(question).fetchone() or (0,)
                seen.append(count)

    async def search() -> None:
        with contextlib.closing(Database(url, 3)) as database, Workers(3) as workers:
            places = [database.storage(str(uuid.uuid4())) for _ in range(30)]
            opening = (Study.open(place, EXPERIMENT, 1.0, workers) for place in places)
            studies = await asyncio.gather(*opening)
            for _ in range(2):
                await asyncio.gather(*(study.ask(SPEC, 1, 2.0) for study in studies))
            loaded = await asyncio.gather(*(study.load() for study in studies))
            assert [len(trials) for _, _, trials in loaded] == [2] * 30
            await asyncio.gather(*(study.close() for study in studies))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        asyncio.run(search())
    finally:
        over.set()
        watcher.join()
    assert max(seen) == 3


def test_a_database_that_refuses_is_quoted(postgresql: Postgres, url: str) -> None:
    with postgresql.connect() as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    quoted = url.split("://")[1].split("@")[0]
    cases = {
        url.replace(quoted, "postgres:sw{ss}word"): "password authentication failed",
        url.replace(quoted, "guest:guest"): "permission denied for database",
        url + "absent": "does not exist",
    }
    for refused, words in cases.items():
        with pytest.raises(DatabaseUnavailable, match=words) as caught:
            ports.trials(refused)
        assert_sound(caught.value)


def test_nobody_is_waited_for_for_ever(postgresql: Postgres, url: str) -> None:
    async def blocked(kept: Study) -> None:
        await ports.ask_in_vain(url, kept)
        await kept.ask(SPEC, 1, 2.0)

    patience = "?options=-clock_timeout%3D200ms"  # the URL's own goes before the default
    assert len(ports.work(url + patience, blocked)) == 2


@pytest.mark.parametrize(
    "address",
    [
        "",
        "secret",
        "mysql://user:secret@host/db",
        "postgresql+asyncpg://user:secret@host/db",
        "postgresql://user:secret@host",
        "postgresql://user:pa@ss:secret@host/db",
        "postgresql://user:pass@host:secret/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////dev/null/secret",
    ],
)
def test_what_is_no_url_of_a_database_is_refused(address: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        Database(address, 1)
    assert "secret" not in str(caught.value) or address.startswith("sqlite")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_all_names_of_postgresql_mean_the_same(postgresql: Postgres, url: str, scheme: str) -> None:
    renamed = url.replace("postgresql:", f"{scheme}:")
    assert len(ports.work(renamed, lambda kept: kept.ask(SPEC, 1, 2.0))) == 1
