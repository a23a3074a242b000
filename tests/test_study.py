"""The study on a real database: whole suggestions, each result once, the same after a restart."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import optuna
import pytest

import worlds
from distillery_operator import decide, study
from distillery_operator.errors import StudyMismatch
from distillery_operator.resources import Experiment
from distillery_operator.study import Study
from distillery_operator.trials import Point, Report, State, Trial

REPORT = Report(
    "Scrape", final=True, metrics={"exact": 70.0, "HasAns_exact": 60.0, "NoAns_exact": 80.0}
)


@asynccontextmanager
async def opened(folder: Path, experiment: Experiment) -> AsyncIterator[Study]:
    kept = Study(f"sqlite:///{folder}/study.db", experiment, 1.0)
    try:
        yield kept
    finally:
        await kept.close()


def run(
    folder: Path, work: Callable[[Study], Awaitable[None]], experiment: Experiment | None = None
) -> tuple[Trial, ...]:
    """Do some work on a study and return its trials, as a process that opens it later sees them."""
    experiment = experiment or worlds.experiment()

    async def both() -> tuple[Trial, ...]:
        async with opened(folder, experiment) as kept:
            await kept.keep(worlds.PREPARATION)
            await work(kept)
            written = (await kept.load())[2]
        async with opened(folder, experiment) as kept:
            read = (await kept.load())[2]
        assert read == written
        return read

    return asyncio.run(both())


def tell(number: int, state: State = State.COMPLETED, report: Report = REPORT) -> decide.Tell:
    return decide.Tell(number, state, "Reason", "message", 7.0, report)


def test_baselines_come_first_and_the_sampler_after_them(tmp_path: Path) -> None:
    experiment = worlds.experiment(
        baselines=[{"name": "deep", "parameters": {"n_layers": 6, "dropout": 0.3}}]
    )
    trials = run(tmp_path, lambda s: s.ask(experiment.spec, 3, 2.0), experiment)
    assert [t.baseline for t in trials] == ["deep", None, None]
    assert trials[0].parameters == {"epochs": 1, "temperature": 2.0, "n_layers": 6, "dropout": 0.3}
    assert set(trials[1].parameters) == {
        "epochs", "temperature", "learning_rate", "n_layers", "layer_selection",
    }  # fmt: skip


def test_the_parameter_count_is_known_before_a_trial_starts(tmp_path: Path) -> None:
    trials = run(tmp_path, lambda s: s.ask(worlds.experiment().spec, 4, 2.0))
    counts = {t.parameters["n_layers"]: t.parameter_count for t in trials}
    assert all(count and count > 100_000 for count in counts.values())
    assert sorted(counts) == [k for k, _ in sorted(counts.items(), key=lambda kv: kv[1] or 0)]


def test_a_restart_suggests_what_an_unbroken_run_suggests(tmp_path: Path) -> None:
    spec = worlds.experiment().spec
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    async def at_once(kept: Study) -> None:
        for number in range(6):
            await kept.ask(spec, 1, 2.0)
            await kept.tell(spec, tell(number), "m", 3.0)

    whole = run(tmp_path / "a", at_once)
    for number in range(6):

        async def step(kept: Study, n: int = number) -> None:
            await kept.ask(spec, 1, 2.0)
            await kept.tell(spec, tell(n), "m", 3.0)

        parts = run(tmp_path / "b", step)
    assert [t.parameters for t in parts] == [t.parameters for t in whole]


def test_a_trial_is_told_once(tmp_path: Path) -> None:
    spec = worlds.experiment().spec

    async def work(kept: Study) -> None:
        await kept.ask(spec, 1, 2.0)
        await kept.tell(spec, tell(0), "model", 3.0)
        await kept.tell(spec, tell(0, State.FAILED), None, 4.0)

    (trial,) = run(tmp_path, work)
    assert (trial.state, trial.ended, trial.model) == (State.COMPLETED, 3.0, "model")
    assert trial.metrics["parameter_count"] == trial.parameter_count


def test_optuna_sees_infeasible_endings_as_violated_constraints(tmp_path: Path) -> None:
    spec = worlds.experiment().spec

    async def work(kept: Study) -> None:
        await kept.ask(spec, 3, 2.0)
        await kept.tell(spec, tell(0), "model", 3.0)
        await kept.tell(spec, tell(1, State.INFEASIBLE, Report("")), None, 3.0)
        await kept.tell(spec, tell(2, State.FAILED, Report("")), None, 3.0)

    run(tmp_path, work)
    stored = optuna.load_study(study_name="tiny", storage=f"sqlite:///{tmp_path}/study.db")
    good, early, failed = stored.get_trials()
    assert [t.state.name for t in (good, early, failed)] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert all(v <= 0 for v in good.constraints.values())
    assert early.constraints["ended_early"] > 0
    assert early.values[0] == 0.0  # the worst exact
    assert early.values[1] == early.user_attrs["suggestion"]["parameter_count"]
    assert [t.number for t in stored.best_trials] == [0]


def test_learning_curves_are_kept_and_thinned(tmp_path: Path) -> None:
    spec = worlds.experiment().spec

    async def work(kept: Study) -> None:
        await kept.ask(spec, 1, 2.0)
        for step in range(3):
            await kept.record(0, Point(step, {"exact": float(step)}, {"total": 1.0}))

    (trial,) = run(tmp_path, work)
    assert [p.metrics["exact"] for p in trial.curve] == [0.0, 1.0, 2.0]
    curve: tuple[Point, ...] = ()
    for step in range(1000):
        curve = study.thin((*curve, Point(step, {})))
    assert len(curve) <= study.CURVE_LIMIT
    assert (curve[0].step, curve[-1].step) == (0, 999)


def test_a_collected_model_is_gone(tmp_path: Path) -> None:
    spec = worlds.experiment().spec

    async def work(kept: Study) -> None:
        await kept.ask(spec, 1, 2.0)
        await kept.tell(spec, tell(0), "model", 3.0)
        await kept.collect(0)

    (trial,) = run(tmp_path, work)
    assert trial.model is None


def test_another_search_space_is_refused(tmp_path: Path) -> None:
    run(tmp_path, lambda s: s.ask(worlds.experiment().spec, 1, 2.0))
    other = worlds.experiment(parameters=worlds.DOCUMENT["spec"]["parameters"][:1])
    with pytest.raises(StudyMismatch, match="immutable"):
        Study(f"sqlite:///{tmp_path}/study.db", other, 1.0)


def test_importances_name_the_parameter_that_matters(tmp_path: Path) -> None:
    spec = worlds.experiment().spec
    trials = [worlds.completed(n, 50.0 + 5 * (n % 6), 1 + n % 6) for n in range(24)]
    varied = [
        Trial(
            **{**vars(t), "parameters": {**t.parameters, "learning_rate": 0.01 + (n * 7 % 24) / 40}}
        )
        for n, t in enumerate(trials)
    ]
    shares = study.importances(spec, varied)
    assert set(shares) == {"exact", "parameter_count"}
    assert max(shares["parameter_count"], key=lambda k: shares["parameter_count"][k]) == "n_layers"
    assert study.importances(spec, varied[:2]) == {}


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
