"""The study on SQLite: the port's suite, and what a file of its own is to its readers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from distillery_operator.errors import StudyMismatch
from distillery_operator.resource.experiment import Experiment
from distillery_operator.search import importance
from distillery_operator.study import records, study
from distillery_operator.trials.trial import Point
from support import ports, shared, worlds

SPEC = worlds.experiment().spec


class TestSqlite(ports.StudySuite, shared.SharedSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/studies"

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Callable[[str], optuna.Study]:
        def load(uid: str) -> optuna.Study:
            path = tmp_path / "studies" / f"{uid}.db"
            return optuna.load_study(study_name="tiny", storage=f"sqlite:///{path}")

        return load


def test_readers_do_not_block_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "odd {name} 100%?#.db"

    async def both() -> None:
        async with study.in_file(path, worlds.experiment(), 1.0) as kept:
            await kept.ask(SPEC, 1, 2.0)
            async with study.in_file(path, worlds.experiment(), 2.0) as reader:
                assert await reader.load() == await kept.load()
            await kept.ask(SPEC, 1, 2.0)

    asyncio.run(both())
    assert path.read_bytes()[18:20] == b"\x02\x02"  # the header says WAL


def test_a_study_that_is_refused_leaves_no_file_of_sqlite_behind(tmp_path: Path) -> None:
    async def open_(experiment: Experiment) -> None:
        async with study.in_file(tmp_path / "study.db", experiment, 1.0) as kept:
            await kept.ask(SPEC, 1, 2.0)

    asyncio.run(open_(worlds.experiment()))
    other = worlds.experiment(parameters=worlds.DOCUMENT["spec"]["parameters"][:1])
    for refused in (other, worlds.experiment(training={"epochs": 9})):
        with pytest.raises(StudyMismatch):
            asyncio.run(open_(refused))
        assert [path.name for path in tmp_path.iterdir()] == ["study.db"]


def test_a_long_learning_curve_is_thinned() -> None:
    curve: tuple[Point, ...] = ()
    for step in range(1000):
        curve = records.thin((*curve, Point(step, {})))
    assert len(curve) <= records.CURVE_LIMIT
    assert (curve[0].step, curve[-1].step) == (0, 999)
    assert [p.step for p in curve] == sorted(p.step for p in curve)


def test_importances_name_the_parameter_that_matters() -> None:
    trials = [worlds.completed(n, 50.0 + 5 * (n % 6), 1 + n % 6) for n in range(24)]
    rates = [0.01 + (n * 7 % 24) / 40 for n in range(24)]
    varied = [
        replace(trial, parameters={**trial.parameters, "learning_rate": rate})
        for trial, rate in zip(trials, rates, strict=True)
    ]
    shares = importance.importances(SPEC, varied)
    assert set(shares) == {"exact", "parameter_count"}
    assert max(shares["parameter_count"], key=lambda k: shares["parameter_count"][k]) == "n_layers"
    assert importance.importances(SPEC, varied[:2]) == {}


def test_importances_of_a_parameter_that_depends_on_another_are_known() -> None:
    dropout = {"name": "dropout", "type": "Float", "low": 0, "high": 0.5}
    when = {"parameter": "n_layers", "minimum": 3}
    space = [*worlds.DOCUMENT["spec"]["parameters"], {**dropout, "when": when}]
    trials = []
    for number in range(40):
        trial = worlds.completed(number, 50.0 + number % 7, 1 + number % 6)
        own = {**trial.parameters, "learning_rate": 0.01 + (number * 7 % 40) / 60}
        if number % 6 >= 2:
            own["dropout"] = (number * 3 % 20) / 40
        trials.append(replace(trial, parameters=own))
    shares = importance.importances(worlds.experiment(parameters=space).spec, trials)
    assert set(shares["parameter_count"]) == {
        "learning_rate", "n_layers", "layer_selection", "dropout",
    }  # fmt: skip
    assert max(shares["parameter_count"], key=lambda k: shares["parameter_count"][k]) == "n_layers"
