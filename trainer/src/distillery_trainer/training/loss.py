"""Pure formulas of the losses: against labels, the teacher's logits, its attention relations.

``step`` calls it. B windows, T tokens, W channels of a projection. All losses ignore padding: the
loss of a batch is the mean of the losses of its windows taken one by one. (transformers' own span
loss includes the padding, and changes with its width.)
"""

from math import gcd
from typing import Final

from torch import Tensor
from torch.nn import functional

_NEVER: Final = -1e30
"""Logit of padding. Its probability is 0, and sums and products of it stay finite."""


def hard(
    start_logits: Tensor, end_logits: Tensor, mask: Tensor, start: Tensor, end: Tensor
) -> Tensor:
    """Return the mean cross-entropy of the labelled spans' starts and ends.

    Args:
        start_logits: (B, T).
        end_logits: (B, T).
        mask: (B, T) bool, true on tokens.
        start: (B,) index of the answer's first token.
        end: (B,) index of its last.
    """
    starts = functional.cross_entropy(_masked(start_logits, mask), start)
    return (starts + functional.cross_entropy(_masked(end_logits, mask), end)) / 2


def soft(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Return T² KL(teacher/T || student/T), the mean over windows and over start and end logits.

    With the factor T² the gradient keeps its size when T changes (Hinton et al., 2015).

    Args:
        student: (2, B, T) start and end logits.
        teacher: (2, B, T).
        mask: (B, T) bool, true on tokens.
        temperature: T > 0.
    """
    log_student = (_masked(student, mask) / temperature).log_softmax(-1)
    log_teacher = (_masked(teacher, mask) / temperature).log_softmax(-1)
    divergence = functional.kl_div(log_student, log_teacher, reduction="none", log_target=True)
    return divergence.sum(-1).mean() * temperature**2


def relation(student: Tensor, teacher: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Return KL(teacher || student) between the self-relations of one kind of projection.

    As in MiniLMv2 (Wang et al., 2021), the channels of all attention heads are concatenated and
    split anew into relation heads of width w. A relation is softmax(X Xᵀ / √w). The mean is taken
    over the relation heads and tokens of a window, then over windows.

    Args:
        student: (B, T, W) queries, keys or values of the last layer.
        teacher: (B, T, W'); its width may differ.
        mask: (B, T) bool, true on tokens.
        heads: relation heads; divides both widths.
    """
    log_student, log_teacher = (_relations(x, mask, heads) for x in (student, teacher))
    divergence = functional.kl_div(log_student, log_teacher, reduction="none", log_target=True)
    per_token = divergence.sum(-1).mean(1).masked_fill(~mask, 0)  # (B, T)
    return (per_token.sum(-1) / mask.sum(-1)).mean()


def relation_heads(student: int, teacher: int, most: int) -> int:
    """Return the most relation heads, up to ``most``, that divide the widths of both projections.

    Pruning makes the student's projections narrower by whole heads, so both widths are multiples of
    a head's width. With 5 and 12 heads of width 64 there are 8 relation heads.
    """
    common = gcd(student, teacher)
    return max(heads for heads in range(1, most + 1) if common % heads == 0)


def _masked(logits: Tensor, mask: Tensor) -> Tensor:
    # In fp32, also where the model runs in bf16: these sums are cheap and sensitive.
    return logits.float().masked_fill(~mask, _NEVER)


def _relations(projection: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Return the logarithms of a projection's relations, (B, heads, T, T)."""
    batch, length, width = projection.shape
    split = projection.float().view(batch, length, heads, width // heads).transpose(1, 2)
    scores = split @ split.transpose(-1, -2) / split.shape[-1] ** 0.5
    masked: Tensor = scores.masked_fill(~mask[:, None, None, :], _NEVER)
    return masked.log_softmax(-1)
