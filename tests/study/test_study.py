"""The study on SQLite: the port's suite, and what a file of its own is to its readers."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from distillery_operator.errors import StudyMismatch
from distillery_operator.resource.experiment import Experiment
from distillery_operator.study import curves, study
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
        curve = curves.thin((*curve, Point(step, {})))
    assert len(curve) <= curves.CURVE_LIMIT
    assert (curve[0].step, curve[-1].step) == (0, 999)
    assert [p.step for p in curve] == sorted(p.step for p in curve)
