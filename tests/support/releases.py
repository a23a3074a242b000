"""Studies as each release stored them: dumps that every later release must read.

``python -m support.releases VERSION`` adds those of this release; it needs a PostgreSQL.
"""

import asyncio
import contextlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psycopg

from distillery_contract.request import Stage
from distillery_operator.engine.actions import Tell
from distillery_operator.resource import yaml_files
from distillery_operator.resource.experiment import Experiment
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.workers import Workers
from distillery_operator.trials.attempt import Report
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import Provenance, Trainer
from distillery_operator.trials.trial import Point, State
from support import postgres, programs, worlds

FOLDER: Final = Path(__file__).parents[1] / "study" / "releases"
EARLIER: Final = "11111111-1111-4111-8111-111111111111"
STORED: Final = "22222222-2222-4222-8222-222222222222"
MADE: Final = Provenance(
    2, "0f0f0f0f0f0f0f0f", "key", "trainer:1@sha256:00", Trainer("1.0", "2.9", "5.0", "cpu")
)
PAST: Final = PastAttempt(
    1, "uid", True, 75, halted=True, started=1000.0, ended=1010.0, gpus=0.5, provenance=MADE
)
SCHEMA: Final = f"exp_{uuid.UUID(STORED).hex}"
PREPARATION: Final = Preparation(
    worlds.PREPARATION.key, worlds.PREPARATION.teacher, worlds.SOURCES, 30.0, 1.0
)
SETTING: Final = re.compile(r"--|\\|SET |SELECT pg_catalog.set_config")
"""Lines of a dump that say nothing of what is stored."""


def experiment() -> Experiment:
    """Return the experiment whose study is stored."""
    return yaml_files.read_experiment(FOLDER / "experiment.yaml")


def versions() -> list[str]:
    """Return the releases whose studies are there."""
    return sorted(path.name.removesuffix(".sqlite.sql") for path in FOLDER.glob("*.sqlite.sql"))


def restore(version: str, url: str) -> None:
    """Restore the study of a release into an empty database."""
    if url.startswith("sqlite:///"):
        folder = Path(url.removeprefix("sqlite:///"))
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(folder / f"{STORED}.db")) as connection:
            connection.executescript((FOLDER / f"{version}.sqlite.sql").read_text())
    else:
        with psycopg.connect(url.replace(" ", "%20"), autocommit=True) as connection:
            connection.execute((FOLDER / f"{version}.postgresql.sql").read_bytes())


async def store(url: str) -> None:
    """Store a study with something of everything."""
    stored = experiment()
    cold = stored.spec.model_copy(update={"warm_start_from": []})
    name = stored.metadata.model_copy(update={"name": "earlier"})
    earlier = stored.model_copy(update={"spec": cold, "metadata": name})
    with contextlib.closing(Database(url, 1)) as database, Workers(1) as workers:
        study = await Study.open(database.storage(EARLIER), earlier, 100.0, workers)
        await _search_before(study, earlier)
        await study.close()
        study = await Study.open(database.storage(STORED), stored, 1000.0, workers)
        await study.keep(PREPARATION)
        await study.remember(Stage.PREPARE, 0, PAST)
        await study.warm_up(stored, lambda _: database.storage(EARLIER))
        await _search(study, stored)
        await study.close()


async def _search_before(study: Study, experiment: Experiment) -> None:
    spec = experiment.spec
    await study.keep(PREPARATION)
    await study.ask(spec, 4, 110.0)
    for number, exact in enumerate((55.0, 61.0, 58.0)):
        told = _tell(number, State.COMPLETED, "Completed", "measured", _report(exact))
        await study.tell(spec, told, f"trials/{number:05d}/model", 200.0 + number)
    words = "the loss is beyond 1000"
    failed = _tell(3, State.INFEASIBLE, "Diverged", words, Report("Scrape"))
    await study.tell(spec, failed, None, 210.0)


async def _search(study: Study, experiment: Experiment) -> None:
    spec = experiment.spec
    await study.ask(spec, 6, 1010.0)
    curves = {0: (40.0, 55.0), 2: (30.0, 31.0), 4: (45.0,), 5: (50.0,)}
    for number, exact in curves.items():
        for point in _curve(exact):
            await study.record(number, point)
    diverged = Point(20, {"exact": 47.0}, {"total": float("nan")}, 40, 1002.0)
    await study.record(4, diverged)
    await study.remember(Stage.TRAIN, 4, PAST)
    reached = Report("Scrape", metrics={"exact": 31.0}, metric_step=20, steps=40)
    memory = Report("TerminationMessage", reason="OutOfMemory")
    silent = "the trial ended without final metrics"
    endings = (
        _tell(0, State.COMPLETED, "Completed", "measured", _report(62.0, 40)),
        _tell(1, State.INFEASIBLE, "OutOfMemory", "the GPU's memory is too small", memory),
        _tell(2, State.STOPPED, "CannotImprove", "it is beaten", reached, {"exact": 35.0}),
        _tell(3, State.FAILED, "MetricsUnavailable", silent, Report("")),
        _tell(5, State.COMPLETED, "Completed", "measured", _report(57.0)),
    )
    for moment, told in enumerate(endings):
        await study.tell(spec, told, f"trials/{told.trial:05d}/model", 1100.0 + moment)
    await study.promote(spec, 2, 1110.0)
    await study.collect([5])


def _tell(
    number: int,
    state: State,
    reason: str,
    message: str,
    report: Report,
    expected: Mapping[str, float] = MappingProxyType({}),
) -> Tell:
    return Tell(number, state, reason, message, 12.5, report, 0.5, expected, MADE)


def _report(exact: float, step: int | None = None) -> Report:
    found = {"exact": exact, "HasAns_exact": exact - 5, "NoAns_exact": exact + 5}
    return Report("TerminationMessage", True, metrics=found, metric_step=step, steps=step)


def _curve(exact: Sequence[float]) -> list[Point]:
    return [
        Point(10 * n, {"exact": each}, {"total": 2.0 / n}, 40, 1000.0 + n)
        for n, each in enumerate(exact, 1)
    ]


def _dump(version: str) -> None:
    """Store the studies of this release, and write their dumps."""
    with tempfile.TemporaryDirectory() as folder, postgres.running() as server:
        asyncio.run(store(f"sqlite:///{folder}"))
        with contextlib.closing(sqlite3.connect(f"{folder}/{STORED}.db")) as connection:
            text = "\n".join(connection.iterdump())
            (FOLDER / f"{version}.sqlite.sql").write_text(f"{text}\n")
        url = server.url("releases")
        asyncio.run(store(url))
        (binary,) = programs.locate("postgres")
        program = Path(binary).resolve().parent / "pg_dump"
        options = ["--inserts", "--no-owner", "--no-privileges", f"--schema={SCHEMA}", url]
        dump = subprocess.run([program, *options], check=True, capture_output=True, text=True)
        lines = [line for line in dump.stdout.splitlines() if line and not SETTING.match(line)]
        (FOLDER / f"{version}.postgresql.sql").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    _dump(sys.argv[1])
