"""Whose a study is: it is found again by an annotation, by nobody else, and removed whole."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distillery_operator.engine.actions import Tell
from distillery_operator.errors import InUse, StudyMissing
from distillery_operator.resource import parsing
from distillery_operator.resource.experiment import STUDY, Experiment
from distillery_operator.study import specs, study, survey
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.workers import Workers
from distillery_operator.trials.attempt import Report
from distillery_operator.trials.trial import State
from support import worlds

FIRST, SECOND = "5b0c8a0e-7b1f-4c63-9d0e-0d4c1c9a51aa", "0e3f4c52-2f0b-4a51-8f9c-3d2b6a7c80bb"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path}", 1)) as made:
        yield made


def experiment(uid: str = FIRST, study: str | None = None, **metadata: str) -> Experiment:
    """Return an experiment as a cluster has it."""
    document = worlds.document()
    named = {STUDY: study} if study else {}
    own = {"name": "tiny", "namespace": "science", "uid": uid, "annotations": named}
    document["metadata"] = {**own, **metadata}
    return parsing.parse(document)


def look(database: Database, of: Experiment, *, prepared: str = "", failed: bool = False) -> str:
    """Open a study as an operator does, and work on it; return what is said of a restore."""

    async def work() -> str:
        with Workers(1) as workers:
            metadata: dict[str, Any] = of.metadata.model_dump()
            kept = await Study.open(database.storage_of(metadata), of, 1.0, workers, cluster="here")
            if prepared:
                await kept.keep(replace(worlds.PREPARATION, key=prepared))
            if failed:
                await kept.ask(of.spec, 1, 2.0)
                said = Tell(0, State.FAILED, "Crashed", "it crashed", 7.0, Report(""))
                await kept.tell(of.spec, said, None, 3.0)
            restored = await kept.restored()
            await kept.close()
            return restored

    return asyncio.run(work())


def found(database: Database) -> dict[str, survey.Found]:
    return {study.uid: study for study in survey.look(database)}


def test_an_experiment_that_is_created_again_goes_on_with_its_study_and_says_so(
    database: Database,
) -> None:
    assert look(database, experiment(), prepared="a") == ""
    assert look(database, experiment(study=FIRST)) == ""
    assert "created again" in look(database, experiment(SECOND, FIRST))
    assert "created again" in look(database, experiment(SECOND, FIRST))  # for good
    (only,) = found(database).values()
    assert (only.uid, only.prepared) == (FIRST, "a")
    assert only.resource is not None
    assert (only.resource["uid"], only.resource["cluster"]) == (SECOND, "here")


@pytest.mark.parametrize("metadata", [{"namespace": "arts"}, {"name": "other"}], ids=str)
def test_nobody_else_finds_it(database: Database, metadata: dict[str, str]) -> None:
    look(database, experiment(), prepared="a")
    stranger = experiment(SECOND, FIRST, **metadata)
    with pytest.raises(StudyMissing, match="names the study 5b0c8a0e-"):
        look(database, stranger)
    place = database.storage_of(stranger.metadata.model_dump())
    assert place.find(stranger.metadata.name) is None  # whoever serves trials, or warms up by it
    place.remove()
    assert [*found(database)] == [FIRST]


@pytest.mark.parametrize("uid", [FIRST, SECOND])
def test_a_study_that_is_named_but_missing_is_not_begun_anew(
    database: Database, uid: str, tmp_path: Path
) -> None:
    with pytest.raises(StudyMissing, match="restore the database, or remove the annotation"):
        look(database, experiment(uid, FIRST))
    assert [*tmp_path.iterdir()] == []


def test_an_experiment_that_was_copied_from_a_cluster_runs_on_one_machine(tmp_path: Path) -> None:
    async def twice() -> None:
        for _ in range(2):
            async with study.in_file(tmp_path / "study.db", experiment(FIRST, FIRST), 1.0) as kept:
                assert await kept.restored() == ""

    asyncio.run(twice())


def test_a_study_that_is_being_removed_is_opened_by_nobody(database: Database) -> None:
    look(database, experiment(), prepared="a")
    listed = found(database)[FIRST]
    listed.withdraw()
    listed.withdraw()
    for of in (experiment(), experiment(study=FIRST), experiment(SECOND, FIRST)):
        with pytest.raises(StudyMissing, match="being removed by `distillery prune`"):
            look(database, of)
    listed.storage.remove()
    listed.storage.remove()
    assert found(database) == {}


def test_a_study_that_somebody_has_opened_meanwhile_is_not_removed(database: Database) -> None:
    look(database, experiment(), prepared="a")
    listed = found(database)[FIRST]
    look(database, experiment(SECOND, FIRST))  # its backup was restored
    with pytest.raises(InUse):
        listed.withdraw()
    look(database, experiment(SECOND, FIRST))


def test_what_is_stored_of_an_experiment_makes_it_again_but_for_its_environment() -> None:
    secret = {"name": "TOKEN", "value": "secret"}
    container = {"name": "trainer", "image": "mine", "env": [secret], "envFrom": []}
    template = {"spec": {"containers": [container], "volumes": [{"name": "workspace"}]}}
    document = worlds.document(template=template)
    document["metadata"] = {"name": "tiny", "namespace": "science", "uid": FIRST}
    stored = specs.resource_of(parsing.parse(document), "here")
    again = parsing.parse({**document, "spec": stored["spec"]})
    kept = {"containers": [{"name": "trainer", "image": "mine"}]}
    assert again.spec.template == {"spec": {**template["spec"], **kept}}
    assert again.spec.model_copy(update={"template": template}) == parsing.parse(document).spec


def test_prepared_data_are_a_studys_own_if_no_other_has_them(database: Database) -> None:
    look(database, experiment(), prepared="a")
    look(database, experiment(SECOND, name="other"), prepared="a")
    own = found(database)[FIRST].key
    assert survey.sole_key(database, own) is None
    look(database, experiment(SECOND, name="other"), prepared="b")
    assert survey.sole_key(database, own) == "a"
    assert survey.sole_key(database, "nobody's") is None


def test_trials_that_have_failed_are_listed_until_their_files_are_gone(database: Database) -> None:
    look(database, experiment(), prepared="a", failed=True)
    listed = found(database)[FIRST]
    assert listed.failed == (0,)
    listed.collect(listed.failed)
    assert found(database)[FIRST].failed == ()


def test_a_study_that_cannot_be_read_keeps_no_other_from_being_listed(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / f"{SECOND}.db").write_text("not a database")
    look(database, experiment(), prepared="a")
    assert "not a database" in found(database)[SECOND].fault
    assert found(database)[FIRST].prepared == "a"
    assert survey.sole_key(database, found(database)[FIRST].key) is None
