"""`distillery migrate`, as an administrator and as Helm's hook run it."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg
import pytest

from support import releases
from support.postgres import Postgres


@pytest.fixture
def url(postgresql: Postgres) -> str:
    """The URL of a database with the study of the first release."""
    made = postgresql.url(f"migrate_{uuid.uuid4().hex}")
    releases.restore(releases.versions()[0], made)
    return made


def migrate(url: str, *options: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "distillery_operator", "migrate", *options],
        env={**os.environ, "DISTILLERY_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_it_says_what_it_did_and_does_it_once(url: str) -> None:
    first = f"{releases.SCHEMA}: 7 trials have records now\n"
    last = "1 of 1 studies are of this release\n"
    assert migrate(url) == (0, first + last, "")
    assert migrate(url, "--lenient") == (0, last, "")


def test_studies_in_files_are_brought_up_as_well(tmp_path: Path) -> None:
    releases.restore(releases.versions()[0], f"sqlite:///{tmp_path}")
    (tmp_path / "notes.db").write_text("not a database, and nobody's study")
    code, said, complained = migrate(f"sqlite:///{tmp_path}")
    assert (code, complained) == (0, "")
    assert said.endswith(".db: 7 trials have records now\n1 of 1 studies are of this release\n")


def test_one_that_fails_is_told_and_stops_no_other_and_no_upgrade(url: str) -> None:
    broken = f"exp_{0:032x}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {broken}".encode())
        made = f"CREATE TABLE {broken}.alembic_version AS SELECT 'v3.0.0.d' AS version_num"
        connection.execute(made.encode())
    code, said, complained = migrate(url)
    assert code == 2
    assert complained.startswith(f"{broken}: the database postgresql+psycopg://postgres:***@")
    assert complained.count("\n") == 1
    assert said.endswith("7 trials have records now\n1 of 2 studies are of this release\n")
    assert migrate(url, "--lenient")[0] == 0


def test_a_database_that_is_not_there_is_one_sentence(postgresql: Postgres) -> None:
    url = postgresql.url() + "absent"
    code, said, complained = migrate(url)
    assert (code, said) == (2, "")
    assert 'database "postgresabsent" does not exist' in complained
    assert migrate(url, "--lenient")[0] == 0
    assert migrate("")[0] == 2
