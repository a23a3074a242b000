"""Migration: every experiment of a database at once, alone, and no one broken schema in the way."""

import asyncio
import subprocess
import sys
import threading
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.study import migration, schema
from distillery_operator.study.database import Database
from distillery_operator.study.migration import Outcome
from support import ports, releases, shared, worlds
from support.postgres import Postgres

EARLIER = "v3.0.0.d"
"""Optuna 3.0 and 3.1 made such tables: without the index on the trials' studies."""

BACKENDS = [pytest.param("url", marks=pytest.mark.needs("postgres")), "folder"]


@pytest.fixture
def url(postgresql: Postgres) -> str:
    """The URL, with characters that Alembic and SQLAlchemy have to quote."""
    return postgresql.url(f"{{migration}} {uuid.uuid4().hex}")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/100%"


def name(uid: str) -> str:
    return f"exp_{uuid.UUID(uid).hex}"


def store(url: str, *uids: str) -> None:
    for uid in uids:
        ports.work(url, lambda kept: kept.ask(ports.EXPERIMENT.spec, 2, 2.0), uid=uid)


def execute(url: str, uid: str, *statements: str) -> list[tuple[object, ...]]:
    """Execute statements where the tables of an experiment are; return what the last one gives."""
    with closing(Database(url, 1)) as database:
        (place,) = [p for p in database.places() if uid in p.key or name(uid) == p.key]
        with place.transaction() as connection:
            *_, last = (connection.exec_driver_sql(statement) for statement in statements)
            found = [tuple(row) for row in last] if last.returns_rows else []
        place.close()
        return found


def age(url: str, uid: str) -> None:
    """Make the tables those of an earlier Optuna, and the records those of the first release."""
    execute(
        url,
        uid,
        "DROP INDEX ix_trials_study_id",
        f"UPDATE alembic_version SET version_num = '{EARLIER}'",
        "DELETE FROM trial_user_attributes WHERE key = 'record'",
        "DELETE FROM study_user_attributes WHERE key IN ('format', 'mark')",
    )


def migrate(url: str) -> dict[str, Outcome]:
    with closing(Database(url, 1)) as database:
        return {Path(o.key).stem: o for o in migration.every(database.places())}


