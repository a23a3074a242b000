"""The relation loss of a batch: what student and teacher attend to in their last layers.

``step`` uses it where ``alpha_relation`` is above 0. The teacher runs on every batch then: its
projections would take hundreds of times the space of its logits, so they are not stored.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from distillery_trainer.data.batches import Batch
from distillery_trainer.students import heads
from distillery_trainer.students.families import Model
from distillery_trainer.training import loss

Autocast = Callable[[], torch.autocast]


class Relations:
    """Compares the last query, key and value projections of a student and a teacher.

    Args:
        student: the student; its pass over a batch comes first.
        teacher: on the same device, in evaluation mode.
        autocast: gives the context that sets the precision of a pass.
    """

    def __init__(self, student: Model, teacher: Model, autocast: Autocast) -> None:
        self._teacher, self._autocast = teacher, autocast
        self._recorders = [_Recorder(student), _Recorder(teacher)]

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss over queries, keys and values, after the student's pass."""
        with torch.no_grad(), self._autocast():
            self._teacher.base_model(**batch.inputs(self._teacher))
        pairs = list(zip(*(recorder.latest() for recorder in self._recorders), strict=True))
        student, teacher = (projection.shape[-1] for projection in pairs[0])
        count = loss.relation_heads(student, teacher, self._teacher.config.num_attention_heads)
        parts = [loss.relation(s, t, batch.mask, count) for s, t in pairs]
        return torch.stack(parts).mean()


class _Recorder:
    """Keeps what a model's last query, key and value projections gave in its latest pass."""

    def __init__(self, model: Model) -> None:
        self._outputs: dict[int, Tensor] = {}
        for number, module in enumerate(heads.projections(model)):
            module.register_forward_hook(self._hook(number))

    def latest(self) -> list[Tensor]:
        """Return the projections, (B, T, width) each, once."""
        found = [self._outputs[number] for number in sorted(self._outputs)]
        self._outputs.clear()  # with them goes the graph of the pass
        return found

    def _hook(self, number: int) -> Callable[[nn.Module, object, Tensor], None]:
        def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
            self._outputs[number] = output

        return keep
