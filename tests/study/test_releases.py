"""Studies of every release are read, gone on with, and survive a rollback."""

import asyncio
import json
import re
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

from distillery_operator.errors import DatabaseUnavailable, StudyMismatch
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.sampler import Sampler, SamplerType
from distillery_operator.study import records, specs
from distillery_operator.trials.trial import Point, State, Trial
from support import ports, releases
from support.postgres import Postgres
from support.releases import SCHEMA, STORED

EXPERIMENT = releases.experiment()
SPEC = EXPERIMENT.spec


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}"
    server: Postgres = request.getfixturevalue("postgresql")
    return server.url(f"releases_{uuid.uuid4().hex}")


def look(url: str, experiment: Experiment = EXPERIMENT) -> tuple[Trial, ...]:
    async def load() -> tuple[Trial, ...]:
        async with ports.opened(url, STORED, experiment, curves=True) as kept:
            return (await kept.load())[2]

    return asyncio.run(load())


def execute(url: str, statement: str) -> list[Any]:
    """Execute a statement where the tables of the study are."""
    if url.startswith("sqlite"):
        path = f"{url.removeprefix('sqlite:///')}/{STORED}.db"
        with closing(sqlite3.connect(path)) as file, file:
            return file.execute(statement).fetchall()
    with psycopg.connect(url, autocommit=True, options=f"-csearch_path={SCHEMA}") as connection:
        found = connection.execute(statement.encode())
        return found.fetchall() if found.description else []


def stored(url: str, table: str) -> dict[tuple[int, str], Any]:
    """Return the attributes of the study or of trials, by owner and name."""
    owner = "study_id" if table.startswith("study") else "trial_id"
    found = execute(url, f"SELECT {owner}, key, value_json FROM {table}")
    return {(identifier, key): json.loads(value) for identifier, key, value in found}


@pytest.mark.parametrize("version", releases.versions())
def test_the_study_of_a_release_is_read_whole(url: str, version: str) -> None:
    releases.restore(version, url)

    async def load() -> None:
        async with ports.opened(url, STORED, EXPERIMENT, curves=True) as kept:
            started, preparation, found = await kept.load()
            assert (started, preparation) == (1000.0, releases.PREPARATION)
            informing = await kept.warm_up(EXPERIMENT, lambda _: None)
            assert [trial.state for trial in informing["earlier"]] == [
                *[State.COMPLETED] * 3, State.INFEASIBLE
            ]  # fmt: skip
            check(found)
            assert (await kept.others()).notes == ()

    asyncio.run(load())


def check(found: tuple[Trial, ...]) -> None:
    assert [trial.number for trial in found] == list(range(7))
    assert [str(trial.state) for trial in found] == [
        "Completed", "Infeasible", "Stopped", "Failed", "Running", "Completed", "Running"
    ]  # fmt: skip
    assert [len(trial.curve) for trial in found] == [3, 0, 2, 0, 2, 1, 2]
    assert found[0].baseline == "deep"
    assert (found[0].model, found[5].model) == ("trials/00000/model", None)
    assert (found[5].collected, found[0].collected) == (True, False)
    assert found[0].metrics["HasAns_exact"] == 57.0
    assert found[0].parameters["dropout"] == 0.3
    assert found[1].message == "the GPU's memory is too small"
    assert found[2].expected == {"exact": 35.0}
    assert found[4].curve[1].losses["total"] != found[4].curve[1].losses["total"]  # NaN
    assert (found[6].continues, found[6].curve) == (2, found[2].curve)
    assert all(trial.gpus == 0.5 for trial in found if trial.ended)
    assert all(trial.parameter_count for trial in found)


