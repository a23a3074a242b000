"""Checkpoints that are written beside a training, as on a GPU. Here the training is on the CPU."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from distillery_trainer.training.checkpoint import Checkpoints, Progress, State
from distillery_trainer.training.writer import Writer


class Slow(Checkpoints):
    """Checkpoints on a disk that waits for the test; it notes who writes at the same time."""

    goes_on: ClassVar[threading.Event]
    began: ClassVar[list[int]]
    ended: ClassVar[list[int]]

    def write(self, state: State) -> None:
        self.began.append(state.progress.step)
        assert self.goes_on.wait(30)
        super().write(state)
        self.ended.append(state.progress.step)


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slow:
    for name, value in (("goes_on", threading.Event()), ("began", []), ("ended", [])):
        monkeypatch.setattr(Slow, name, value, raising=False)
    return Slow(tmp_path / "checkpoints", "mine")


@pytest.fixture
def model() -> nn.Linear:
    return nn.Linear(3, 2)


def trained(model: nn.Linear) -> torch.optim.Optimizer:
    """Return the optimiser of a model after a step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    step(model, optimizer)
    return optimizer


def step(model: nn.Linear, optimizer: torch.optim.Optimizer) -> None:
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()


def test_a_training_goes_on_while_its_checkpoint_is_written(slow: Slow, model: nn.Linear) -> None:
    optimizer, progress, written = trained(model), Progress(step=1), list[int]()
    writer = Writer(slow, written.append, beside=True)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    random = torch.get_rng_state()
    writer.save(State.of(progress, model, optimizer))
    step(model, optimizer)
    progress.step, progress.examples = 2, 7
    torch.rand(5)
    assert written == []
    slow.goes_on.set()
    writer.wait()
    assert written == [1]
    assert not torch.equal(model.weight, weights["weight"])
    found = slow.restore(model, optimizer)
    assert found == Progress(step=1)
    assert all(torch.equal(model.state_dict()[name], weights[name]) for name in weights)
    assert torch.equal(torch.get_rng_state(), random)
    assert optimizer.state_dict()["state"][0]["step"] == 1


def test_the_next_checkpoint_waits_for_the_one_before(slow: Slow, model: nn.Linear) -> None:
    optimizer = trained(model)
    writer = Writer(slow, lambda step: None, beside=True)
    writer.save(State.of(Progress(step=1), model, optimizer))
    second = threading.Thread(
        target=lambda: writer.save(State.of(Progress(step=2), model, optimizer))
    )
    second.start()
    second.join(0.2)
    assert (slow.began, second.is_alive()) == ([1], True)
    slow.goes_on.set()
    second.join()
    writer.wait()
    assert slow.began == slow.ended == [1, 2]


@pytest.mark.parametrize("next_one", ["save", "wait"])
def test_a_checkpoint_that_could_not_be_written_ends_the_training(
    tmp_path: Path, model: nn.Linear, next_one: str
) -> None:
    optimizer, written = trained(model), list[int]()
    place = tmp_path / "checkpoints"
    place.write_text("no folder")
    writer = Writer(Checkpoints(place, "mine"), written.append, beside=True)
    state = State.of(Progress(step=1), model, optimizer)
    writer.save(state)
    failing: Callable[[], None] = writer.wait if next_one == "wait" else lambda: writer.save(state)
    with pytest.raises(OSError, match="checkpoints"):
        failing()
    assert written == []


def test_on_a_cpu_a_checkpoint_is_there_at_once_and_nothing_is_copied(
    slow: Slow, model: nn.Linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.goes_on.set()
    monkeypatch.delattr(State, "apart")
    Writer(slow, lambda step: None, beside=False).save(
        State.of(Progress(step=1), model, trained(model))
    )
    assert slow.ended == [1]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from distillery_trainer.training import checkpoint
from distillery_trainer.training.checkpoint import Checkpoints, Progress, State
from distillery_trainer.training.writer import Writer

model = torch.nn.Linear(3, 2)
writer = Writer(Checkpoints(Path(sys.argv[1]), "mine"), lambda step: None, beside=True)
state = lambda step: State.of(Progress(step=step), model, torch.optim.AdamW(model.parameters()))
writer.save(state(1))
writer.wait()
save = checkpoint.save_file

def killing(tensors, path):
    save(tensors, path)
    if path.name == sys.argv[2]:
        os.kill(os.getpid(), int(sys.argv[3]))

checkpoint.save_file = killing
writer.save(state(2))
if int(sys.argv[3]) == signal.SIGKILL:
    writer.wait()
"""


def process(folder: Path, file: str, number: int) -> int:
    command = [sys.executable, "-c", KILLED, str(folder), file, str(number)]
    return subprocess.run(command, check=False, timeout=120).returncode


@pytest.mark.parametrize("file", ["model.safetensors", "random.safetensors"])
def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    tmp_path: Path, model: nn.Linear, file: str
) -> None:
    assert process(tmp_path, file, signal.SIGKILL) == -signal.SIGKILL
    found = Checkpoints(tmp_path, "mine").restore(model, torch.optim.AdamW(model.parameters()))
    assert found == Progress(step=1)


def test_a_process_ends_after_the_checkpoint_that_it_writes(
    tmp_path: Path, model: nn.Linear
) -> None:
    assert process(tmp_path, "model.safetensors", 0) == 0
    found = Checkpoints(tmp_path, "mine").restore(model, torch.optim.AdamW(model.parameters()))
    assert found == Progress(step=2)
