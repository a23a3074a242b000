"""The Jobs that remove what nobody owns."""

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.kinds import Kind
from distillery_operator.controller import pruning
from distillery_operator.controller.pruning import Unowned
from distillery_operator.resource import parsing
from distillery_operator.study import survey
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.workers import Workers
from support import worlds
from support.jobs_in_memory import Server
from support.shapes import DEFAULTS, UID

PULL = {"imagePullSecrets": [{"name": "registry"}]}


class Quick(Server):
    """Jobs that succeed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.pods_made: list[dict[str, Any]] = []

    async def create(self, kind: Kind, body: Any) -> bool:
        made = await super().create(kind, body)
        self.pods_made.append(body["spec"]["template"]["spec"])
        self.end("Complete")
        return made


def test_they_have_what_lies_below_every_template(tmp_path: Path) -> None:
    """Without it no node of a cluster with a registry of its own could start them."""
    document = worlds.document()
    document["metadata"] = {"name": "tiny", "namespace": "science", "uid": UID}
    experiment = parsing.parse(document)
    server, defaults = Quick(), replace(DEFAULTS, template={"spec": PULL})

    async def search(database: Database) -> None:
        with Workers(1) as workers:
            study = await Study.open(database.storage(UID), experiment, 1.0, workers)
            await study.ask(experiment.spec, 1, 2.0)
            await study.close()

    async def remove(unowned: Unowned) -> None:
        removed = pruning.remove(cast(Api, server), unowned, (), defaults)
        assert [fault async for _, fault in removed] == [""]

    with closing(Database(f"sqlite:///{tmp_path}", 1)) as database:
        asyncio.run(search(database))
        failed = [replace(found, failed=(0,)) for found in survey.look(database)]
        asyncio.run(remove(Unowned(failed=failed, experiments={UID: experiment})))
        asyncio.run(remove(Unowned(gone=[*survey.look(database)])))
        assert not [*survey.look(database)]
    assert [{k: pod[k] for k in PULL} for pod in server.pods_made] == [PULL, PULL]