@pytest.mark.parametrize("version", releases.versions())
def test_the_study_of_a_release_goes_on(url: str, version: str) -> None:
    releases.restore(version, url)

    async def go_on() -> tuple[Trial, ...]:
        async with ports.opened(url, STORED, EXPERIMENT, curves=True) as kept:
            await kept.warm_up(EXPERIMENT, lambda _: None)
            await kept.ask(SPEC, 2, 2000.0)
            await kept.record(4, Point(30, {"exact": 48.0}, {"total": 1.0}, 40, 2001.0))
            await kept.tell(SPEC, ports.tell(4), "model", 2002.0)
            await kept.tell(SPEC, ports.tell(7, State.STOPPED), None, 2003.0)
            await kept.promote(SPEC, 7, 2004.0)
            await kept.collect([0])
            return (await kept.load())[2]

    found = asyncio.run(go_on())
    assert [repr(trial) for trial in look(url)] == [repr(trial) for trial in found]  # NaN
    assert [trial.number for trial in found] == list(range(10))
    assert (found[4].state, found[0].model, found[9].continues) == (State.COMPLETED, None, 7)
    seen = with_optuna(url).get_trials()
    assert [t.user_attrs["record"]["number"] for t in seen] == list(range(10))
    assert [t.user_attrs["record"]["version"] for t in seen] == [1] * 7 + [records.VERSION] * 3
    assert seen[4].state is TrialState.COMPLETE


@pytest.mark.parametrize("version", releases.versions())
def test_a_search_goes_on_with_the_default_sampler_that_it_began_with(
    url: str, version: str
) -> None:
    releases.restore(version, url)

    async def sampler(uid: str, wanted: Experiment = EXPERIMENT) -> str:
        async with ports.opened(url, uid, wanted) as kept:
            return str((await kept.own(wanted)).spec.sampler.type)

    named = SPEC.model_copy(update={"sampler": Sampler(type=SamplerType.NSGAII)})
    begun = str(uuid.uuid4())
    assert asyncio.run(sampler(STORED)) == "TPE", "the default of releases that stored none"
    assert asyncio.run(sampler(STORED, EXPERIMENT.model_copy(update={"spec": named}))) == "NSGAII"
    assert [asyncio.run(sampler(begun)) for _ in range(2)] == ["EHVI", "EHVI"]


def test_a_default_sampler_of_a_later_release_is_taken_for_that_of_this_one() -> None:
    found = [specs.settled(SPEC, stored).sampler.type for stored in ("QMC", "Oracle", "EHVI")]
    assert found == [SamplerType.QMC, SamplerType.EHVI, SamplerType.EHVI]


def with_optuna(url: str) -> optuna.Study:
    address = f"{url}/{STORED}.db"
    if url.startswith("postgresql"):
        address = url.replace("postgresql:", "postgresql+psycopg:").replace("{", "{{")
        address = f"{address.replace('}', '}}')}?options=-csearch_path%3D{SCHEMA}"
    storage = optuna.storages.RDBStorage(address, engine_kwargs={"poolclass": NullPool})
    return optuna.load_study(study_name=None, storage=storage)


def later_record(name: str, record: Any) -> Any:
    """Return a record as a later release might store it: with more in every part."""
    more = {"added": {"later": [1, 2.5, None]}}
    if name == "curve":
        return [{**point, **more, "note": f"step {point['step']}"} for point in record]
    if name.startswith("warm:"):
        return [{**trial, **more} for trial in record]
    if name == "preparation":
        sources = {source: {**model, **more} for source, model in record["sources"].items()}
        return {**record, **more, "sources": sources}
    if name == "format":
        return {"version": records.VERSION + 1, "readers": records.VERSION, **more}
    if name == "record":
        return {**record, "version": records.VERSION + 1, **more}
    return {**record, **more} if isinstance(record, dict) and name != "space" else record


