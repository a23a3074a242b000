"""One step of the optimiser: a group of batches in, their losses out. ``train`` takes the steps.

Nothing in here waits for a GPU: losses stay on the device until someone reads them.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from distillery_contract.metrics import Loss
from distillery_contract.parameters import Hyperparameters
from distillery_trainer import devices
from distillery_trainer.data import batches
from distillery_trainer.data.batches import Batch, Group, Numbers
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.devices import Precision
from distillery_trainer.students.families import Model
from distillery_trainer.training import loss, optimizer
from distillery_trainer.training.relations import Relations
from distillery_trainer.training.replay import Replay

MULTIPLE: Final = 32
"""The length of a GPU's batches is a multiple of this, so that few lengths have to be recorded."""


class Stepper:
    """A student, its optimiser, and what it learns from: labels, stored logits, a loaded teacher.

    Attributes:
        student: the student.
        device: where it lies.
        optimizer: of the student's weights.
        precision: of its matrices in training.
        scaler: keeps the gradients within what fp16 can hold; it does nothing in other precisions.
        parts: names of the losses that :meth:`take` returns.

    Args:
        student: in training mode, on its device.
        prepared: windows and the teacher's logits.
        hyper: the hyperparameters.
        teacher: only where ``alpha_relation`` is above 0; on the same device, in evaluation mode.
        precision: unless given, what the device is good at.
    """

    def __init__(
        self,
        student: Model,
        prepared: Prepared,
        hyper: Hyperparameters,
        teacher: Model | None = None,
        *,
        precision: Precision | None = None,
    ) -> None:
        self.student, self.device = student, next(student.parameters()).device
        self.optimizer = optimizer.build(student, hyper)
        self._weights = _weights(hyper)
        self.parts = (Loss.TOTAL, *self._weights)
        self._prepared, self._hyper = prepared, hyper
        self._lengths = prepared.train.lengths()
        self.precision = precision or devices.precision(self.device)
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.precision is Precision.FP16
        )
        self._autocast = functools.partial(devices.autocast, self.device, self.precision)
        self._relations = None if teacher is None else Relations(student, teacher, self._autocast)
        self._forward: Callable[..., Any] = (
            torch.compile(student, dynamic=True) if hyper.compile else student
        )
        replays = self.device.type == "cuda" and not hyper.compile
        self._multiple = MULTIPLE if replays else 1
        self._learn = self._recorded() if replays else self._add_gradients

    def take(self, group: Group, learning_rate: float) -> Tensor:
        """Train on a group of batches, by the mean over all its windows.

        Args:
            group: the windows of each batch.
            learning_rate: of this step.

        Returns:
            The losses, in the order of ``parts``.
        """
        windows = sum(map(len, group))
        losses = torch.zeros(len(self.parts), device=self.device)
        for numbers in group:
            losses += self._learn(self._batch(numbers, len(numbers) / windows))
        self.scaler.unscale_(self.optimizer)
        if self._hyper.max_grad_norm:
            nn.utils.clip_grad_norm_(self.student.parameters(), self._hyper.max_grad_norm)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = learning_rate
        self.scaler.step(self.optimizer)  # which a fused AdamW does without waiting for the GPU
        self.scaler.update()
        # A recording adds to the gradients where they lie, so on a GPU they stay: see Replay.
        self.optimizer.zero_grad(set_to_none=self.device.type != "cuda")
        return losses

    def _recorded(self) -> Replay:
        """Return the work on a batch as recordings, the largest batch recorded first."""
        replay = Replay(self.student, self._add_gradients)
        longest = self._lengths.argsort()[-self._hyper.per_device_train_batch_size :]
        replay.record(self._batch(longest.tolist(), 1.0))
        return replay

    def _batch(self, numbers: Numbers, share: float) -> Batch:
        """Return a batch on the host, with the teacher's logits where they have a weight."""
        prepared = self._prepared
        teacher = prepared.teacher() if Loss.SOFT in self._weights else None
        width = self._width(numbers)
        return batches.collate(
            prepared.train, numbers, prepared.pad, width, share=share, teacher=teacher
        )

    def _width(self, numbers: Numbers) -> int:
        """Return to how many tokens windows are padded at least."""
        longest = -(-int(self._lengths[numbers].max()) // self._multiple) * self._multiple
        return min(longest, int(self._lengths.max()))  # the model may have no positions for more

    def _add_gradients(self, batch: Batch) -> Tensor:
        """Add the gradients of a batch to those of the step; return its losses, as ``parts``."""
        batch = batch.to(self.device)
        losses = self._losses(batch)
        torch.autograd.backward(self.scaler.scale(losses[Loss.TOTAL] * batch.share))
        return torch.stack([losses[part].detach() for part in self.parts]) * batch.share

    def _losses(self, batch: Batch) -> dict[Loss, Tensor]:
        with self._autocast():
            output = self._forward(**batch.inputs(self.student))
        start, end = output.start_logits, output.end_logits
        found = {Loss.HARD: loss.hard(start, end, batch.mask, batch.start, batch.end)}
        if batch.taught is not None:
            logits = torch.stack([start, end])
            found[Loss.SOFT] = loss.soft(logits, batch.taught, batch.mask, self._hyper.temperature)
        if self._relations is not None:
            found[Loss.RELATION] = self._relations.loss(batch)
        weighted = [weight * found[part] for part, weight in self._weights.items()]
        return {Loss.TOTAL: functools.reduce(operator.add, weighted), **found}


def _weights(hyper: Hyperparameters) -> dict[Loss, float]:
    """Return the weight of each part of the loss, without those that weigh nothing.

    The loss against the labels is always there, to be watched.
    """
    others = {Loss.SOFT: hyper.alpha_ce, Loss.RELATION: hyper.alpha_relation}
    return {Loss.HARD: 1 - hyper.alpha_ce} | {part: w for part, w in others.items() if w}
