"""The teacher's metrics and its logits on the training windows. ``prepare`` calls it.

With a large teacher this takes hours on CPUs. So what is done is kept in parts beside the folder
that is being made, and a process that was stopped continues there.
"""

import itertools
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from distillery_trainer import atomic, devices
from distillery_trainer.data.faults import DataError
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.evaluation import evaluate
from distillery_trainer.students import sources

log = logging.getLogger(__name__)

PART_BATCHES: Final = 64
"""Batches of a part: a second on a GPU, a minute or two on a CPU."""


def teach(untaught: Prepared, teacher: Path, batch_size: int, work: Path) -> dict[str, float]:
    """Store a teacher's logits on the training windows; return its metrics on validation.

    Args:
        untaught: whose folder gets the logits.
        teacher: the model's folder.
        batch_size: of a pass.
        work: folder for the parts; another teacher, other windows or another size need another.

    Raises:
        DataError: logits that half precision does not hold.
    """
    device = devices.choose()
    reader: nn.Module = sources.load(str(teacher)).to(device)  # type: ignore[arg-type]
    work.mkdir(parents=True, exist_ok=True)
    metrics: dict[str, float] = _kept(
        work / "metrics.json", lambda: evaluate.evaluate(reader, untaught, batch_size, device)
    )
    log.info("teacher: %s", ", ".join(f"{k} {v:.6g}" for k, v in metrics.items()))
    windows = untaught.train
    logits = np.empty((2, len(windows.input_ids)), np.float16)
    for part, groups in enumerate(_parts(windows.by_length(batch_size))):
        found = _part(work / f"{part:06d}.npy", reader, untaught, groups, device)
        place = 0
        for number in itertools.chain(*groups):
            begin, end = windows.rows[number], windows.rows[number + 1]
            logits[:, begin:end] = found[:, place : place + end - begin]
            place += end - begin
    for name, values in zip(("start", "end"), logits, strict=True):
        np.save(untaught.folder / f"{name}.npy", values)
    return metrics


def clear(work: Path) -> None:
    """Remove the parts, once the whole is there."""
    shutil.rmtree(work, ignore_errors=True)


def _parts(groups: list[list[int]]) -> Iterator[list[list[int]]]:
    for first in range(0, len(groups), PART_BATCHES):
        yield groups[first : first + PART_BATCHES]


def _part(
    place: Path,
    reader: nn.Module,
    untaught: Prepared,
    groups: list[list[int]],
    device: torch.device,
) -> NDArray[np.float16]:
    """Return the logits of some batches, window after window, (2, their tokens)."""
    if not place.exists():
        windows, pad = untaught.train, untaught.pad
        values = [v for _, v in evaluate.each(reader, windows, groups, pad, device)]
        found = _halved(np.concatenate(values, axis=1))
        with atomic.opened(place) as file:
            np.save(file, found)
        log.info("%s: %d windows", place.name, sum(map(len, groups)))
    kept: NDArray[np.float16] = np.load(place)
    return kept


def _halved(logits: evaluate.Logits) -> NDArray[np.float16]:
    most = float(np.finfo(np.float16).max)
    for name, values in zip(("start", "end"), logits, strict=True):
        if beyond := np.count_nonzero(~(np.abs(values) <= most)):  # NaN is beyond, too
            rule = f"the teacher's logits must lie within ±{most:g}, as half precision can hold"
            raise DataError([f"{rule}, but {beyond} of its {name} logits do not"])
    return logits.astype(np.float16)


def _kept(place: Path, make: Callable[[], Any]) -> Any:
    """Return what a file has; make it first unless it is there."""
    if not place.exists():
        atomic.file(place, json.dumps(make()))
    return json.loads(place.read_text(encoding="utf-8"))