def store_as_later(url: str) -> None:
    """Let a later release have been at work: records, other attributes, and Optuna's tables."""
    for table in ("study_user_attributes", "trial_user_attributes"):
        owner = "study_id" if table.startswith("study") else "trial_id"
        for (identifier, key), value in stored(url, table).items():
            text = json.dumps(later_record(key, value)).replace("'", "''")
            where = f"{owner} = {identifier} AND key = '{key}'"
            execute(url, f"UPDATE {table} SET value_json = '{text}' WHERE {where}")
        values = f"({owner}, key, value_json) VALUES (1, 'unheard_of', '[{{}}]')"
        execute(url, f"INSERT INTO {table} {values}")
    execute(url, "ALTER TABLE trials ADD COLUMN colour VARCHAR(8)")
    execute(url, "UPDATE alembic_version SET version_num = 'v99.0.0.a'")


def kept_by_later(url: str) -> dict[tuple[int, str], Any]:
    """Return what only the later release knows, by owner and name of the attribute."""
    found = {}
    for table in ("study_user_attributes", "trial_user_attributes"):
        for (identifier, key), value in stored(url, table).items():
            parts = value if isinstance(value, list) else [value]
            extras = [
                {name: part[name] for name in ("added", "note") if name in part}
                for part in parts
                if isinstance(part, dict)
            ]
            if any(extras) or key == "unheard_of":
                found[identifier, f"{table}.{key}"] = extras
    return found


@pytest.mark.parametrize("version", releases.versions())
def test_a_rollback_reads_what_the_next_release_stored_and_loses_nothing_of_it(
    url: str, version: str
) -> None:
    """This release, the next one, this one again, the next one again."""
    releases.restore(version, url)

    async def before() -> None:
        async with ports.opened(url, STORED, EXPERIMENT) as kept:
            await kept.ask(SPEC, 1, 2000.0)

    async def rolled_back() -> tuple[Trial, ...]:
        async with ports.opened(url, STORED, EXPERIMENT) as kept:
            assert (await kept.load())[1] == releases.PREPARATION
            await kept.record(4, Point(30, {"exact": 48.0}, {"total": 1.0}, 40, 2001.0))
            await kept.tell(SPEC, ports.tell(4), "model", 2002.0)
            await kept.ask(SPEC, 1, 2003.0)
            await kept.tell(SPEC, ports.tell(7), "model", 2004.0)
            await kept.collect([0])
            return (await kept.load())[2]

    asyncio.run(before())
    store_as_later(url)
    added = kept_by_later(url)
    assert len(added) > 20
    check(look(url)[:7])
    found = asyncio.run(rolled_back())
    assert [trial.number for trial in found] == list(range(9))
    assert (found[4].state, found[7].state) == (State.COMPLETED, State.COMPLETED)
    after = kept_by_later(url)
    curve = (5, "trial_user_attributes.curve")  # of trial 4: it has a further point
    assert after.pop(curve) == [*added.pop(curve), {}]
    assert {place: after[place] for place in added} == added
    # What the next release reads when it comes back: its own version, and this one's records.
    assert stored(url, "study_user_attributes")[1, "format"]["version"] == records.VERSION + 1
    versions = [stored(url, "trial_user_attributes")[n, "record"]["version"] for n in range(1, 10)]
    assert versions == [records.VERSION + 1] * 8 + [records.VERSION]


def test_records_that_this_release_cannot_read_are_refused_with_a_sentence(url: str) -> None:
    releases.restore(releases.versions()[0], url)
    look(url)
    text = json.dumps({"version": 9, "readers": 8})
    execute(url, f"UPDATE study_user_attributes SET value_json = '{text}' WHERE key = 'format'")
    words = "later release wrote records of version 9 there, which releases read from version 8 on"
    with pytest.raises(DatabaseUnavailable, match=words):
        look(url)


def test_states_and_models_of_a_later_release_are_not_misread(url: str) -> None:
    releases.restore(releases.versions()[0], url)
    edit(url, "trial_user_attributes", "ending", '"Completed"', '"Skipped"')
    assert [str(trial.state) for trial in look(url)][::5] == ["Failed", "Failed"]
    edit(url, "study_user_attributes", "preparation", '"bert"', '"modernbert"')
    with pytest.raises(
        DatabaseUnavailable, match="later release prepared a model of the family modernbert there"
    ):
        look(url)


