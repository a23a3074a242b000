"""Dropout that costs little on a CPU. ``building`` puts it into every student.

On a CPU torch draws one double per element, which is slow: a quarter of a small student's step went
into its dropouts (bench/trainer.py). Sixteen random bits per element are enough and nine times as
fast; the share of dropped values is then a multiple of 1/65536. The bits come from torch's
generator, whose state is in every checkpoint. GPUs use torch's own paths, and so does evaluation.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

ATTENTION: Final = "distillery"
"""Name of :func:`attention` among the implementations of transformers."""

_LEVELS: Final = 2**16


class Dropout(nn.Dropout):
    """``nn.Dropout`` by :func:`drop`."""

    def forward(self, values: Tensor) -> Tensor:
        """Drop in training, pass on in evaluation."""
        return drop(values, self.p) if self.training else values


def build_in(model: PreTrainedModel) -> None:
    """Replace all dropouts of a model by cheap ones, those of attention included."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Dropout):
            model.set_submodule(name, Dropout(module.p))
    model.set_attn_implementation(ATTENTION)


def drop(values: Tensor, share: float) -> Tensor:
    """Set a random share of values to 0 and scale the others up to the same expectation."""
    dropped = round(share * _LEVELS)
    if values.device.type != "cpu" or dropped == _LEVELS:
        return nn.functional.dropout(values, share)
    if dropped == 0:
        return values
    count = values.numel()
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[:count].view(values.shape)
    # A float takes part in the product without the conversions that a bool would need.
    kept = bits.float().ge_(dropped - _LEVELS // 2).mul_(_LEVELS / (_LEVELS - dropped))
    return values * kept


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend as SDPA does; step by step where SDPA has no kernel, which is with dropout on a CPU.

    Args:
        module: the attention layer.
        query: (B, heads, T, width of a head).
        key: likewise.
        value: likewise.
        attention_mask: (B, 1, 1 or T, T) bool, true on what may be attended to; None for all.
        dropout: share of attention probabilities to drop.
        scaling: of the scores.
        kwargs: what else transformers passes on.
    """
    if not dropout or query.device.type != "cpu":
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    assert scaling is not None
    scores = (query * scaling) @ key.transpose(-1, -2)
    if attention_mask is not None:
        never = torch.finfo(scores.dtype).min
        scores.add_(torch.zeros(attention_mask.shape).masked_fill_(~attention_mask, never))
    probabilities = drop(scores.softmax(-1), dropout)
    return (probabilities @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
