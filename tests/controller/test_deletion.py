"""What the deletion of an experiment waits for, and what it must not wait for."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.controller.deletion import Deletion
from distillery_operator.resource import parsing
from distillery_operator.resource.label_names import DELETION
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.workers import Workers
from support import shapes, worlds
from support.jobs_in_memory import Server
from support.shapes import DEFAULTS, UID

NOWHERE = "postgresql://nobody:secret@127.0.0.1:1/nothing"
TERMINATING = (
    'jobs.batch "tiny" is forbidden: unable to create new content in namespace science because it'
    " is being terminated"
)


def found(policy: str = "Delete") -> dict[str, Any]:
    """Return an experiment that was deleted."""
    document = worlds.document(deletionPolicy=policy)
    own = {"name": "tiny", "namespace": "science", "uid": UID, "resourceVersion": "7"}
    document["metadata"] = {**own, "finalizers": ["others.dev/x", DELETION]}
    return document


class Case:
    """A deletion, step by step."""

    def __init__(self, database: Database) -> None:
        self.database, self.server, self.cache = database, Server(), Cache()
        self.defaults = DEFAULTS

    def step(self, policy: str = "Delete") -> str:
        with Workers(1) as workers:
            parts = (cast(Api, self.server), self.cache, self.database, workers, self.defaults)
            return asyncio.run(Deletion(*parts).step(Key("science", "tiny"), found(policy)))

    @property
    def freed(self) -> bool:
        """Whether our finalizer was removed, and no other."""
        kept = {"finalizers": ["others.dev/x"], "resourceVersion": "7", "uid": UID}
        assert all(body == {"metadata": kept} for body in self.server.patched)
        return bool(self.server.patched)

    def search(self, trials: int = 1) -> None:
        """Store a study with prepared data and trials."""

        async def ask() -> None:
            with Workers(1) as workers:
                experiment = parsing.parse(found())
                study = await Study.open(self.database.storage(UID), experiment, 1.0, workers)
                await study.keep(worlds.PREPARATION)
                await study.ask(experiment.spec, trials, 2.0)
                await study.close()

        asyncio.run(ask())

    @property
    def studies(self) -> int:
        found = [*self.database.places()]
        for place in found:
            place.close()
        return len(found)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with closing(Database(f"sqlite:///{tmp_path}", 1)) as database:
        yield Case(database)


@pytest.fixture
def lost() -> Iterator[Case]:
    """A deletion whose database does not answer."""
    with closing(Database(NOWHERE, 1)) as database:
        yield Case(database)


def test_the_study_goes_after_the_files_and_the_experiment_last(case: Case) -> None:
    case.search()
    assert case.step() == "the Job tiny-8f1c2f7e-delete to remove the files"
    assert case.step()
    assert (case.studies, case.freed, len(case.server.created)) == (1, False, 1)
    case.server.end("Complete")
    assert case.step() == ""
    assert (case.studies, case.freed, case.server.jobs) == (0, True, {})


def test_a_training_on_a_lost_node_is_waited_for_and_says_what_frees_it(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = shapes.pod(shapes.job(), "Running", shapes.running(), deleted=20)
    pod["spec"]["nodeName"] = "gpu-7"
    case.cache.put(Kind.POD, pod)  # its Job is deleted
    monkeypatch.setattr("time.time", lambda: shapes.seconds(30))
    waits = case.step()
    assert waits.startswith("1 processes to end; the node gpu-7 does not answer")
    assert "kubectl delete node gpu-7" in waits


def test_the_job_that_removes_files_has_what_lies_below_every_template(case: Case) -> None:
    pull = [{"name": "registry"}]
    case.defaults = replace(DEFAULTS, template={"spec": {"imagePullSecrets": pull}})
    case.search()
    case.step()
    (job,) = case.server.jobs.values()
    assert job["spec"]["template"]["spec"]["imagePullSecrets"] == pull


def test_what_was_prepared_goes_even_if_nothing_was_trained(case: Case) -> None:
    case.search(trials=0)
    assert case.step() == "the Job tiny-8f1c2f7e-delete to remove the files"


def test_an_experiment_that_never_ran_needs_no_volume(case: Case) -> None:
    assert case.step() == ""
    assert (case.server.created, case.freed) == ([], True)


def test_who_changes_his_mind_keeps_everything(case: Case) -> None:
    case.search()
    case.step()
    assert case.step("Retain") == ""
    assert (case.studies, case.freed) == (1, True)


def test_a_job_that_is_refused_is_waited_for_in_the_servers_words(case: Case) -> None:
    case.search()
    case.server.refusal = "exceeded quota: none"
    assert case.step() == "exceeded quota: none"
    assert (case.studies, case.freed) == (1, False)


def test_in_a_namespace_that_goes_nothing_waits_for_files(case: Case) -> None:
    case.search()
    case.server.refusal = TERMINATING
    assert case.step() == ""
    assert (case.studies, case.freed) == (0, True)


def test_a_database_that_does_not_answer_is_waited_for(lost: Case) -> None:
    lost.step()
    lost.server.end("Complete")
    assert "Connection refused" in lost.step()
    assert not lost.freed


def test_in_a_namespace_that_goes_nothing_waits_for_the_database(lost: Case) -> None:
    lost.server.refusal = TERMINATING
    assert lost.step() == ""
    assert lost.freed
