"""A model on prepared questions: logits, answers, metrics, for training and ``prepare``."""

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from distillery_trainer.data import batches
from distillery_trainer.data.features import Features
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.evaluation import squad

Logits = NDArray[np.float32]


def logits(
    model: nn.Module, features: Features, batch_size: int, pad: int, device: torch.device | str
) -> tuple[Logits, Logits]:
    """Return the start and the end logits of every token of every window, flat (t,).

    The model runs in evaluation mode and is left in the mode it was in.
    """
    start, end = (np.empty(len(features.input_ids), np.float32) for _ in range(2))
    mode = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for rows in features.by_length(batch_size):
                batch = batches.collate(features, rows, pad).to(device)
                output = model(**batch.inputs(model))
                for flat, values in (start, output.start_logits), (end, output.end_logits):
                    _scatter(flat, values.float().cpu().numpy(), features, rows)
    finally:
        model.train(mode)
    return start, end


def _scatter(flat: Logits, values: Logits, features: Features, rows: list[int]) -> None:
    for row, line in zip(rows, values, strict=True):
        begin, end = features.rows[row], features.rows[row + 1]
        flat[begin:end] = line[: end - begin]


def answers(
    model: nn.Module, prepared: Prepared, batch_size: int, device: torch.device | str
) -> squad.Answers:
    """Return a model's answers to the validation questions."""
    features, pad = prepared.validation, prepared.pad
    start, end = logits(model, features, batch_size, pad, device)
    return squad.answers(prepared.questions, features, start, end, prepared.data)


def evaluate(
    model: nn.Module, prepared: Prepared, batch_size: int, device: torch.device | str
) -> dict[str, float]:
    """Return a model's metrics on the validation questions, named as in the contract."""
    return measure(model, prepared, batch_size, device)[1]


def measure(
    model: nn.Module, prepared: Prepared, batch_size: int, device: torch.device | str
) -> tuple[squad.Answers, dict[str, float]]:
    """Return a model's answers to the validation questions, and the metrics of :func:`evaluate`.

    ``inference_seconds`` is wall time per question of collating, forward passes over all its
    windows and answer extraction, in batches sorted by length; scoring is left out.
    """
    began = time.perf_counter()
    found = answers(model, prepared, batch_size, device)
    seconds = (time.perf_counter() - began) / len(prepared.questions)
    metrics = {
        **squad.metrics(prepared.questions, found, prepared.data.null_threshold),
        "parameter_count": float(parameter_count(model)),
        "inference_seconds": seconds,
    }
    return found, metrics


def parameter_count(model: Any) -> int:
    """Return how many weights a model has, embeddings included, shared ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
