"""The optimiser of a training. ``step`` builds it."""

import torch
from torch import nn

from distillery_contract.parameters import Hyperparameters


def build(student: nn.Module, hyper: Hyperparameters) -> torch.optim.Optimizer:
    """Return a fused AdamW that decays matrices only, not biases and norms."""
    matrices = [p for p in student.parameters() if p.ndim > 1]
    vectors = [p for p in student.parameters() if p.ndim < 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": hyper.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=hyper.learning_rate,
        betas=(hyper.beta_1, hyper.beta_2),
        eps=hyper.adam_epsilon,
        fused=True,
    )
