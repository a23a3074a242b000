"""The runner of one machine, on real processes: the port's suite, and what only processes have."""

import asyncio
import os
import signal
import sys
from importlib import metadata
from pathlib import Path

import pytest

from distillery_contract import attendant
from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.errors import InUse
from distillery_operator.local import processes
from distillery_operator.local.runner import Runner, only_one
from distillery_operator.trials.attempt import WITHIN_ONE
from distillery_operator.trials.provenance import UNKNOWN
from support import ports, quick_trainer

QUICK = (sys.executable, str(quick_trainer.__file__))


@pytest.fixture(autouse=True)
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICK_TRAINER_STEP_SECONDS", "0.05")


class TestProcesses(ports.RunnerSuite):
    @pytest.fixture
    def make(self, tmp_path: Path) -> ports.MakeRunner:
        return lambda: Runner(tmp_path, ports.EXPERIMENT, QUICK)

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> ports.Ledger:
        path = tmp_path / requests.output(ports.EXPERIMENT, 0) / "ledger"

        def steps() -> list[int]:
            text = path.read_text() if path.exists() else ""
            return [int(line.split()[2]) for line in text.splitlines()]

        return steps


def running(workspace: Path, program: str) -> Runner:
    """Return a runner whose trainer is a line of Python, with its first attempt started."""
    runner = Runner(workspace, ports.EXPERIMENT, (sys.executable, "-c", program))
    ports.start(runner)
    return runner


def test_a_process_that_nobody_saw_end_counts_as_lost(tmp_path: Path) -> None:
    runner = running(tmp_path, "import time; time.sleep(60)")
    pid = tmp_path / requests.output(ports.EXPERIMENT, 0) / "attempt-001" / "pid"
    ports.until(pid.exists)
    os.killpg(int(pid.read_text()), signal.SIGKILL)
    attempt = ports.ended(runner)
    assert attempt.exit_code is None
    assert attempt.ended is not None


def test_a_process_that_was_lost_before_it_wrote_anything_ended_as_it_began(tmp_path: Path) -> None:
    runner = running(tmp_path, "import time; time.sleep(60)")
    folder = tmp_path / requests.output(ports.EXPERIMENT, 0) / "attempt-001"
    ports.until((folder / "log.txt").exists)
    os.killpg(int((folder / "pid").read_text()), signal.SIGKILL)
    ports.ended(runner)
    (folder / "log.txt").unlink()
    attempt = ports.ended(Runner(tmp_path, ports.EXPERIMENT, QUICK))
    assert attempt.ended == attempt.started
    assert attempt.seconds == WITHIN_ONE


def test_a_crash_leaves_its_last_line_as_message(tmp_path: Path) -> None:
    attempt = ports.ended(running(tmp_path, "raise OSError('disk is full')"))
    assert (attempt.exit_code, attempt.message) == (1, "OSError: disk is full")


def test_the_trainer_gets_its_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    runner = running(tmp_path, "import os; print(os.environ['OMP_NUM_THREADS'])")
    share = max(1, len(os.sched_getaffinity(0)) // ports.EXPERIMENT.spec.parallelism)
    assert ports.ended(runner).message == str(share)


def test_a_failed_preparation_is_forgotten_and_a_good_one_is_not(tmp_path: Path) -> None:
    runner = Runner(tmp_path, ports.EXPERIMENT, QUICK)
    launch = Launch(Stage.PREPARE, 0, 1)
    ports.start(runner, launch)
    assert ports.ended(runner).exit_code == Exit.BAD_DATA  # there is no train.json
    runner.forget_failures()
    assert ports.listed(runner) == []
    (tmp_path / "train.json").touch()
    ports.start(runner, launch)
    assert ports.ended(runner).exit_code == 0
    runner.forget_failures()
    assert len(ports.listed(runner)) == 1


def test_a_collected_trial_has_no_model(tmp_path: Path) -> None:
    runner = Runner(tmp_path, ports.EXPERIMENT, QUICK)
    ports.start(runner)
    ports.ended(runner)
    assert (tmp_path / requests.model(ports.EXPERIMENT, 0)).is_dir()
    asyncio.run(runner.collect([0]))
    assert not (tmp_path / requests.model(ports.EXPERIMENT, 0)).exists()


def test_results_belong_to_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        only_one(tmp_path),
        pytest.raises(InUse, match="another `distillery run`"),
        only_one(tmp_path),
    ):
        pass
    with only_one(tmp_path):
        pass


DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("deaf", "w").close()
time.sleep(600)
"""


HELPED = """
import os, subprocess, sys, time
helper = subprocess.Popen(["sleep", "600"], close_fds=False, start_new_session={})
open("part", "w").write(str(helper.pid))
os.rename("part", "helper")
"""


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return True


def test_a_trainer_that_does_not_hear_is_killed_after_its_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = running(tmp_path, DEAF)
    ports.until((tmp_path / "deaf").exists)
    asyncio.run(runner.stop(ports.listed(runner)[0], "TimedOut"))
    assert ports.listed(runner)[0].live  # it has its grace
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.0)
    attempt = ports.ended(runner)
    assert (attempt.exit_code, attempt.halted) == (None, True)


def test_all_trainers_are_killed_at_once_on_demand(tmp_path: Path) -> None:
    runner = running(tmp_path, DEAF)
    ports.until((tmp_path / "deaf").exists)
    runner.kill()
    attempt = ports.ended(runner)
    assert (attempt.exit_code, attempt.halted) == (None, True)
    runner.kill()  # nothing is left, and no other process is meant


@pytest.mark.parametrize("session", [False, True], ids=["same group", "session of its own"])
def test_a_helper_that_a_trainer_leaves_behind_does_not_keep_its_attempt_alive(
    tmp_path: Path, session: bool
) -> None:
    attempt = ports.ended(running(tmp_path, f"{HELPED.format(session)}sys.exit(3)"))
    assert attempt.exit_code == 3
    helper = int((tmp_path / "helper").read_text())
    if session:  # out of reach, but it holds up nothing
        os.kill(helper, signal.SIGKILL)
    ports.until(lambda: gone(helper))


def test_a_helper_out_of_reach_does_not_keep_a_killed_attempt_alive(tmp_path: Path) -> None:
    runner = running(tmp_path, f"{HELPED.format(True)}time.sleep(600)")
    ports.until((tmp_path / "helper").exists)
    runner.kill()
    try:
        assert ports.ended(runner).exit_code is None
    finally:
        os.kill(int((tmp_path / "helper").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    ("code", "kills", "exit_code", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 1, Exit.OUT_OF_MEMORY, "OOMKilled"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 0, 137, ""),  # by a person
        ("sys.exit(1)", 1, 1, ""),  # another process was killed meanwhile
    ],
)
def test_what_the_kernel_kills_for_lack_of_memory_is_told_as_on_a_cluster(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    kills: int,
    exit_code: int,
    reason: str,
) -> None:
    counter = tmp_path / "vmstat"
    counter.write_text("pgfault 9\noom_kill 4\nballoon_inflate 0\n")
    monkeypatch.setattr(attendant, "OOM_COUNTER", str(counter))
    kernel = f"open({str(counter)!r}, 'w').write('oom_kill {4 + kills}\\n')"
    attempt = ports.ended(running(tmp_path, f"import os, signal, sys; {kernel}; {code}"))
    assert (attempt.exit_code, attempt.reason) == (exit_code, reason)


def test_this_kernel_counts_what_it_kills() -> None:
    lines = Path(attendant.OOM_COUNTER).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("oom_kill ")]


def test_the_releases_of_this_machines_trainer_are_known_before_it_runs(tmp_path: Path) -> None:
    own, other = Runner(tmp_path, ports.EXPERIMENT), Runner(tmp_path, ports.EXPERIMENT, QUICK)
    trainer = own.upcoming.trainer
    names = ("distillery-trainer", "torch", "transformers")
    assert trainer.releases == tuple(metadata.version(name).partition("+")[0] for name in names)
    assert other.upcoming == UNKNOWN


def test_an_attempt_of_an_earlier_release_has_no_identity(tmp_path: Path) -> None:
    runner = running(tmp_path, "pass")
    ports.ended(runner)
    folder = tmp_path / requests.output(ports.EXPERIMENT, 0) / "attempt-001"
    (folder / "identity").unlink()
    assert ports.ended(Runner(tmp_path, ports.EXPERIMENT)).identity == ""
