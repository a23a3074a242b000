"""The answer head of a student, which computes in fp32. ``building`` puts it into every student.

In bf16 a logit has eight significant bits: many tokens would tie for the best answer, and the loss
against the teacher's logits would be 1.4 % off.
"""

import torch
from torch import Tensor, nn

from distillery_trainer.students.families import Model


class AnswerHead(nn.Linear):
    """``nn.Linear`` in fp32, whatever precision the layers below compute in."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Return start and end logits, (B, T, 2)."""
        with torch.autocast(hidden.device.type, enabled=False):
            return super().forward(hidden.float())


def build_in(model: Model) -> None:
    """Replace a model's answer head by one with the same weights."""
    given = model.qa_outputs
    head = AnswerHead(given.in_features, given.out_features, device="meta")  # draws no weights
    head.weight, head.bias = given.weight, given.bias
    model.qa_outputs = head
