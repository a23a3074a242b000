"""optuna-dashboard over a real PostgreSQL with the studies of two experiments."""

import asyncio
import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from distillery_operator.resource.experiment import Experiment
from distillery_operator.results.optuna_dashboard.storage import Gallery, ReadOnly
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.workers import Workers
from distillery_operator.trials.attempt import Report
from support import operators, ports, shapes, worlds
from support.documentation import ROOT
from support.fixtures.servers import Chromium
from support.postgres import Postgres

FIRST = shapes.experiment("first", str(uuid.UUID(int=1 << 90)))
SECOND = shapes.experiment("second", str(uuid.UUID(int=2 << 90)))


@pytest.fixture(scope="module")
def url(postgresql: Postgres) -> str:
    """The URL of the dashboard's user, who was made between two experiments."""
    owner = postgresql.url("studies")
    search(owner, FIRST, 12)
    documented = (ROOT / "docs" / "cluster.md").read_text()
    (sql,) = re.findall(r"^```sql\n(.*?)^```$", documented, re.MULTILINE | re.DOTALL)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(sql)
    search(owner, SECOND, 3)
    return re.sub("//.*@", "//dashboard:secret@", owner)


def search(url: str, experiment: Experiment, count: int) -> None:
    """Store so many trials, each larger and better than the last; every third has collapsed."""

    async def work() -> None:
        with contextlib.closing(Database(url, 1)) as database, Workers(1) as workers:
            place = database.storage(experiment.metadata.uid)
            study = await Study.open(place, experiment, 1.0, workers)
            await study.keep(worlds.PREPARATION)
            await study.ask(experiment.spec, count + 1, 2.0)
            for number in range(count):
                halves = (0.0, 100.0) if number % 3 == 2 else (60.0 + number, 70.0 + number)
                found = dict(zip(("HasAns_exact", "NoAns_exact"), halves, strict=True))
                report = Report("Scrape", True, metrics={**found, "exact": sum(halves) / 2})
                told = ports.tell(number, report=report)
                await study.tell(experiment.spec, told, None, 3.0 + number)

    asyncio.run(work())


@pytest.fixture(scope="module")
def address(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running dashboard."""
    port = operators.free_port()
    log = tmp_path_factory.mktemp("dashboard") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "distillery_operator", "dashboard", f"--port={port}"],
            env={**os.environ, "DISTILLERY_DATABASE_URL": url},
            stdout=output,
            stderr=output,
        )
    try:
        operators.until(lambda: operators.answers(port) or process.poll() is not None)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def get(address: str, method: str = "GET") -> tuple[int, bytes]:
    request = urllib.request.Request(address, method=method, data=None)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def studies(address: str) -> dict[str, Any]:
    listed = json.loads(get(f"{address}/api/studies")[1])["study_summaries"]
    return {study["study_name"]: study for study in listed}


def number(experiment: Experiment) -> int:
    return uuid.UUID(experiment.metadata.uid).int >> 80


def test_every_experiment_is_a_study_with_a_number_for_ever(address: str) -> None:
    found = {name: study["study_id"] for name, study in studies(address).items()}
    assert found == {f"{e.metadata.name}-{e.metadata.uid[:8]}": number(e) for e in (FIRST, SECOND)}


@pytest.mark.parametrize("host", operators.LOOPBACK)
def test_it_is_reached_by_ipv4_and_by_ipv6(address: str, host: str) -> None:
    assert get(f"{address.replace('127.0.0.1', host)}/api/meta")[0] == 200


def test_every_page_is_shown(address: str) -> None:
    one = f"{address}/api/studies/{number(FIRST)}"
    pages = [address, f"{address}/dashboard", f"{address}/dashboard/studies/{number(FIRST)}"]
    pages += [f"{address}/api/meta", one, f"{one}/param_importances"]
    pages += [f"{address}/favicon.ico", f"{address}/static/bundle.js"]
    assert {page: get(page)[0] for page in pages} == dict.fromkeys(pages, 200)
    code, text = get(f"{address}/csv/{number(FIRST)}")
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert (code, len(rows)) == (200, 13)
    assert get(f"{address}/api/studies/1")[0] == 404


def test_objectives_have_their_names_and_broken_constraints_are_marked(address: str) -> None:
    detail = json.loads(get(f"{address}/api/studies/{number(FIRST)}")[1])
    assert detail["objective_names"] == ["exact", "parameter_count"]
    broken = {
        trial["number"]
        for trial in detail["trials"]
        if any(value > 0 for value in trial["constraints"])
    }
    assert broken == {2, 5, 8, 11}
    assert [trial["state"] for trial in detail["trials"]].count("Running") == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(address: str, method: str) -> None:
    before = studies(address)
    for path in ("studies", f"studies/{number(FIRST)}", f"studies/{number(FIRST)}/note"):
        assert get(f"{address}/api/{path}", method)[0] == 405
    assert studies(address) == before


def test_its_user_may_only_select(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for experiment in (FIRST, SECOND):
            schema = f"exp_{uuid.UUID(experiment.metadata.uid).hex}"
            assert connection.execute(f"SELECT count(*) FROM {schema}.trials".encode()).fetchone()
            for statement in (
                f"DELETE FROM {schema}.trials",
                f"UPDATE {schema}.trials SET number = 7",
                f"INSERT INTO {schema}.studies VALUES (7, 'x')",
                f"CREATE TABLE {schema}.more (x int)",
                f"DROP SCHEMA {schema} CASCADE",
            ):
                with pytest.raises(psycopg.Error, match=r"permission denied|must be owner"):
                    connection.execute(statement.encode())


def test_not_even_the_operators_user_can_write_through_it(postgresql: Postgres, url: str) -> None:
    owner = re.sub("//.*@", lambda _: re.findall("//.*@", postgresql.url())[0], url)
    with contextlib.closing(Database(owner, 1)) as database:
        gallery = Gallery(database)
        (study, *_) = gallery.get_all_studies()
        with pytest.raises(ReadOnly):
            gallery.delete_study(study._study_id)
        reader = database.reader(FIRST.metadata.uid)
        with pytest.raises(StorageInternalError) as caught:
            reader.set_study_user_attr(reader.get_all_studies()[0]._study_id, "key", 1)
        assert "read-only transaction" in str(caught.value.__cause__)
        trials = gallery.get_all_trials(study._study_id, states=(TrialState.COMPLETE,))
        assert len(trials) == 12


def test_what_a_person_sees(address: str, chromium: Chromium, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as driver:
        wait = WebDriverWait(driver, 60)
        driver.get(address)
        wait.until(lambda d: "first-" in d.find_element(By.TAG_NAME, "body").text)
        driver.save_screenshot(str(tmp_path / "list.png"))
        driver.get(f"{address}/dashboard/studies/{number(FIRST)}")
        wait.until(lambda d: d.find_elements(By.CSS_SELECTOR, ".js-plotly-plot .point"))
        driver.save_screenshot(str(tmp_path / "study.png"))
        assert "exact" in driver.find_element(By.TAG_NAME, "body").text