def edit(url: str, table: str, key: str, before: str, after: str) -> None:
    replaced = f"replace(value_json, '{before}', '{after}')"
    execute(url, f"UPDATE {table} SET value_json = {replaced} WHERE key = '{key}'")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("REMOVED", ""),  # as stored before there was this field, whose default is no null
        ('"log": true, "prior": null', ""),
        ('"log": true, "prior": "Normal"', "with prior, which this release does not know"),
        ('"log": false', "made for another search space"),
    ],
)
def test_a_stored_space_is_compared_by_its_meaning(url: str, change: str, words: str) -> None:
    releases.restore(releases.versions()[0], url)
    if change == "REMOVED":
        edit(url, "study_user_attributes", "space", '"log": false, ', "")
    else:
        edit(url, "study_user_attributes", "space", '"log": true', change)
    if not words:
        assert len(look(url)) == 7
        return
    with pytest.raises(StudyMismatch, match=words):
        look(url)


def test_a_later_field_is_stored_only_where_it_says_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = specs.space_of(SPEC)
    assert {p["log"] for p in whole["parameters"] if "log" in p} == {True, False}
    first = [name for name in specs.FIRST_FIELDS if name != "log"]  # as if log came later
    monkeypatch.setattr(specs, "FIRST_FIELDS", first)
    lean = specs.space_of(SPEC)
    assert [p.get("log") for p in lean["parameters"]] == [True, None, None, None]
    assert specs.mismatch(lean, SPEC) == specs.mismatch(whole, SPEC) == ""


def test_other_objectives_and_another_space_are_refused(url: str) -> None:
    releases.restore(releases.versions()[0], url)
    for part, words in (("objectives", "other objectives"), ("parameters", "another search space")):
        spec = SPEC.model_copy(update={part: getattr(SPEC, part)[:1]})
        with pytest.raises(StudyMismatch, match=f"was made for {words}; search space and obj"):
            look(url, EXPERIMENT.model_copy(update={"spec": spec}))


def test_later_tables_that_lack_or_need_something_are_refused(url: str) -> None:
    releases.restore(releases.versions()[0], url)
    execute(url, "UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    execute(url, "ALTER TABLE trials ADD COLUMN colour VARCHAR(8) NOT NULL DEFAULT 'red'")
    assert len(look(url)) == 7
    execute(url, "ALTER TABLE trials RENAME COLUMN datetime_start TO started")
    words = r"a later Optuna \(version v99.0.0.a\) has no trials.datetime_start; use the release"
    with pytest.raises(DatabaseUnavailable, match=words):
        look(url)


def test_what_this_release_stores_can_become_a_dump(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}"
    asyncio.run(releases.store(url))
    check(look(url))


@pytest.mark.parametrize("later", [False, True])
def test_what_is_kept_of_attempts_is_read_of_this_release_and_of_the_next(
    tmp_path: Path, later: bool
) -> None:
    url = f"sqlite:///{tmp_path}"
    asyncio.run(releases.store(url))
    if later:
        store_as_later(url)
        for table in ("study_user_attributes", "trial_user_attributes"):
            added = 'replace(value_json, \'"torch":\', \'"jax": "1", "torch":\')'
            execute(url, f"UPDATE {table} SET value_json = {added}")

    async def load() -> tuple[Trial, ...]:
        async with ports.opened(url, STORED, EXPERIMENT) as kept:
            found = (await kept.load())[2]
            assert await kept.preparing() == (releases.PAST,)
            return found

    found = asyncio.run(load())
    assert found[4].attempts == (releases.PAST,)
    assert [t.provenance for t in found if t.ended] == [releases.MADE] * 5


def test_every_dump_is_of_both_databases() -> None:
    names = {path.name for path in releases.FOLDER.glob("*.sql")}
    assert names == {
        f"{v}.{kind}.sql" for v in releases.versions() for kind in ("sqlite", "postgresql")
    }
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in releases.versions())
