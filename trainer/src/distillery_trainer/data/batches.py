"""Which windows make a batch, and batches as tensors, for training and evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distillery_trainer.data.windows import Windows
from distillery_trainer.students import dropout

POOL: Final = 64
"""Batches whose windows are sorted by length together: enough to leave little padding, few enough
that a window meets other windows in each epoch."""

Numbers = list[int]
"""The numbers of the windows that make a batch."""

Group = list[Numbers]
"""The batches that make one step of the optimiser."""

Logits = tuple[NDArray[Any], NDArray[Any]]
"""Start and end logits of all tokens of all windows, flat (t,) each."""


@dataclass(frozen=True)
class Batch:
    """B windows padded to T tokens.

    Attributes:
        input_ids: (B, T) int64.
        attention_mask: (B, T) int64; 1 on tokens, 0 on padding.
        token_type_ids: (B, T) int64; 1 from the context's first token to the last [SEP].
        mask: (B, T) bool; true on tokens, false on padding.
        start: (B,) int64; the answer's first token, 0 if the window has none.
        end: (B,) int64; its last.
        share: () float32; the batch's part of the windows of its group.
        taught: (2, B, T) float16; the teacher's start and end logits. None where nobody teaches.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    mask: Tensor
    start: Tensor
    end: Tensor
    share: Tensor
    taught: Tensor | None

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that the batch has, by name."""
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        moved = {name: t.to(device, non_blocking=True) for name, t in self.tensors().items()}
        return Batch(taught=moved.pop("taught", None), **moved)

    def inputs(self, model: Any) -> dict[str, Tensor]:
        """Return the arguments of a model's forward pass; only models with segments get them."""
        inputs = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        if model.config._attn_implementation in ("sdpa", dropout.ATTENTION):
            # transformers looks into a mask of two dimensions to see whether it hides anything,
            # and for that the host waits for the GPU at every step. A mask of four it takes as is.
            inputs["attention_mask"] = self.mask[:, None, None, :]
        if getattr(model.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = self.token_type_ids
        return inputs


def order(lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> list[Numbers]:
    """Return the batches of an epoch: each window once, windows of like length together.

    Windows are shuffled, sorted by length within pools of :data:`POOL` batches, cut into batches,
    and the batches are shuffled. The order depends on the arguments alone, so a training can resume
    at any batch of any epoch. Only one batch can be smaller than ``batch_size``.
    """
    random = np.random.default_rng([seed, epoch])
    numbers = random.permutation(len(lengths))
    batches = []
    for i in range(0, len(numbers), POOL * batch_size):
        pool = numbers[i : i + POOL * batch_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[j : j + batch_size].tolist() for j in range(0, len(pool), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


def collate(
    windows: Windows,
    numbers: Sequence[int],
    pad: int,
    width: int = 0,
    *,
    share: float = 1.0,
    teacher: Logits | None = None,
) -> Batch:
    """Return a batch of windows.

    Args:
        windows: all windows.
        numbers: which of them.
        pad: id of the padding token.
        width: the least T; the longest window may need more.
        share: the batch's part of the windows of its group; 1 where it is alone.
        teacher: the teacher's logits, if they teach.
    """
    input_ids = torch.from_numpy(windows.padded(windows.input_ids, numbers, pad, width)).long()
    position = torch.arange(input_ids.shape[1])
    length = torch.from_numpy(windows.rows[np.add(numbers, 1)] - windows.rows[numbers])[:, None]
    begin = torch.from_numpy(windows.context[numbers, 0])[:, None]
    mask = position < length
    span = torch.from_numpy(windows.span[numbers]).long()
    return Batch(
        input_ids=input_ids,
        attention_mask=mask.long(),
        token_type_ids=(mask & (position >= begin)).long(),
        mask=mask,
        start=span[:, 0],
        end=span[:, 1],
        share=torch.tensor(share),
        taught=None if teacher is None else _taught(windows, numbers, width, teacher),
    )


def _taught(windows: Windows, numbers: Sequence[int], width: int, teacher: Logits) -> Tensor:
    padded = [windows.padded(flat, numbers, 0, width) for flat in teacher]
    return torch.from_numpy(np.stack(padded))
