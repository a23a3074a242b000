"""The study through PgBouncer in transaction mode: each transaction gets another connection."""

import asyncio
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import psycopg
import pytest

from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.study import migration, schema
from distillery_operator.study.database import Database
from distillery_operator.study.migration import Outcome
from distillery_operator.study.study import Study
from distillery_operator.study.workers import Workers
from distillery_operator.trials.trial import Point, State
from support import pgbouncer, ports, worlds
from support.operators import until
from support.postgres import Postgres

pytestmark = pytest.mark.needs("pgbouncer")

SPEC = ports.EXPERIMENT.spec
TABLES = f"exp_{uuid.UUID(ports.UID).hex}"


@pytest.fixture(scope="module")
def pooler(postgresql: Postgres) -> Iterator[int]:
    with pgbouncer.running(postgresql) as port:
        yield port


@pytest.fixture
def direct(postgresql: Postgres) -> str:
    return postgresql.url(f"pooled_{uuid.uuid4().hex}")


@pytest.fixture
def url(direct: str, postgresql: Postgres, pooler: int) -> str:
    return direct.replace(f":{postgresql.port}/", f":{pooler}/")


def test_more_searches_than_connections_do_not_mix(url: str, direct: str) -> None:
    uids = [str(uuid.uuid4()) for _ in range(6)]

    async def search() -> None:
        clients = pgbouncer.CONNECTIONS + 2
        with closing(Database(url, clients)) as database, Workers(clients) as workers:
            opening = (
                Study.open(database.storage(u), ports.EXPERIMENT, 1.0, workers) for u in uids
            )
            studies = await asyncio.gather(*opening)
            await asyncio.gather(*(work(study, n) for n, study in enumerate(studies)))
            database.check()

    async def work(study: Study, number: int) -> None:
        await study.keep(worlds.PREPARATION)
        await study.ask(SPEC, 2, 2.0)
        await study.record(0, Point(number, {"exact": 1.0}))
        await study.tell(SPEC, ports.tell(0), f"model {number}", 3.0)
        assert [t.state for t in (await study.load())[2]] == [State.COMPLETED, State.RUNNING]

    asyncio.run(search())
    for number, uid in enumerate(uids):
        first, _ = ports.trials(direct, uid)
        assert (first.model, first.curve[0].step) == (f"model {number}", number)


def test_tables_are_migrated_once_and_read_by_optuna(url: str, direct: str) -> None:
    """More migrations than connections: the one that has the lock needs no second connection."""
    before = ports.work(url, lambda kept: kept.ask(SPEC, 2, 2.0))
    with psycopg.connect(direct) as connection:
        connection.execute(f"DROP INDEX {TABLES}.ix_trials_study_id".encode())
        aged = f"UPDATE {TABLES}.alembic_version SET version_num = 'v3.0.0.d'"
        connection.execute(aged.encode())
    outcomes: list[Outcome] = []

    def migrate() -> None:
        with closing(Database(url, 1)) as database:
            outcomes.extend(migration.every(database.places()))

    threads = [threading.Thread(target=migrate) for _ in range(pgbouncer.CONNECTIONS + 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.fault for outcome in outcomes] == [""] * len(threads)
    done = [f"tables of version v3.0.0.d are of version {schema.current()} now"]
    assert [outcome.done for outcome in outcomes if outcome.done] == [done]
    assert ports.trials(url) == before
    with closing(Database(url, 1)) as database:
        (uid,) = database.readable()
        reader = database.reader(uid)
        assert len(reader.get_all_trials(reader.get_all_studies()[0]._study_id)) == 2
        reader.engine.dispose()


def test_limits_of_time_hold_and_end_with_the_transaction(
    postgresql: Postgres, url: str, direct: str
) -> None:
    database = direct.rsplit("/", 1)[1]
    postgresql.execute(f"ALTER DATABASE {database} SET lock_timeout = '200ms'")
    ports.work(url, partial(ports.ask_in_vain, direct))
    shown = "SELECT current_setting('search_path'), current_setting('statement_timeout')"
    with psycopg.connect(url, autocommit=True) as client:
        assert client.execute(shown.encode()).fetchall() == [('"$user", public', "0")]


def test_a_server_that_was_away_behind_the_pooler_is_found_again(
    postgresql: Postgres, url: str
) -> None:
    async def restarted(kept: Study) -> None:
        await kept.ask(SPEC, 2, 2.0)
        postgresql.stop()
        with pytest.raises(DatabaseUnavailable, match="cannot be used: "):
            await kept.tell(SPEC, ports.tell(0), "first", 3.0)
        postgresql.start()
        with closing(Database(url, 1)) as database:
            until(lambda: answers(database))
        await kept.tell(SPEC, ports.tell(0), "second", 4.0)

    found = ports.work(url, restarted)
    assert [(t.state, t.model) for t in found] == [
        (State.COMPLETED, "second"), (State.RUNNING, None)
    ]  # fmt: skip


def answers(database: Database) -> bool:
    try:
        database.check()
    except DatabaseUnavailable:
        return False
    return True
