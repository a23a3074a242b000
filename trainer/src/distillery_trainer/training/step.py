"""One step of the optimiser: batches in, losses out. ``train`` takes them one after the other.

Nothing in here waits for a GPU: losses stay on the device until someone reads them.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from distillery_trainer.data import batches
from distillery_trainer.data.batches import Batch
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.hyperparameters import Settings
from distillery_trainer.students import heads
from distillery_trainer.training import loss
from distillery_trainer.training.replay import Replay, Tensors

MULTIPLE: Final = 32
"""Of which the length of a GPU's batches is one, so that few lengths have to be recorded."""


class Stepper:
    """A student, its optimiser and its teachers: labels, stored logits, a loaded model if any.

    Attributes:
        parts: names of the losses.

    Args:
        student: in training mode, on its device.
        prepared: windows and the teacher's logits.
        settings: the hyperparameters.
        teacher: only where ``alpha_relation`` is above 0; on the same device, in evaluation mode.
        bf16: compute in bf16 on GPUs that have it; on CPUs without its units it is 10 times slower.
    """

    def __init__(
        self,
        student: Any,
        prepared: Prepared,
        settings: Settings,
        teacher: Any = None,
        *,
        bf16: bool = True,
    ) -> None:
        self.student = student
        self.optimizer = _optimizer(student, settings)
        self.device = next(student.parameters()).device
        self.parts = tuple(_parts(settings))
        self._prepared, self._settings, self._teacher = prepared, settings, teacher
        self._lengths = prepared.train.lengths()
        self._bf16 = bf16 and self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        if teacher is not None:
            self._relations = [_Recorder(student), _Recorder(teacher)]
        self._forward: Callable[..., Any] = student
        self._learn: Callable[[Tensors], Tensor] = self._add_gradients
        self._multiple = 1
        if settings.compile:
            self._forward = torch.compile(student, dynamic=True)
        elif self.device.type == "cuda":
            self._multiple = MULTIPLE
            self._learn = replay = Replay(student, self._add_gradients)
            widest = self._lengths.argsort()[-settings.per_device_train_batch_size :]
            replay.record(self._inputs(widest.tolist(), 1.0))

    def take(self, group: list[list[int]], learning_rate: float) -> Tensor:
        """Train on batches as one: their mean over all windows. Return the losses, as ``parts``.

        Args:
            group: the windows of each batch.
            learning_rate: of this step.
        """
        windows = sum(map(len, group))
        losses = torch.zeros(len(self.parts), device=self.device)
        for rows in group:
            losses += self._learn(self._inputs(rows, len(rows) / windows))
        if self._settings.max_grad_norm:
            nn.utils.clip_grad_norm_(self.student.parameters(), self._settings.max_grad_norm)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=self.device.type != "cuda")  # see Replay
        return losses

    def _inputs(self, rows: list[int], share: float) -> dict[str, Tensor]:
        """Return what a batch is learnt from, on the host: see :meth:`_add_gradients`."""
        train, prepared = self._prepared.train, self._prepared
        width = self._width(rows)
        found = dict(vars(batches.collate(train, rows, prepared.pad, width)))
        found["share"] = torch.tensor(share)
        if "soft" in self.parts:
            assert prepared.start is not None  # no teacher, no soft loss: see settings
            assert prepared.end is not None
            pair = (prepared.start, prepared.end)
            padded = [train.padded(flat, rows, 0, width) for flat in pair]
            found["taught"] = torch.from_numpy(np.stack(padded))
        return found

    def _width(self, rows: list[int]) -> int:
        """Return to how many tokens windows are padded at least."""
        longest = -(-int(self._lengths[rows].max()) // self._multiple) * self._multiple
        return min(longest, int(self._lengths.max()))  # more, a model may have no positions for

    def _add_gradients(self, inputs: Tensors) -> Tensor:
        """Add the gradients of a batch to those of the step; return its losses, as ``parts``.

        Args:
            inputs: the tensors of a :class:`Batch`; ``taught``, the teacher's stored logits,
                (2, B, T), if they count; ``share``, (), of the batch in the step.
        """
        given = {name: values.to(self.device, non_blocking=True) for name, values in inputs.items()}
        share, taught = given.pop("share"), given.pop("taught", None)
        found = self._losses(Batch(**given), taught)
        torch.autograd.backward(found["total"] * share)
        return torch.stack([found[part].detach() for part in self.parts]) * share

    def _losses(self, batch: Batch, taught: Tensor | None) -> dict[str, Tensor]:
        settings = self._settings
        with self._precision():
            output = self._forward(**batch.inputs(self.student))
        start, end = output.start_logits, output.end_logits
        found = {"hard": loss.hard(start, end, batch.mask, batch.start, batch.end)}
        found["total"] = (1 - settings.alpha_ce) * found["hard"]
        if taught is not None:
            student = torch.stack([start, end])
            found["soft"] = loss.soft(student, taught, batch.mask, settings.temperature)
            found["total"] = found["total"] + settings.alpha_ce * found["soft"]
        if "relation" in self.parts:
            found["relation"] = self._relation(batch)
            found["total"] = found["total"] + settings.alpha_relation * found["relation"]
        return found

    def _relation(self, batch: Batch) -> Tensor:
        """Return the mean loss of the last layer's query, key and value relations."""
        with torch.no_grad(), self._precision():
            self._teacher.base_model(**batch.inputs(self._teacher))
        pairs = list(zip(*(recorder.latest() for recorder in self._relations), strict=True))
        student, teacher = (x.shape[-1] for x in pairs[0])
        count = loss.relation_heads(student, teacher, self._teacher.config.num_attention_heads)
        parts = [loss.relation(s, t, batch.mask, count) for s, t in pairs]
        return torch.stack(parts).mean()

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            yield


class _Recorder:
    """Keeps what a model's last query, key and value projections gave in its latest pass."""

    def __init__(self, model: Any) -> None:
        self._outputs: dict[int, Tensor] = {}
        for number, module in enumerate(heads.projections(model)):
            module.register_forward_hook(self._hook(number))

    def latest(self) -> list[Tensor]:
        """Return them, (B, T, width) each, once."""
        found = [self._outputs[number] for number in sorted(self._outputs)]
        self._outputs.clear()  # with them goes the graph of the pass
        return found

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
