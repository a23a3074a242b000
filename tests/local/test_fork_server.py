"""Trials as forks: the port's suite on a fork server, and what may happen to that."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from distillery_contract.wire import Exit
from distillery_operator.engine import requests
from distillery_operator.local.runner import Runner
from support import ports, quick_trainer

QUICK = (sys.executable, str(quick_trainer.__file__))
FORKED = (*QUICK, "--fork-server")
SLOW = (sys.executable, "-c", "import time; time.sleep(600)")
"""A fork server that never comes to the end of its imports."""


@pytest.fixture(autouse=True)
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICK_TRAINER_STEP_SECONDS", "0.05")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[ports.MakeRunner]:
    made: list[Runner] = []

    def runner() -> Runner:
        made.append(Runner(tmp_path, ports.EXPERIMENT, QUICK, FORKED))
        return made[-1]

    yield runner
    for each in made:
        each.leave()


@pytest.fixture
def ledger(tmp_path: Path) -> ports.Ledger:
    path = tmp_path / requests.output(ports.EXPERIMENT, 0) / "ledger"

    def steps() -> list[int]:
        text = path.read_text() if path.exists() else ""
        return [int(line.split()[2]) for line in text.splitlines()]

    return steps


class TestForks(ports.RunnerSuite):
    @pytest.fixture
    def make(self, make: ports.MakeRunner) -> ports.MakeRunner:
        return make

    @pytest.fixture
    def ledger(self, ledger: ports.Ledger) -> ports.Ledger:
        return ledger


def attempt_folder(workspace: Path, number: int = 1) -> Path:
    return workspace / requests.output(ports.EXPERIMENT, 0) / f"attempt-{number:03d}"


def stat(pid: int) -> list[str]:
    """Return parent, process group and session of a process, and what follows in its ``stat``."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1:]


def server_of(workspace: Path, ledger: ports.Ledger) -> int:
    """Return the fork server of the attempt that runs."""
    ports.until(lambda: len(ledger()) > 0)
    return int(stat(int((attempt_folder(workspace) / "pid").read_text()))[0])


def test_an_attempt_leads_a_process_group_and_a_session_of_its_own(
    make: ports.MakeRunner, tmp_path: Path, ledger: ports.Ledger
) -> None:
    runner = make()
    ports.start(runner)
    server = server_of(tmp_path, ledger)
    pid = (attempt_folder(tmp_path) / "pid").read_text().strip()
    trainer = (tmp_path / requests.output(ports.EXPERIMENT, 0) / "ledger").read_text().split()[1]
    assert stat(int(pid))[1:3] == stat(int(trainer))[1:3] == [pid, pid]
    assert stat(int(trainer))[0] == pid
    assert stat(server)[1:3] == [str(server)] * 2
    assert Path(f"/proc/{trainer}/cwd").resolve() == tmp_path.resolve()
    assert os.readlink(f"/proc/{trainer}/fd/0") == os.devnull
    assert ports.ended(runner).exit_code == 0


def test_trainings_survive_their_fork_server_and_the_next_has_another(
    make: ports.MakeRunner, tmp_path: Path, ledger: ports.Ledger
) -> None:
    runner = make()
    ports.start(runner)
    os.kill(server_of(tmp_path, ledger), signal.SIGKILL)
    assert ports.ended(runner).exit_code == 0
    assert ledger() == list(range(20))
    ports.start(runner, replace(ports.FIRST, number=2))
    assert ports.ended(runner).exit_code == 0
    assert [attempt.number for attempt in ports.listed(runner)] == [1, 2]


def test_what_waits_for_a_fork_server_can_be_stopped(tmp_path: Path) -> None:
    runner = Runner(tmp_path, ports.EXPERIMENT, QUICK, SLOW)
    ports.start(runner)
    (waiting,) = ports.listed(runner)
    assert waiting.live
    asyncio.run(runner.stop(waiting, "Suspended"))
    attempt = ports.ended(runner)
    assert (attempt.exit_code, attempt.halted) == (None, True)
    runner.leave()


def test_what_waits_for_a_fork_server_is_lost_with_it_and_starts_again(
    make: ports.MakeRunner, tmp_path: Path, ledger: ports.Ledger
) -> None:
    slow = Runner(tmp_path, ports.EXPERIMENT, QUICK, SLOW)
    ports.start(slow)
    slow.kill()
    assert ports.ended(slow).exit_code is None
    slow.leave()
    runner = make()
    ports.start(runner, replace(ports.FIRST, number=2))
    assert ports.ended(runner).exit_code == 0
    assert ledger() == list(range(20))


def test_a_fork_server_ends_with_a_killed_operator_and_its_trainings_go_on(
    make: ports.MakeRunner, tmp_path: Path, ledger: ports.Ledger
) -> None:
    program = f"""
import sys
from pathlib import Path
from distillery_operator.local.runner import Runner
from support import ports
runner = Runner(Path({str(tmp_path)!r}), ports.EXPERIMENT, {QUICK!r}, {FORKED!r})
ports.start(runner)
print("started", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(Path(ports.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as operator:
        assert operator.stdout
        assert operator.stdout.readline() == b"started\n"
        server = server_of(tmp_path, ledger)
        operator.kill()
    ports.until(lambda: not Path(f"/proc/{server}").exists() or stat(server)[0] == "1")
    runner = make()
    ports.start(runner)  # it runs: nothing starts
    assert [attempt.live for attempt in ports.listed(runner)] == [True]
    assert ports.ended(runner).exit_code == 0
    assert ledger() == list(range(20))


def test_a_signal_reaches_trainer_and_not_its_attendant(
    make: ports.MakeRunner, tmp_path: Path, ledger: ports.Ledger
) -> None:
    runner = make()
    ports.start(runner)
    ports.until(lambda: len(ledger()) > 0)
    os.killpg(int((attempt_folder(tmp_path) / "pid").read_text()), signal.SIGTERM)
    assert ports.ended(runner).exit_code == Exit.INTERRUPTED
