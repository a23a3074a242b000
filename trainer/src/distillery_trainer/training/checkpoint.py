"""Checkpoints: everything that a training needs to go on as if it had never stopped.

Each is a folder such as ``step-00000120``, sealed by :mod:`distillery_trainer.sealed`. It does not
store the place in the data and the learning rate: both follow from the step
(:mod:`distillery_trainer.training.schedule`). ``train`` calls it.
"""

import copy
import logging
import os
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypedDict

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.amp import GradScaler

from distillery_contract import wire
from distillery_contract.request import RequestError
from distillery_trainer import sealed

log = logging.getLogger(__name__)

KEPT: Final = 2
"""Checkpoints that are kept: the newest, and one more in case the newest is damaged."""

SECONDS: Final = 60.0
"""Wall time between two checkpoints, unless the environment says otherwise."""


def seconds_between() -> float:
    """Return the wall time between two checkpoints.

    Raises:
        RequestError: the environment's variable is no number.
    """
    given = os.environ.get(wire.CHECKPOINT_SECONDS, SECONDS)
    try:
        return float(given)
    except ValueError:
        rule = f"{wire.CHECKPOINT_SECONDS} must be a number of seconds"
        raise RequestError([f"{rule}, but got {given!r}"]) from None


class MismatchError(Exception):
    """What lies in a trial's folder belongs to another request."""


class Evaluation(TypedDict):
    """What was measured at a step."""

    step: int
    seconds: float  # wall time of all attempts until then
    metrics: dict[str, float]
    losses: dict[str, float]  # means since the evaluation before


@dataclass
class Progress:
    """How far a training is, and what it has measured.

    Attributes:
        step: steps of the optimiser done.
        examples: examples learnt from: windows, each counted again in each epoch.
        tokens: tokens of these examples, padding not counted.
        seconds: wall time of all attempts.
        losses: sums over the steps since the latest evaluation, by part.
        summed: number of these steps.
        history: the evaluations so far.
    """

    step: int = 0
    examples: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    summed: int = 0
    history: list[Evaluation] = field(default_factory=list)


@dataclass(frozen=True)
class State:
    """A training at one moment: what a checkpoint has.

    Attributes:
        progress: how far it is.
        tensors: by file, without the ending.
        rest: what is no tensor: of the random generators, and of the scaler of gradients.
    """

    progress: Progress
    tensors: Mapping[str, Mapping[str, Tensor]]
    rest: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        progress: Progress,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: GradScaler | None = None,
    ) -> "State":
        """Return the state of a training; its tensors are those that further steps change."""
        weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
        generators, random_rest = _random_state()
        return cls(
            copy.deepcopy(progress),
            {"model": weights, "optimizer": _flat(optimizer), "random": generators},
            {"random": random_rest, "scaler": scaler.state_dict() if scaler else {}},
        )

    def apart(self) -> "State":
        """Return the same with copies of the tensors on the host, which no further step changes."""
        copies = {
            file: {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()}
            for file, tensors in self.tensors.items()
        }
        return replace(self, tensors=copies)


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one trial.

    Attributes:
        folder: where they lie.
        identity: names the request and the data that they belong to.
        earlier: names that earlier releases gave to the same.
        versions: of what trains now, by its name.
        note: gets a sentence where other versions wrote a checkpoint.
    """

    folder: Path
    identity: str
    earlier: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    note: Callable[[str], None] = log.warning

    def write(self, state: State) -> None:
        """Write a checkpoint and remove all but the newest :data:`KEPT`."""

        def fill(partial: Path) -> dict[str, Any]:
            for part in _PARTS:
                save_file({**state.tensors[part]}, partial / f"{part}.safetensors")
            return {
                "identity": self.identity,
                "versions": dict(self.versions),
                "progress": asdict(state.progress),
                **state.rest,
            }

        sealed.make(self.folder / f"step-{state.progress.step:08d}", fill)
        self.thin(KEPT)

    def restore(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: GradScaler | None = None,
    ) -> Progress | None:
        """Set all that is given and the generators to the newest whole checkpoint, if there is one.

        Raises:
            MismatchError: it belongs to another request, or to other data.
        """
        for path in self._newest_first():
            about = sealed.about(path)
            try:
                parts = about and [load_file(path / f"{part}.safetensors") for part in _PARTS]
            except (OSError, safetensors.SafetensorError):
                parts = None
            if not about or not parts:
                log.warning("%s is damaged; looking for an older checkpoint", path)
                continue
            if about["identity"] not in (self.identity, *self.earlier):
                rule = "a checkpoint must belong to the same request, data and teacher"
                raise MismatchError(f"{rule}, but {path} is of {about['identity'][:12]}")
            model.load_state_dict(parts[0])
            _load_flat(optimizer, parts[1])
            _set_random_state(parts[2], about["random"])
            if scaler and about.get("scaler"):  # another precision has none
                scaler.load_state_dict(about["scaler"])
            progress = Progress(**about["progress"])
            self._compare(progress.step, about.get("versions", {}))
            return progress
        return None

    def _compare(self, step: int, before: Mapping[str, str]) -> None:
        """Note which versions wrote a checkpoint, if not those that train now."""
        others = [
            f"{name} {before.get(name, 'of an unknown version')} before, {version} now"
            for name, version in self.versions.items()
            if before.get(name) != version
        ]
        if others:
            self.note(f"resumed at step {step} by another trainer: {', '.join(others)}")

    def thin(self, keep: int) -> None:
        """Remove all but the newest."""
        for path in self._newest_first()[keep:]:
            shutil.rmtree(path, ignore_errors=True)
        for lock in self.folder.glob("step-*.lock"):
            lock.unlink(missing_ok=True)

    def _newest_first(self) -> list[Path]:
        return sorted((p for p in self.folder.glob("step-*") if p.is_dir()), reverse=True)


_PARTS: Final = ("model", "optimizer", "random")


def _flat(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's tensors by name: number of the parameter, dot, name of the state."""
    states: dict[int, dict[str, Tensor]] = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": tensor.contiguous()
        for number, state in states.items()
        for name, tensor in state.items()
    }


def _load_flat(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimiser its tensors back; its hyperparameters stay those of the request."""
    states: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".")
        states.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def _random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the state of every random generator of a training: its tensors, and the rest."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    tensors = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words),
        "numpy": torch.from_numpy(np.asarray(keys, np.int64)),
    }
    if torch.cuda.is_available():
        states = torch.cuda.get_rng_state_all()
        tensors |= {f"cuda.{number}": state for number, state in enumerate(states)}
    return tensors, {"python": [version, gauss], "numpy": [name, position, has_gauss, cached]}


def _set_random_state(tensors: dict[str, Tensor], rest: dict[str, Any]) -> None:
    torch.set_rng_state(tensors["torch"])
    version, gauss = rest["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    name, *others = rest["numpy"]
    np.random.set_state((name, tensors["numpy"].numpy().astype(np.uint32), *others))
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for number in range(devices):
        if f"cuda.{number}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda.{number}"], number)
