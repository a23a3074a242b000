"""The study on SQLite: the port's suite, what Optuna sees of it, and kills while it writes."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

import ports
import worlds
from distillery_operator import sampling, study
from distillery_operator.study import Study
from distillery_operator.trials import Point, Report, State

SPEC = worlds.experiment().spec


class TestSqlite(ports.StudySuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/study.db"

    @pytest.fixture
    def other_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/other.db"


def test_optuna_sees_infeasible_endings_as_violated_constraints(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"

    async def endings(kept: Study) -> None:
        await kept.ask(SPEC, 3, 2.0)
        await kept.tell(SPEC, ports.tell(0), "model", 3.0)
        await kept.tell(SPEC, ports.tell(1, State.INFEASIBLE, Report("")), None, 3.0)
        await kept.tell(SPEC, ports.tell(2, State.FAILED, Report("")), None, 3.0)

    ports.work(url, endings)
    stored = optuna.load_study(study_name="tiny", storage=url)
    good, early, failed = stored.get_trials()
    assert [t.state.name for t in (good, early, failed)] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert all(v <= 0 for v in good.constraints.values())
    assert early.constraints["ended_early"] > 0
    assert early.values[0] == 0.0  # the worst exact
    assert early.values[1] == early.user_attrs["suggestion"]["parameter_count"]
    assert [t.number for t in stored.best_trials] == [0]


def test_readers_do_not_block_the_writer(tmp_path: Path) -> None:
    ports.work(f"sqlite:///{tmp_path}/study.db", lambda kept: kept.ask(SPEC, 1, 2.0))
    assert (tmp_path / "study.db").read_bytes()[18:20] == b"\x02\x02"  # the header says WAL


def test_a_long_learning_curve_is_thinned() -> None:
    curve: tuple[Point, ...] = ()
    for step in range(1000):
        curve = study.thin((*curve, Point(step, {})))
    assert len(curve) <= study.CURVE_LIMIT
    assert (curve[0].step, curve[-1].step) == (0, 999)
    assert [p.step for p in curve] == sorted(p.step for p in curve)


def test_importances_name_the_parameter_that_matters() -> None:
    trials = [worlds.completed(n, 50.0 + 5 * (n % 6), 1 + n % 6) for n in range(24)]
    rates = [0.01 + (n * 7 % 24) / 40 for n in range(24)]
    varied = [
        replace(trial, parameters={**trial.parameters, "learning_rate": rate})
        for trial, rate in zip(trials, rates, strict=True)
    ]
    shares = sampling.importances(SPEC, varied)
    assert set(shares) == {"exact", "parameter_count"}
    assert max(shares["parameter_count"], key=lambda k: shares["parameter_count"][k]) == "n_layers"
    assert sampling.importances(SPEC, varied[:2]) == {}


ASKING = """
    import asyncio, sys
    sys.path.insert(0, {tests!r})
    import worlds
    from distillery_operator.study import Study

    async def main() -> None:
        kept = Study("sqlite:///study.db", worlds.experiment(), 1.0)
        await kept.keep(worlds.PREPARATION)
        print("ready", flush=True)
        while True:
            await kept.ask(worlds.experiment().spec, 1, 2.0)

    asyncio.run(main())
"""


def test_a_kill_leaves_no_half_written_suggestion(tmp_path: Path) -> None:
    program = textwrap.dedent(ASKING).format(tests=str(Path(__file__).parent))
    for milliseconds in (40, 90, 170):
        child = subprocess.Popen(
            [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(milliseconds / 1000)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    stored = optuna.load_study(study_name="tiny", storage=f"sqlite:///{tmp_path}/study.db")
    trials = stored.get_trials()
    assert trials
    assert [t.number for t in trials] == list(range(len(trials)))
    assert all(set(t.params) == {"learning_rate", "n_layers", "layer_selection"} for t in trials)
    assert all("suggestion" in t.user_attrs for t in trials)
