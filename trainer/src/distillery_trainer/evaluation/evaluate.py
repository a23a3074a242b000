"""A model on prepared questions: logits, answers, metrics. Training and ``prepare`` call it."""

import time
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from distillery_trainer import devices
from distillery_trainer.data import batches
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.data.windows import Windows
from distillery_trainer.devices import Precision
from distillery_trainer.evaluation import answers, squad
from distillery_trainer.evaluation.answers import Answers

Logits = NDArray[np.float32]


def logits(
    model: nn.Module,
    windows: Windows,
    batch_size: int,
    pad: int,
    device: torch.device | str,
    precision: Precision = Precision.FP32,
) -> tuple[Logits, Logits]:
    """Return the start and the end logits of every token of every window, flat (t,)."""
    start, end = (np.empty(len(windows.input_ids), np.float32) for _ in range(2))
    groups = windows.by_length(batch_size)
    for number, found in each(model, windows, groups, pad, device, precision):
        place = slice(windows.rows[number], windows.rows[number + 1])
        start[place], end[place] = found
    return start, end


def each(
    model: nn.Module,
    windows: Windows,
    groups: Iterable[list[int]],
    pad: int,
    device: torch.device | str,
    precision: Precision = Precision.FP32,
) -> Iterator[tuple[int, Logits]]:
    """Yield the logits of each window of some batches, start and end, (2, its tokens).

    The model runs in evaluation mode and is left in the mode it was in.
    """
    mode = model.training
    model.eval()
    try:
        for numbers in groups:
            with torch.inference_mode():
                batch = batches.collate(windows, numbers, pad).to(device)
                with devices.autocast(device, precision):
                    output = model(**batch.inputs(model))
                both = torch.stack([output.start_logits, output.end_logits], 1)
            for number, values in zip(numbers, both.float().cpu().numpy(), strict=True):
                yield number, values[:, : windows.rows[number + 1] - windows.rows[number]]
    finally:
        model.train(mode)


def answer(
    model: nn.Module,
    prepared: Prepared,
    batch_size: int,
    device: torch.device | str,
    precision: Precision = Precision.FP32,
) -> Answers:
    """Let a model answer the validation questions."""
    windows = prepared.validation
    start, end = logits(model, windows, batch_size, prepared.pad, device, precision)
    return answers.extract(prepared.questions, windows, start, end, prepared.data)


def evaluate(
    model: nn.Module, prepared: Prepared, batch_size: int, device: torch.device | str
) -> dict[str, float]:
    """Return a model's metrics on the validation questions, named as in the contract."""
    return measure(model, prepared, batch_size, device)[1]


def measure(
    model: nn.Module,
    prepared: Prepared,
    batch_size: int,
    device: torch.device | str,
    precision: Precision = Precision.FP32,
) -> tuple[Answers, dict[str, float]]:
    """Return a model's answers to the validation questions, and the metrics of :func:`evaluate`.

    ``inference_seconds`` is the wall time per question: to collate its windows, to run the model on
    them in batches of like length, and to find the answers. The time of scoring is left out.
    """
    began = time.perf_counter()
    found = answer(model, prepared, batch_size, device, precision)
    seconds = (time.perf_counter() - began) / len(prepared.questions)
    metrics = {
        **squad.metrics(prepared.questions, found, prepared.data.null_threshold),
        "parameter_count": float(parameter_count(model)),
        "inference_seconds": seconds,
    }
    return found, metrics


def parameter_count(model: nn.Module) -> int:
    """Return how many weights a model has, embeddings included, shared ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
