"""A fault of the program at one experiment."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.controller.controller import Controller
from distillery_operator.controller.event_writer import Announcer
from distillery_operator.controller.settings import Settings
from distillery_operator.controller.work_queue import WorkQueue
from distillery_operator.measurements.scraping import Scraper
from distillery_operator.study.database import Database
from distillery_operator.study.workers import Workers
from support import worlds
from support.jobs_in_memory import Server
from support.shapes import DEFAULTS

SETTINGS = Settings(DEFAULTS, "distillery", 15.0, "", 30.0)


class Statuses(Server):
    """An API server that keeps statuses and events."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: dict[Key, Mapping[str, Any]] = {}
        self.told: list[Mapping[str, Any]] = []

    async def claim(self, key: Key, _: str, *, force: bool = False) -> bool:
        return True

    async def apply_status(self, key: Key, status: Mapping[str, Any]) -> None:
        self.statuses[key] = status

    async def event(self, body: Mapping[str, Any]) -> None:
        self.told.append(body)

    def condition(self, key: Key, kind: str) -> Mapping[str, Any]:
        said = self.statuses[key]["conditions"]
        return next((c for c in said if c["type"] == kind), {})


def experiment(name: str) -> dict[str, Any]:
    document = worlds.document()
    own = {"namespace": "science", "generation": 1, "resourceVersion": "1"}
    document["metadata"] = {"name": name, "uid": f"{len(name):032x}", **own}
    return document


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path}", 1)) as database:
        yield database


def test_it_is_said_in_its_status_and_by_an_event_and_holds_up_no_other(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    faulty, healthy = Key("science", "faulty"), Key("science", "healthy")

    class Odd(Cache):
        """A fault that every visit to one experiment meets; a program has none on demand."""

        def jobs(self, key: Key, uid: str) -> Any:
            if key == faulty and broken:
                raise IndexError("list index out of range")
            return super().jobs(key, uid)

    broken, server, cache, queue = True, Statuses(), Odd(), WorkQueue[Key]()

    async def visits() -> None:
        api = cast(Api, server)
        announcer = Announcer(api)
        scraper = Scraper("", lambda: None)
        with Workers(1) as workers:
            controller = Controller(
                api,
                cache,
                queue,
                database=database,
                workers=workers,
                scraper=scraper,
                announcer=announcer,
                settings=SETTINGS,
            )
            for key in (faulty, healthy):
                cache.put(Kind.EXPERIMENT, experiment(key.name))
            writing = asyncio.create_task(announcer.write())
            with pytest.raises(IndexError):  # the queue logs it, and comes again later
                await controller.visit(faulty)
            await controller.visit(healthy)
            said = server.condition(faulty, "Visited")
            assert (said["status"], said["reason"]) == ("False", "ProgramFault")
            assert "IndexError: list index out of range" in said["message"]
            assert server.statuses[faulty]["state"] == "ProgramFault"
            assert not server.condition(healthy, "Visited")
            await asyncio.sleep(0)
            assert "ProgramFault" in [event["reason"] for event in server.told]
            nonlocal broken
            broken = False
            await controller.visit(faulty)
            assert not server.condition(faulty, "Visited")
            for key in (faulty, healthy):  # their series stand in the process's registry
                del cache.experiments[key]
                await controller.visit(key)
            writing.cancel()
            await controller.close()
        await scraper.close()

    caplog.set_level(logging.CRITICAL)
    asyncio.run(visits())
