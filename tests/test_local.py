"""The runner of one machine, on real processes: one per attempt, found again by the next."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import worlds
from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator import jobs, local
from distillery_operator.decide import Launch
from distillery_operator.errors import InUse
from distillery_operator.local import Runner
from distillery_operator.measurements import Measurements
from distillery_operator.trials import Attempt, Report, Trial

EXPERIMENT = worlds.experiment()
QUICK = (sys.executable, str(Path(__file__).parent / "quick_trainer.py"))
FIRST = Launch(Stage.TRAIN, 0, 1)


@pytest.fixture(autouse=True)
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICK_TRAINER_STEP_SECONDS", "0.05")


def make(workspace: Path) -> Runner:
    return Runner(workspace, EXPERIMENT, QUICK)


def start(runner: Runner, launch: Launch = FIRST, rate: float = 0.2) -> None:
    request = jobs.order(EXPERIMENT, launch, Trial(0, {"learning_rate": rate}))
    asyncio.run(runner.start(launch, request))


def listed(runner: Runner) -> list[Attempt]:
    return list(asyncio.run(runner.list()))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.02)


def ended(runner: Runner) -> Attempt:
    until(lambda: not listed(runner)[-1].live)
    return listed(runner)[-1]


def read(attempt: Attempt) -> Report | None:
    async def once() -> Report | None:
        reader = Measurements()
        try:
            return await reader.read(attempt)
        finally:
            await reader.close()

    return asyncio.run(once())


def test_an_attempt_runs_to_its_end_and_leaves_its_report(tmp_path: Path) -> None:
    runner = make(tmp_path)
    start(runner)
    attempt = ended(runner)
    report = read(attempt)
    assert (attempt.exit_code, attempt.stage, attempt.trial, attempt.number) == (
        0,
        Stage.TRAIN,
        0,
        1,
    )
    assert attempt.seconds > 0.5
    assert report is not None
    assert report.final
    assert report.metrics["exact"] > 80


def test_metrics_are_read_while_it_runs(tmp_path: Path) -> None:
    runner = make(tmp_path)
    start(runner)
    until(lambda: (report := read(listed(runner)[0])) is not None and report.source == "Scrape")
    ended(runner)


def test_starting_twice_starts_one_process(tmp_path: Path) -> None:
    first, second = make(tmp_path), make(tmp_path)
    start(first)
    start(second)
    start(first)
    assert ended(first) == ended(second)
    start(second)  # it has ended: it stays ended
    assert [a.live for a in listed(second)] == [False]
    lines = (tmp_path / jobs.output(EXPERIMENT, 0) / "ledger").read_text().splitlines()
    assert len(lines) == 20


def test_another_runner_sees_a_live_process_and_its_end(tmp_path: Path) -> None:
    first, other = make(tmp_path), make(tmp_path)
    start(first)
    assert [a.live for a in listed(other)] == [True]
    assert ended(other).exit_code == 0
    assert ended(first) == ended(other)


def test_stopping_writes_a_checkpoint_and_the_next_attempt_goes_on(tmp_path: Path) -> None:
    runner = make(tmp_path)
    start(runner)
    until(lambda: (tmp_path / jobs.output(EXPERIMENT, 0) / "checkpoint.json").exists())
    asyncio.run(runner.stop(listed(runner)[0]))
    asyncio.run(runner.stop(listed(runner)[0]))
    assert ended(runner).exit_code == Exit.INTERRUPTED
    start(runner, Launch(Stage.TRAIN, 0, 2))
    until(lambda: len(listed(runner)) == 2)
    assert ended(runner).exit_code == 0
    ledger = (tmp_path / jobs.output(EXPERIMENT, 0) / "ledger").read_text().splitlines()
    assert [int(line.split()[2]) for line in ledger] == list(range(20))


def test_a_process_that_nobody_saw_end_counts_as_lost(tmp_path: Path) -> None:
    runner = make(tmp_path)
    start(runner)
    folder = tmp_path / jobs.output(EXPERIMENT, 0) / "attempt-001"
    until(lambda: (folder / "port").exists())
    os.killpg(int((folder / "pid").read_text()), signal.SIGKILL)
    attempt = ended(runner)
    assert attempt.exit_code is None
    assert attempt.ended is not None


def test_a_crash_leaves_its_last_line_as_message(tmp_path: Path) -> None:
    runner = Runner(tmp_path, EXPERIMENT, (sys.executable, "-c", "raise OSError('disk is full')"))
    start(runner)
    attempt = ended(runner)
    assert (attempt.exit_code, attempt.message) == (1, "OSError: disk is full")


def test_a_failed_preparation_is_forgotten_and_a_good_one_is_not(tmp_path: Path) -> None:
    runner, launch = make(tmp_path), Launch(Stage.PREPARE, 0, 1)
    start(runner, launch)
    assert ended(runner).exit_code == Exit.BAD_DATA  # there is no train.json
    runner.forget_failed_preparation()
    assert listed(runner) == []
    (tmp_path / "train.json").touch()
    start(runner, launch)
    assert ended(runner).exit_code == 0
    runner.forget_failed_preparation()
    assert len(listed(runner)) == 1


def test_a_collected_trial_has_no_model(tmp_path: Path) -> None:
    runner = make(tmp_path)
    start(runner)
    ended(runner)
    assert (tmp_path / jobs.model(EXPERIMENT, 0)).is_dir()
    asyncio.run(runner.collect(0))
    assert not (tmp_path / jobs.model(EXPERIMENT, 0)).exists()


def test_the_trainer_gets_its_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    program = "import os; print(os.environ['OMP_NUM_THREADS'])"
    runner = Runner(tmp_path, EXPERIMENT, (sys.executable, "-c", program))
    start(runner)
    share = max(1, len(os.sched_getaffinity(0)) // EXPERIMENT.spec.parallelism)
    assert ended(runner).message == str(share)


def test_results_belong_to_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        local.only_one(tmp_path),
        pytest.raises(InUse, match="another `distillery run`"),
        local.only_one(tmp_path),
    ):
        pass
    with local.only_one(tmp_path):
        pass
