"""One step of the optimiser: batches in, losses out. ``train`` takes them one after the other.

Nothing in here waits for a GPU: losses stay on the device until someone reads them.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distillery_trainer import batches, heads, loss
from distillery_trainer.batches import Batch
from distillery_trainer.prepare import Prepared
from distillery_trainer.settings import Settings


class Stepper:
    """A student, its optimiser and its teachers: labels, stored logits, a loaded model if any.

    Args:
        student: in training mode, on its device.
        prepared: windows and the teacher's logits.
        settings: the hyperparameters.
        teacher: only where ``alpha_relation`` is above 0; on the same device, in evaluation mode.
    """

    def __init__(
        self, student: Any, prepared: Prepared, settings: Settings, teacher: Any = None
    ) -> None:
        self.student = student
        self.optimizer = _optimizer(student, settings)
        self.device = next(student.parameters()).device
        self.parts = tuple(_parts(settings))
        self._prepared, self._settings, self._teacher = prepared, settings, teacher
        self._bf16 = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        if teacher is not None:
            self._relations = [_Recorder(student), _Recorder(teacher)]
        self._forward: Callable[..., Any] = student
        if settings.compile:
            self._forward = torch.compile(student, dynamic=True)

    def take(self, group: list[list[int]], learning_rate: float) -> Tensor:
        """Train on batches as one: their mean over all windows. Return the losses, as ``parts``.

        Args:
            group: the windows of each batch.
            learning_rate: of this step.
        """
        windows = sum(map(len, group))
        losses = torch.zeros(len(self.parts), device=self.device)
        for rows in group:
            found = self._losses(batches.collate(self._prepared.train, rows, self._prepared.pad))
            share = len(rows) / windows
            torch.autograd.backward(found["total"] * share)
            losses += torch.stack([found[part].detach() for part in self.parts]) * share
        if self._settings.max_grad_norm:
            nn.utils.clip_grad_norm_(self.student.parameters(), self._settings.max_grad_norm)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return losses

    def _losses(self, on_host: Batch) -> dict[str, Tensor]:
        batch, settings = on_host.to(self.device), self._settings
        with self._precision():
            output = self._forward(**_inputs(self.student, batch))
        start, end = output.start_logits, output.end_logits
        found = {"hard": loss.hard(start, end, batch.mask, batch.start, batch.end)}
        found["total"] = (1 - settings.alpha_ce) * found["hard"]
        if "soft" in self.parts:
            taught = self._taught(batch.rows)
            student = torch.stack([start, end])
            found["soft"] = loss.soft(student, taught, batch.mask, settings.temperature)
            found["total"] = found["total"] + settings.alpha_ce * found["soft"]
        if "relation" in self.parts:
            found["relation"] = self._relation(batch)
            found["total"] = found["total"] + settings.alpha_relation * found["relation"]
        return found

    def _taught(self, rows: list[int]) -> Tensor:
        """Return the teacher's stored logits, (2, B, T)."""
        start, end = self._prepared.start, self._prepared.end
        assert start is not None  # no teacher, no soft loss: see settings
        assert end is not None
        padded = [self._prepared.train.padded(flat, rows, 0) for flat in (start, end)]
        return torch.from_numpy(np.stack(padded)).to(self.device, non_blocking=True)

    def _relation(self, batch: Batch) -> Tensor:
        """Return the mean loss of the last layer's query, key and value relations."""
        with torch.no_grad(), self._precision():
            self._teacher.base_model(**_inputs(self._teacher, batch))
        pairs = list(zip(*(recorder.latest() for recorder in self._relations), strict=True))
        student, teacher = (x.shape[-1] for x in pairs[0])
        count = loss.relation_heads(student, teacher, self._teacher.config.num_attention_heads)
        parts = [loss.relation(s, t, batch.mask, count) for s, t in pairs]
        return torch.stack(parts).mean()

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        """Compute in bf16 on GPUs that have it; on CPUs without its units it is 10 times slower."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            yield


class _Recorder:
    """Keeps what a model's last query, key and value projections gave in its latest pass."""

    def __init__(self, model: Any) -> None:
        self._outputs: dict[int, Tensor] = {}
        for number, module in enumerate(heads.projections(model)):
            module.register_forward_hook(self._hook(number))

    def latest(self) -> list[Tensor]:
        """Return them, (B, T, width) each."""
        return [self._outputs[number] for number in sorted(self._outputs)]

    def _hook(self, number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._outputs[number] = output

        return keep


def _parts(settings: Settings) -> Iterator[str]:
    """Yield the parts of the loss to compute: those with a weight, and the labels' always."""
    yield from ("total", "hard")
    if settings.alpha_ce:
        yield "soft"
    if settings.alpha_relation:
        yield "relation"


def _inputs(model: Any, batch: Batch) -> dict[str, Tensor]:
    # With four dimensions the mask is taken as it is; transformers would look into one of two at
    # every pass, for which the host waits for the GPU.
    return {**batch.inputs(model), "attention_mask": batch.mask[:, None, None, :]}


def _optimizer(student: Any, settings: Settings) -> torch.optim.Optimizer:
    """Return a fused AdamW that decays matrices only, not biases and norms."""
    matrices = [p for p in student.parameters() if p.ndim > 1]
    vectors = [p for p in student.parameters() if p.ndim < 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(settings.beta_1, settings.beta_2),
        eps=settings.adam_epsilon,
        fused=True,
    )
