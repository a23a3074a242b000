"""Signals: whatever a stage does when one comes, its process ends as Interrupted."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery_contract import request as requests
from distillery_contract import wire
from distillery_contract.wire import Exit
from distillery_trainer import process, tiny
from distillery_trainer.data import dataset
from distillery_trainer.data.faults import DataError
from distillery_trainer.preparation import prepare
from distillery_trainer.stop import Stop, StoppedError


@pytest.fixture
def stop() -> Iterator[Stop]:
    """Receives the signals of this process as long as the test runs."""
    kinds = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    made = Stop()
    made.install()
    yield made
    signal.setitimer(signal.ITIMER_REAL, 0)
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.fixture
def run(
    stop: Stop, tmp_path: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[Exit, str]]:
    """Runs the stage prepare in this process, and returns exit code and termination message."""
    asked = requests.Request(
        "test",
        requests.Stage.PREPARE,
        requests.Data(train=str(tmp_path / "t.json"), validation=str(tmp_path / "v.json")),
        requests.Teacher(str(tiny_teacher)),
        requests.Student(),
        cache=str(tmp_path / "cache"),
        output=str(tmp_path / "output"),
    )
    message = tmp_path / "message"
    monkeypatch.setenv(wire.REQUEST, asked.to_json())
    monkeypatch.setenv(wire.METRICS_PORT, "0")
    monkeypatch.setenv(wire.TERMINATION_MESSAGE, str(message))

    def act() -> tuple[Exit, str]:
        code = process.run(stop)
        return code, message.read_text()

    return act


def signalled() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def wrapped(*_: Any) -> Any:
    """Fail as libraries do that take every error for one of the data."""
    try:
        signalled()
    except BaseException as error:
        raise DataError(["the file must be JSON, but it is not"]) from error


def cleaned_up(*_: Any) -> Any:
    """Fail as libraries do whose cleaning up fails for its part."""
    try:
        signalled()
    finally:
        raise KeyError("schema")


def swallowed(*_: Any) -> Any:
    """Ignore the error, as a finalizer does, and wait."""
    with contextlib.suppress(BaseException):
        signalled()
    signal.pause()


@pytest.mark.parametrize("library", [wrapped, cleaned_up, swallowed])
def test_a_signal_in_the_midst_of_a_library_is_no_fault_of_the_data(
    library: Callable[..., Any],
    run: Callable[[], tuple[Exit, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dataset, "fingerprint", library)
    code, message = run()
    assert code is Exit.INTERRUPTED
    assert 'reason="Interrupted"' in message
    assert "stopped by a signal" in message


def test_a_signal_before_the_stage_stops_it(run: Callable[[], tuple[Exit, str]]) -> None:
    signalled()
    assert run()[0] is Exit.INTERRUPTED


def test_a_signal_after_the_stage_changes_nothing(
    run: Callable[[], tuple[Exit, str]], stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "prepare", lambda *_: None)
    monkeypatch.setattr("distillery_trainer.reporting.server.Server.close", lambda _: signalled())
    assert run()[0] is Exit.OK
    assert stop.requested


def test_faults_of_the_data_are_told_as_such_without_a_signal(
    run: Callable[[], tuple[Exit, str]],
) -> None:
    code, message = run()
    assert code is Exit.BAD_DATA
    assert "there is no file" in message


def test_signals_are_held_back_where_a_checkpoint_is_to_be_written(stop: Stop) -> None:
    def stage(done: list[str]) -> None:
        with stop.heeded():
            with stop.deferred():
                signalled()
                done.append("checkpoint")
            done.append("more")

    done: list[str] = []
    with pytest.raises(StoppedError):
        stage(done)
    assert done == ["checkpoint"]


@pytest.mark.long
def test_a_process_that_is_stopped_while_it_prepares_ends_as_interrupted(
    tmp_path: Path, tiny_teacher: Path
) -> None:
    """Before it has read anything, and before the teacher has seen the questions."""
    for seed, split in enumerate(("train", "validation")):
        tiny.write_squad(tmp_path / f"{split}.json", tiny.make_questions(300, seed))

    def start(number: int) -> subprocess.Popen[str]:
        train, validation = (str(tmp_path / f"{split}.json") for split in ("train", "validation"))
        asked = requests.Request(
            "test",
            requests.Stage.PREPARE,
            requests.Data(None, train, validation, max_length=64, stride=8, max_query_length=16),
            requests.Teacher(str(tiny_teacher)),
            requests.Student(),
            cache=str(tmp_path / f"cache-{number}"),
            output=str(tmp_path / f"output-{number}"),
        )
        own = {wire.REQUEST: asked.to_json(), wire.METRICS_PORT: "0"}
        own |= {wire.METRICS_PORT_FILE: str(tmp_path / f"port-{number}")}
        own |= {wire.TERMINATION_MESSAGE: str(tmp_path / f"message-{number}")}
        program = [sys.executable, "-m", "distillery_trainer"]
        process = subprocess.Popen(
            program, env={**os.environ, **own}, stderr=subprocess.PIPE, text=True
        )
        while not (tmp_path / f"port-{number}").exists():
            assert process.poll() is None
            time.sleep(0.01)
        return process

    for number, moment in enumerate(("serving /metrics", "validation: 300 questions")):
        with start(number) as process:
            assert process.stderr
            assert any(moment in line for line in process.stderr)
            process.send_signal(signal.SIGTERM)
            log = process.stderr.read()
        done = "prepare is done" in log  # before it heard the signal
        assert process.returncode == (Exit.OK if done else Exit.INTERRUPTED), log
