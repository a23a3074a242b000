"""Which windows make a batch, and batches as tensors, for training and ``evaluate``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distillery_trainer.data.features import Features
from distillery_trainer.students import dropout

POOL: Final = 64
"""Batches whose windows are sorted by length together: enough to leave little padding, few enough
that a window meets others in each epoch."""


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
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    mask: Tensor
    start: Tensor
    end: Tensor

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        return Batch(**{n: t.to(device, non_blocking=True) for n, t in vars(self).items()})

    def inputs(self, model: Any) -> dict[str, Tensor]:
        """Return the arguments of a model's forward pass; only models with segments get them."""
        inputs = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        if model.config._attn_implementation in ("sdpa", dropout.ATTENTION):
            # transformers looks into a mask of two dimensions to see whether it hides anything,
            # which makes the host wait for the GPU at every step; it takes four as they are.
            inputs["attention_mask"] = self.mask[:, None, None, :]
        if getattr(model.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = self.token_type_ids
        return inputs


def order(lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of an epoch: each window once, windows of like length together.

    Windows are shuffled, sorted by length within pools of ``POOL`` batches, cut into batches, and
    the batches shuffled. It depends on the arguments only, so (epoch, index) is a position to
    resume at. Only one batch can be smaller than ``batch_size``.
    """
    random = np.random.default_rng([seed, epoch])
    rows = random.permutation(len(lengths))
    batches = []
    for i in range(0, len(rows), POOL * batch_size):
        pool = rows[i : i + POOL * batch_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[j : j + batch_size].tolist() for j in range(0, len(pool), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


def collate(features: Features, rows: Sequence[int], pad: int, width: int = 0) -> Batch:
    """Return a batch of windows.

    Args:
        features: all windows.
        rows: which of them.
        pad: id of the padding token.
        width: T, where the longest is shorter.
    """
    input_ids = torch.from_numpy(features.padded(features.input_ids, rows, pad, width)).long()
    position = torch.arange(input_ids.shape[1])
    length = torch.from_numpy(features.rows[np.add(rows, 1)] - features.rows[rows])[:, None]
    begin = torch.from_numpy(features.context[rows, 0])[:, None]
    mask = position < length
    span = torch.from_numpy(features.span[rows]).long()
    return Batch(
        input_ids=input_ids,
        attention_mask=mask.long(),
        token_type_ids=(mask & (position >= begin)).long(),
        mask=mask,
        start=span[:, 0],
        end=span[:, 1],
    )