def version(url: str, uid: str) -> object:
    return execute(url, uid, "SELECT version_num FROM alembic_version")[0][0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_experiment_is_brought_to_this_release_once(
    request: pytest.FixtureRequest, backend: str
) -> None:
    url: str = request.getfixturevalue(backend)
    store(url, ports.UID, ports.OTHER_UID)
    before = ports.trials(url)
    age(url, ports.UID)
    first, second = migrate(url), migrate(url)
    aged, current = (u if backend == "folder" else name(u) for u in (ports.UID, ports.OTHER_UID))
    assert first[aged].done == [
        f"tables of version {EARLIER} are of version {schema.current()} now",
        "2 trials have records now",
    ]
    assert first[current].done == []
    assert {key: (o.done, o.fault) for key, o in second.items()} == {
        aged: ([], ""), current: ([], "")
    }  # fmt: skip
    assert version(url, ports.UID) == schema.current()
    assert ports.trials(url) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_curves_of_an_earlier_release_get_their_readings(
    request: pytest.FixtureRequest, backend: str
) -> None:
    url: str = request.getfixturevalue(backend)
    owned = worlds.experiment(earlyStopping={"rungs": [0.5]})
    metadata = owned.metadata.model_copy(update={"uid": ports.UID})
    owned = owned.model_copy(update={"metadata": metadata})
    found = ports.work(url, shared.measured, owned)
    execute(url, ports.UID, "DELETE FROM trial_user_attributes WHERE key = 'readings'")
    assert [outcome.done for outcome in migrate(url).values()] == [
        ["1 trials have readings of their curves now"]
    ]
    assert [outcome.done for outcome in migrate(url).values()] == [[]]
    spoilt = "UPDATE trial_user_attributes SET value_json = '' WHERE key = 'curve' AND trial_id = 1"
    execute(url, ports.UID, spoilt)
    assert ports.trials(url, experiment=owned) == found


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_experiment_that_was_left_out_is_brought_up_where_it_is_opened(
    request: pytest.FixtureRequest, backend: str
) -> None:
    url: str = request.getfixturevalue(backend)
    store(url, ports.UID)
    before = ports.trials(url)
    age(url, ports.UID)
    assert ports.trials(url) == before
    assert version(url, ports.UID) == schema.current()
    assert {key: o.done for key, o in migrate(url).items()}.popitem()[1] == []


def test_a_schema_that_fails_keeps_no_other_from_it(url: str) -> None:
    broken, damaged, sound = uids = [str(uuid.UUID(int=n << 64)) for n in range(1, 4)]
    store(url, *uids)
    age(url, broken)
    age(url, sound)
    execute(url, broken, "DROP TABLE trials CASCADE")  # of which an index is to be made
    execute(url, damaged, "DELETE FROM trial_user_attributes WHERE trial_id = 1")
    found = migrate(url)
    assert 'relation "trials" does not exist' in found[name(broken)].fault
    assert found[name(broken)].fault.startswith("the database postgresql+psycopg://postgres:***@")
    assert "without a gap, but 0 is missing" in found[name(damaged)].fault
    assert found[name(sound)].done[1:] == ["2 trials have records now"]
    assert version(url, sound) == schema.current()


def test_a_schema_without_tables_and_those_of_others_are_left_alone(url: str) -> None:
    store(url, ports.UID)
    age(url, ports.UID)
    schemas = [f'CREATE SCHEMA "{known}"' for known in (name(ports.OTHER_UID), "exp_other", "x")]
    execute(url, ports.UID, *schemas)
    found = migrate(url)
    assert {key: len(outcome.done) for key, outcome in found.items()} == {
        name(ports.UID): 2, name(ports.OTHER_UID): 0
    }  # fmt: skip


def test_migrations_of_one_experiment_wait_for_each_other(url: str) -> None:
    store(url, ports.UID)
    before = ports.trials(url)
    age(url, ports.UID)
    outcomes: list[Outcome] = []

    def run() -> None:
        outcomes.extend(migrate(url).values())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [o.fault for o in outcomes] == [""] * 4
    assert sorted(len(o.done) for o in outcomes) == [0, 0, 0, 2]
    assert ports.trials(url) == before


def test_a_migration_that_was_killed_is_done_by_the_next(url: str) -> None:
    """Killed between the tables and the records, and while it waits for a lock of the tables."""
    store(url, ports.UID)
    before = ports.trials(url)
    age(url, ports.UID)
    execute(url, ports.UID, f"UPDATE alembic_version SET version_num = '{schema.current()}'")
    assert migrate(url)[name(ports.UID)].done == ["2 trials have records now"]
    age_index = f"UPDATE alembic_version SET version_num = '{EARLIER}'"
    execute(url, ports.UID, age_index, "DROP INDEX IF EXISTS trials_study_id_key")
    with closing(Database(url, 1)) as database:
        (place,) = database.places()
        with place.transaction() as connection:
            connection.exec_driver_sql("LOCK TABLE trials IN ACCESS EXCLUSIVE MODE")
            program = (
                "import sys; from distillery_operator.study import database, migration;"
                "list(migration.every(database.Database(sys.argv[1], 1).places()))"
            )
            with subprocess.Popen([sys.executable, "-c", program, url]) as child:
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                while connection.exec_driver_sql(waiting).scalar() == 0:
                    assert child.poll() is None
                child.kill()
    assert migrate(url)[name(ports.UID)].done == [
        f"tables of version {EARLIER} are of version {schema.current()} now"
    ]
    assert ports.trials(url) == before


def test_a_search_goes_on_while_the_records_are_brought_up(url: str) -> None:
    """As before an upgrade, when the operator of the release before still runs."""

    async def both() -> None:
        async with ports.opened(url) as kept:
            await kept.keep(worlds.PREPARATION)
            await kept.ask(ports.EXPERIMENT.spec, 2, 2.0)
            execute(url, ports.UID, "DELETE FROM trial_user_attributes WHERE key = 'record'")
            assert await asyncio.to_thread(migrate, url)
            await kept.tell(ports.EXPERIMENT.spec, ports.tell(0), "model", 3.0)
            await kept.ask(ports.EXPERIMENT.spec, 1, 4.0)

    asyncio.run(both())
    assert [trial.number for trial in ports.trials(url)] == [0, 1, 2]


def test_a_database_that_is_not_there_is_said(postgresql: Postgres, url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="does not exist"):
        migrate(url + "absent")


@pytest.mark.parametrize("version", releases.versions())
def test_the_study_of_a_release_is_brought_up(url: str, version: str) -> None:
    releases.restore(version, url)
    (outcome,) = migrate(url).values()
    assert (outcome.key, outcome.fault) == (releases.SCHEMA, "")
    (again,) = migrate(url).values()
    assert again.done == []
