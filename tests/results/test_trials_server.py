"""The trials over HTTP: what is served, to whom, and that nothing else waits for it."""

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import psycopg
import pytest

from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.errors import DatabaseUnavailable, Incompatible
from distillery_operator.results import trials_document, trials_server
from distillery_operator.results.trials_server import Server
from distillery_operator.study import records
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.tables import Storage
from distillery_operator.study.workers import Workers
from distillery_operator.trials.trial import Point, Trial
from support import ports, shapes, worlds
from support.operators import LOOPBACK
from support.postgres import Postgres

KEY = Key("science", "tiny")
DEFAULTS = Defaults("trainer:1", "claim")
EXPERIMENT = shapes.experiment()
MEGABYTE = 2**20


POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.needs("postgres"))


@pytest.fixture(params=[POSTGRESQL, "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}"
    running: Postgres = request.getfixturevalue("postgresql")
    return running.url(f"test_{uuid.uuid4().hex}")


def proxied(path: str) -> str:
    """What is left of a path once the API server's proxy has passed it on."""
    return path.partition("/proxy")[2]


class Served:
    """An operator's server, its cache with one experiment, and the study of that."""

    def __init__(self, address: str, path: str, cache: Cache, study: Study) -> None:
        self.address, self.path, self.cache, self.study = address, path, cache, study

    async def get(self, path: str | None = None, **options: Any) -> tuple[int, bytes]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.address + (path or self.path), **options) as answer,
        ):
            return answer.status, await answer.read()

    async def trials(self) -> tuple[Trial, ...]:
        code, text = await self.get()
        assert code == 200
        return trials_document.trials(trials_document.read(text))


@asynccontextmanager
async def served(url: str, begun: bool = True, host: str = "127.0.0.1") -> AsyncIterator[Served]:
    path = trials_server.path("distillery/distillery:trials", KEY, None)
    assert path is not None
    cache = Cache()
    metadata = {"namespace": "science", "name": "tiny", "uid": shapes.UID}
    cache.put(Kind.EXPERIMENT, {"metadata": metadata, "status": {"trialsPath": path}})
    with contextlib.closing(Database(url, 4)) as database, Workers(4) as workers:
        server = Server(cache, database, workers, DEFAULTS)
        port = await server.open(0)
        try:
            place = database.storage(shapes.UID)
            study = None
            if begun:
                study = await Study.open(place, EXPERIMENT, 1.0, workers, curves=True)
            yield Served(f"http://{host}:{port}", proxied(path), cache, study)  # type: ignore[arg-type]
            if study:
                await study.close()
        finally:
            await server.close()


async def search(study: Study) -> tuple[Trial, ...]:
    """Run some trials; return all of them, with their whole learning curves."""
    await study.keep(worlds.PREPARATION)
    await study.ask(EXPERIMENT.spec, 5, 2.0)
    await study.record(0, Point(1, {"exact": 1.0}, {"total": 2.5}))
    await study.record(0, Point(2, {"exact": 71.0}, {"total": 1.5}))
    for number in range(3):
        await study.tell(EXPERIMENT.spec, ports.tell(number), f"trials/{number}/model", 3.0)
    await study.collect([1])
    return (await study.load())[2]


@pytest.mark.parametrize("host", LOOPBACK)
def test_what_is_served_is_all_that_is_stored(url: str, host: str) -> None:
    async def check() -> None:
        async with served(url, host=host) as operator:
            known = await search(operator.study)
            assert await operator.trials() == known
            assert [trial.collected for trial in known] == [False, True, False, False, False]
            assert len(known[0].curve) == 2
            document = trials_document.read((await operator.get())[1])
            assert trials_document.defaults(document) == DEFAULTS

    asyncio.run(check())


def test_an_experiment_that_has_not_begun_has_no_trials(url: str) -> None:
    async def check() -> None:
        async with served(url, begun=False) as operator:
            assert await operator.trials() == ()
        async with served(url) as operator:  # asking has created nothing that is in the way
            assert await operator.trials() == ()

    asyncio.run(check())


