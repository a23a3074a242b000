"""The study when another server takes over: a standby is promoted, or a primary turns read-only."""

import asyncio
import re
import signal
import socket
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest

from distillery_operator.controller.health import Health
from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.trials.trial import State
from support import ports, postgres, worlds
from support.postgres import GONE, Postgres

SPEC = ports.EXPERIMENT.spec
READ_ONLY = "cannot be used: it is read-only, as a standby is"


@pytest.fixture
def url(postgresql: Postgres) -> str:
    return postgresql.url(f"failover_{uuid.uuid4().hex}")


def moved(url: str, *servers: Postgres) -> str:
    """Return the same URL, of other servers."""
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return re.sub(r"127\.0\.0\.1:\d+", hosts, url)


async def refused(words: str, *calls: Callable[[], Awaitable[object]]) -> None:
    for call in calls:
        with pytest.raises(DatabaseUnavailable, match=words):
            await call()


def test_a_server_that_turns_read_only_is_neither_believed_nor_written_to(
    postgresql: Postgres, url: str
) -> None:
    """A study that nobody has looked at since is not taken from its old connection."""

    async def turned(kept: Study) -> None:
        await kept.ask(SPEC, 2, 2.0)
        postgresql.configure("SET default_transaction_read_only = on")
        try:
            await refused(
                READ_ONLY,
                kept.load,
                lambda: kept.ask(SPEC, 1, 2.0),
                lambda: kept.tell(SPEC, ports.tell(0), "model", 3.0),
            )
            with closing(Database(url, 1)) as other:
                with pytest.raises(DatabaseUnavailable, match=READ_ONLY):
                    other.check()
                assert other.readable() == [ports.UID]  # whoever only looks may
        finally:
            postgresql.configure("RESET default_transaction_read_only")
        await kept.tell(SPEC, ports.tell(0), "model", 3.0)

    found = ports.work(url, turned)
    assert [trial.state for trial in found] == [State.COMPLETED, State.RUNNING]


def test_a_host_that_does_not_answer_does_not_hide_the_one_that_does(
    postgresql: Postgres, url: str
) -> None:
    """As the machine of an old primary, which is gone: packets to it get lost."""
    with socket.socket() as lost, socket.socket() as first, socket.socket() as second:
        lost.bind(("127.0.0.1", 0))
        lost.listen(0)
        for client in (first, second):  # nobody accepts these, and no further one is heard
            client.setblocking(False)
            client.connect_ex(lost.getsockname())
        hosts = f"127.0.0.1:{lost.getsockname()[1]},127.0.0.1:{postgresql.port}"
        through = re.sub(r"127\.0\.0\.1:\d+", hosts, url)

        async def ask() -> None:
            with closing(Database(through, 1)) as database:
                health = Health(database.check)
                await health.database()
                await health.close()

        asyncio.run(ask())


def test_a_search_continues_on_the_standby_that_was_promoted(
    postgresql: Postgres, url: str
) -> None:
    async def search(standby: Postgres) -> None:
        both = f"{moved(url, postgresql, standby)}?target_session_attrs=read-write"
        async with ports.opened(both) as kept:
            await kept.keep(worlds.PREPARATION)
            await kept.ask(SPEC, 3, 2.0)
            await kept.tell(SPEC, ports.tell(0), "first", 3.0)
            before = await kept.load()
            standby.catch_up(postgresql)
            await refused(READ_ONLY, lambda: open_and_close(moved(url, standby)))
            postgresql.stop(signal.SIGQUIT)
            await refused(
                f"{GONE}.*read-only",
                kept.load,
                lambda: kept.ask(SPEC, 1, 4.0),
                lambda: kept.tell(SPEC, ports.tell(1), "model", 4.0),
            )
            standby.execute("SELECT pg_promote()")
            assert await kept.load() == before
            await kept.tell(SPEC, ports.tell(1), "second", 5.0)
            await kept.ask(SPEC, 1, 6.0)

    with postgres.running(of=postgresql) as standby:
        try:
            asyncio.run(search(standby))
        finally:
            postgresql.start()
        found = ports.trials(moved(url, standby))
    assert [trial.model for trial in found] == ["first", "second", None, None]
    assert [trial.state for trial in found] == [State.COMPLETED] * 2 + [State.RUNNING] * 2


async def open_and_close(url: str) -> None:
    async with ports.opened(url):
        pass
