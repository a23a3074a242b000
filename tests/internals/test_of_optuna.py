"""What is assumed of Optuna beyond its documentation: a test that fails names what moved."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState, create_trial
from optuna_dashboard import _named_objectives, _serializer
from sqlalchemy import Engine, Table, UniqueConstraint, create_engine, inspect, select

from distillery_operator.internals import of_optuna
from distillery_operator.study import schema

COLUMNS = {
    of_optuna.STUDIES: {"study_id", "study_name"},
    of_optuna.STUDY_DIRECTIONS: {"study_id", "objective", "direction"},
    of_optuna.STUDY_ATTRIBUTES: {"study_id", "key", "value_json"},
    of_optuna.TRIALS: {
        "trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete",
    },
    of_optuna.PARAMETERS: {"trial_id", "param_name", "param_value", "distribution_json"},
    of_optuna.VALUES: {"trial_id", "objective", "value", "value_type"},
    of_optuna.ATTRIBUTES: {"trial_id", "key", "value_json"},
    of_optuna.SYSTEM_ATTRIBUTES: {"trial_id", "key", "value_json"},
}  # fmt: skip
KEYS = {
    of_optuna.STUDY_ATTRIBUTES: {"study_id", "key"},
    of_optuna.PARAMETERS: {"trial_id", "param_name"},
    of_optuna.VALUES: {"trial_id", "objective"},
    of_optuna.ATTRIBUTES: {"trial_id", "key"},
    of_optuna.SYSTEM_ATTRIBUTES: {"trial_id", "key"},
}


@pytest.fixture
def storage() -> Iterator[optuna.storages.RDBStorage]:
    made = optuna.storages.RDBStorage("sqlite://")
    yield made
    made.engine.dispose()


@pytest.mark.parametrize("table", COLUMNS, ids=lambda table: table.name)
def test_a_table_has_the_columns_that_we_write_and_needs_no_others(table: Table) -> None:
    own = {column.name for column in table.primary_key}
    assert {c.name for c in table.columns} - own == COLUMNS[table] - own
    assert own == {next(iter(table.primary_key)).name}  # which the database numbers


@pytest.mark.parametrize("table", KEYS, ids=lambda table: table.name)
def test_a_row_that_is_written_again_is_known_by_its_only_key(table: Table) -> None:
    (key,) = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    assert {column.name for column in key.columns} == KEYS[table]


def test_the_version_of_the_tables_is_where_alembic_keeps_it(
    storage: optuna.storages.RDBStorage,
) -> None:
    with storage.engine.connect() as connection:
        found = connection.execute(select(of_optuna.VERSION.c.version_num)).scalar()
    assert found == storage.get_head_version() == storage.get_current_version()


def test_tables_that_we_make_are_those_that_optuna_makes(
    storage: optuna.storages.RDBStorage, tmp_path: Path
) -> None:
    file = f"sqlite:///{tmp_path}/made.db"
    engine = create_engine(file)
    with engine.begin() as connection:
        of_optuna.make_tables(connection, schema.current())
    assert shape(engine) == shape(storage.engine)
    engine.dispose()
    checked = optuna.storages.RDBStorage(file)  # refuses tables of another version
    assert checked.get_current_version() == storage.get_head_version()
    checked.engine.dispose()


def shape(engine: Engine) -> Mapping[str, Any]:
    found = inspect(engine)
    return {
        name: (
            sorted((c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)),
            sorted(str(index) for index in found.get_indexes(name)),
        )
        for name in found.get_table_names()
    }


def test_optuna_numbers_a_trial_by_those_before_it(storage: optuna.storages.RDBStorage) -> None:
    study = optuna.create_study(storage=storage)
    asked = [study.ask().number for _ in range(3)]
    rows = select(of_optuna.TRIALS.c.trial_id, of_optuna.TRIALS.c.number)
    with storage.engine.connect() as connection:
        found = connection.execute(rows.order_by(of_optuna.TRIALS.c.trial_id)).all()
    assert [number for _, number in found] == asked == [0, 1, 2]


@pytest.mark.parametrize("value", [0.0, -1.5, math.inf, -math.inf])
def test_an_objective_that_we_store_is_what_optuna_reads(
    storage: optuna.storages.RDBStorage, value: float
) -> None:
    study = optuna.create_study(storage=storage)
    study.tell(study.ask(), 7.0)
    with storage.engine.begin() as connection:
        connection.execute(of_optuna.VALUES.update().values(**of_optuna.stored(value)))
    loaded = optuna.load_study(study_name=study.study_name, storage=storage)
    assert loaded.get_trials()[0].value == value


def test_nsga_ii_breeds_from_the_generation_that_a_trial_is_given() -> None:
    sampler = optuna.samplers.NSGAIISampler(population_size=2, seed=1)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for generation in (0, 0, 1, 1):
        trial = create_trial(values=[1.0, 2.0], system_attrs={of_optuna.GENERATION: generation})
        study.add_trial(trial)
    assert [len(sampler.get_population(study, n)) for n in range(3)] == [2, 2, 0]


def test_constraints_are_attributes_that_begin_with_a_word() -> None:
    trial = create_trial(value=1.0, constraints={"exact": 0.5})
    assert trial.system_attrs == {f"{of_optuna.CONSTRAINTS}:exact": 0.5}
    assert trial.state is TrialState.COMPLETE


def test_the_dashboard_reads_constraints_and_names_under_these_attributes() -> None:
    assert of_optuna.CONSTRAINTS == _serializer.CONSTRAINTS_KEY
    assert of_optuna.METRIC_NAMES == _named_objectives.SYSTEM_ATTR_METRIC_NAMES
    study = optuna.create_study(directions=["minimize", "maximize"])
    with pytest.warns(ExperimentalWarning):
        study.set_metric_names(["parameter_count", "exact"])
    storage, number = study._storage, study._study_id
    assert storage.get_study_system_attrs(number) == {
        of_optuna.METRIC_NAMES: ["parameter_count", "exact"]
    }


def test_a_study_as_a_storage_lists_it_can_be_made_like_another() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.set_user_attr("key", 1)
    (found,) = study._storage.get_all_studies()
    made = of_optuna.study(found, 7, "other", {"a": 1})
    assert (of_optuna.study_number(made), made.study_name) == (7, "other")
    assert (made.directions, made.user_attrs) == (study.directions, {"key": 1})
    assert made.system_attrs == {"a": 1}
    assert of_optuna.study_number(found) == study._study_id