def test_more_trials_than_a_page_has_arrive_in_their_order(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with served(url) as operator:
            await operator.study.ask(EXPERIMENT.spec, 7, 2.0)
            for page in (1, 2, 7, 8):
                monkeypatch.setattr(trials_server, "PAGE", page)
                assert await operator.trials() == (await operator.study.load())[2]

    asyncio.run(check())


def test_numbers_that_json_does_not_have_are_left_out(url: str) -> None:
    async def check() -> None:
        async with served(url) as operator:
            await operator.study.ask(EXPERIMENT.spec, 1, 2.0)
            losses = {"total": float("nan"), "hard": float("-inf"), "soft": 0.5}
            await operator.study.record(0, Point(3, {"exact": 50.0}, losses))
            document = json.loads((await operator.get())[1], parse_constant=pytest.fail)
            (point,) = document["trials"][0]["curve"]
            assert point["losses"] == {"total": None, "hard": None, "soft": 0.5}
            (trial,) = await operator.trials()
            assert trial.curve == (Point(3, {"exact": 50.0}, {"soft": 0.5}),)

    asyncio.run(check())


def test_nobody_without_the_key_learns_anything(url: str) -> None:
    async def check() -> None:
        async with served(url) as operator:
            plain, _, query = operator.path.partition("?")
            other = plain.replace("tiny", "other")
            refused = [
                await operator.get(path)
                for path in (
                    plain,
                    f"{plain}?key=",
                    f"{plain}?{query[:-1]}",
                    f"{plain}?{query}x",
                    f"{plain}?key=%C3%A9",
                    f"{other}?{query}",
                )
            ]
            assert {code for code, _ in refused} == {404}
            assert len(set(refused)) == 1  # not even whether there is such an experiment
            del operator.cache.experiments[KEY]["status"]["trialsPath"]
            for path in (plain, f"{plain}?key=", operator.path):
                assert (await operator.get(path))[0] == 404

    asyncio.run(check())


def test_nothing_can_be_changed(url: str) -> None:
    async def check() -> None:
        async with served(url) as operator, aiohttp.ClientSession() as session:
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                async with session.request(method, operator.address + operator.path) as answer:
                    assert answer.status == 405

    asyncio.run(check())


def test_the_answer_is_packed_for_who_takes_it_so(url: str) -> None:
    async def check() -> None:
        async with served(url) as operator:
            await operator.study.ask(EXPERIMENT.spec, 50, 2.0)
            packed, plain = [
                await operator.get(headers={"Accept-Encoding": encoding}, auto_decompress=False)
                if encoding == "gzip"
                else await operator.get(headers={"Accept-Encoding": encoding})
                for encoding in ("gzip", "identity")
            ]
            assert len(packed[1]) < len(plain[1]) / 5

    asyncio.run(check())


def test_a_database_that_is_away_is_said(postgresql: Postgres) -> None:
    async def check() -> None:
        async with served(postgresql.url(f"test_{uuid.uuid4().hex}")) as operator:
            postgresql.stop()
            try:
                code, text = await operator.get()
            finally:
                postgresql.start()
            assert code == 503
            assert b"cannot be used: " in text
            assert b"word" not in text
            assert await operator.trials() == ()

    asyncio.run(check())


def test_an_answer_that_breaks_off_is_not_taken_for_whole(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials_server, "PAGE", 1)
    rest = iter([None, None, None])

    async def check() -> None:
        async with served(url) as operator:
            await operator.study.ask(EXPERIMENT.spec, 5, 2.0)
            page = Storage.page

            def breaks(place: Storage, after: int, count: int) -> Any:
                if next(rest, 0) == 0:
                    raise DatabaseUnavailable("gone")
                return page(place, after, count)

            monkeypatch.setattr(Storage, "page", breaks)
            with pytest.raises(aiohttp.ClientError):
                await operator.get(headers={"Accept-Encoding": "identity"})

    asyncio.run(check())


def test_a_reader_that_reads_nothing_does_not_keep_others_waiting(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(trials_server, "ANSWERS", 1)
    monkeypatch.setattr(trials_server, "ANSWER_SECONDS", 0.5)
    texts = trials_server._texts
    monkeypatch.setattr(trials_server, "_texts", lambda *_: itertools.repeat("x" * MEGABYTE))

    async def check() -> None:
        async with served(url) as operator:
            port = int(operator.address.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {operator.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.read(100)
            monkeypatch.setattr(trials_server, "_texts", texts)
            assert await asyncio.wait_for(operator.trials(), 30) == ()
            writer.close()

    asyncio.run(check())
    assert [r.getMessage() for r in caplog.records if r.levelname != "INFO"] == [
        "the trials of tiny were broken off: TimeoutError()"
    ]


def test_a_path_stands_as_long_as_its_service() -> None:
    first = trials_server.path("ops/distillery:trials", KEY, None)
    assert first is not None
    prefix = "/api/v1/namespaces/ops/services/distillery:trials/proxy/v1/namespaces/science"
    assert first.startswith(f"{prefix}/experiments/tiny/trials?key=")
    assert len(first.partition("key=")[2]) > 40
    assert trials_server.path("ops/distillery:trials", KEY, first) == first
    assert trials_server.path("ops/other:trials", KEY, first) != first
    assert trials_server.path("ops/distillery:trials", KEY._replace(name="tin"), first) != first
    assert trials_server.path("", KEY, first) is None


def test_a_path_gets_another_key_when_its_owner_wants_one() -> None:
    service = "ops/distillery:trials"
    first = trials_server.path(service, KEY, None)
    second = trials_server.path(service, KEY, first, "leaked in March")
    third = trials_server.path(service, KEY, second, "leaked in May")
    assert len({first, second, third}) == 3
    assert trials_server.path(service, KEY, second, "leaked in March") == second
    assert trials_server.path(service, KEY, third) not in (first, second, third)


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b'{"version": 2, "trials": []}'])
def test_what_is_no_document_of_this_version_is_refused(text: bytes) -> None:
    with pytest.raises(Incompatible, match="the operator"):
        trials_document.read(text)


READER = """
import gzip, json, sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Accept-Encoding": "gzip"})
packed = urllib.request.urlopen(request).read()
text = gzip.decompress(packed)
document = json.loads(text)
points = sum(len(trial["curve"]) for trial in document["trials"])
print(len(document["trials"]), points, len(packed), len(text))
"""


def test_ten_thousand_trials_neither_stop_the_event_loop_nor_fill_the_memory(
    postgresql: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All work on them is done in the workers, a page at a time: the event loop only sends."""
    url, count, points = postgresql.url(f"test_{uuid.uuid4().hex}"), 10_000, 50
    steps, pages = noted(monkeypatch, trials_server, "_parts"), list[int]()
    page = Storage.page

    def paged(place: Storage, after: int, size: int) -> Any:
        found = page(place, after, size)
        pages.append(len(found))
        return found

    monkeypatch.setattr(Storage, "page", paged)

    async def check() -> tuple[list[int], int]:
        async with served(url) as operator:
            await operator.study.ask(EXPERIMENT.spec, 1, 2.0)
            for step in range(points):
                found = dict.fromkeys(("exact", "f1", "HasAns_exact"), 70.0 + step / 7)
                await operator.study.record(0, Point(step, found, {"total": 1 / (step + 1)}))
            multiply(url, count)
            over, before = asyncio.Event(), resident()
            watch = asyncio.create_task(strain(over))
            command = [sys.executable, "-c", READER, operator.address + operator.path]
            done = await asyncio.to_thread(subprocess.check_output, command)
            over.set()
            return [int(word) for word in done.split()], await watch - before

    (trials, read, packed, size), grown = asyncio.run(check())
    assert (trials, read) == (count, count * points)
    print(f"{size / MEGABYTE:.0f} MB as {packed / MEGABYTE:.1f} MB")
    assert pages == [trials_server.PAGE] * (count // trials_server.PAGE) + [0]
    assert threading.get_ident() not in steps
    assert len(steps) > len(pages) // 10  # others have their turn meanwhile
    assert grown < min(64 * MEGABYTE, size)


def noted(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> list[int]:
    """Note in which thread each step of a generator is done."""
    threads, made = list[int](), getattr(module, name)

    class Noted:
        def __init__(self, *given: Any) -> None:
            self._steps = made(*given)

        def __next__(self) -> Any:
            threads.append(threading.get_ident())
            return next(self._steps)

        def close(self) -> None:
            self._steps.close()

    monkeypatch.setattr(module, name, Noted)
    return threads


def multiply(url: str, count: int) -> None:
    """Copy the one trial of a study, so that there are many."""
    schema = f"exp_{uuid.UUID(shapes.UID).hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {schema}".encode())
        connection.execute(
            "INSERT INTO trials (number, study_id, state)"
            f" SELECT n, study_id, state FROM trials, generate_series(1, {count - 1}) n".encode()
        )
        connection.execute(
            b"INSERT INTO trial_user_attributes (trial_id, key, value_json)"
            b" SELECT t.trial_id, key, value_json FROM trials t, trial_user_attributes a"
            b" JOIN trials first USING (trial_id)"
            b" WHERE first.number = 0 AND t.number > 0 AND key <> 'record'"
        )
        # Each has a record of its own, which names its number and its row.
        connection.execute(
            b"INSERT INTO trial_user_attributes (trial_id, key, value_json)"
            b" SELECT trial_id, 'record',"
            b" json_build_object('version', %d, 'number', number, 'row', trial_id)::text"
            b" FROM trials WHERE number > 0" % records.VERSION
        )


async def strain(over: asyncio.Event) -> int:
    """Return the most memory in bytes."""
    most = 0
    while not over.is_set():
        await asyncio.sleep(0.01)
        most = max(most, resident())
    return most


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
