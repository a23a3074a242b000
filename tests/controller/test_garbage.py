"""What thousands of trials in memory cost the event loop."""

import asyncio
import gc
from contextlib import closing
from pathlib import Path
from typing import cast

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.controller.controller import Controller
from distillery_operator.controller.event_writer import Announcer
from distillery_operator.controller.settings import Settings
from distillery_operator.controller.work_queue import WorkQueue
from distillery_operator.measurements.scraping import Scraper
from distillery_operator.resource import parsing
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.workers import Workers
from distillery_operator.trials.trial import Trial
from support import worlds
from support.jobs_in_memory import Server
from support.shapes import DEFAULTS

KEY = Key("science", "long")


class Statuses(Server):
    """An API server that takes statuses and events."""

    async def claim(self, key: Key, _: str, *, force: bool = False) -> bool:
        return True

    async def apply_status(self, *_: object) -> None:
        return

    async def event(self, _: object) -> None:
        return


def test_the_garbage_collector_leaves_the_trials_of_an_open_study_alone(tmp_path: Path) -> None:
    document = worlds.document()
    own = {"namespace": "science", "generation": 1, "resourceVersion": "1"}
    document["metadata"] = {"name": "long", "uid": "1" * 32, **own}
    wanted = parsing.parse(document)
    seen: list[int] = []

    async def visit(database: Database, workers: Workers) -> None:
        study = await Study.open(database.storage("1" * 32), wanted, 1.0, workers)
        await study.ask(wanted.spec, 3, 2.0)
        await study.close()
        cache, api = Cache(), cast(Api, Statuses())
        cache.put(Kind.EXPERIMENT, document)
        controller = Controller(
            api,
            cache,
            WorkQueue[Key](),
            database=database,
            workers=workers,
            scraper=Scraper("", lambda: None),
            announcer=Announcer(api),
            settings=Settings(DEFAULTS, "distillery", 15.0, "", 30.0),
        )
        del study
        gc.collect()
        await controller.visit(KEY)
        seen.extend(one.number for one in gc.get_objects() if isinstance(one, Trial))
        cache.drop(Kind.EXPERIMENT, document)
        await controller.visit(KEY)  # which leaves no series of it to other tests
        await controller.close()

    with closing(Database(f"sqlite:///{tmp_path}", 1)) as database, Workers(1) as workers:
        asyncio.run(visit(database, workers))
    assert not seen
