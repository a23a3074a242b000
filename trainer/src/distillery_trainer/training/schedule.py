"""What a training does at which step: batches, learning rates, evaluations.

All of it is known before the training begins, and follows from the number of a step alone: that is
all a checkpoint has to store of it. Pure; ``train`` walks through it.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distillery_contract import rungs as contract
from distillery_contract.parameters import Hyperparameters
from distillery_trainer.data import batches
from distillery_trainer.data.batches import Group, Numbers


@dataclass(frozen=True)
class Schedule:
    """The course of a training.

    Attributes:
        steps: steps of the optimiser, each on one group of batches.
        evaluations: after how many steps to evaluate; ascending, the last is ``steps``.
        warm_up: steps over which the learning rate rises.
        peak: the learning rate at the end of the warm-up.
    """

    steps: int
    evaluations: tuple[int, ...]
    warm_up: int
    peak: float
    _batches: int
    _per_epoch: int
    _per_step: int
    _epoch: Callable[[int], list[Numbers]]

    def learning_rate(self, step: int) -> float:
        """Return the rate of step 0, 1, …: linear up to the peak, then linear down towards 0."""
        if step < self.warm_up:
            return self.peak * ((step + 1) / (self.warm_up + 1))
        return self.peak * ((self.steps - step) / (self.steps - self.warm_up))

    def group(self, step: int) -> Group:
        """Return the batches that make step 0, 1, …: the numbers of their windows."""
        first = step * self._per_step
        places = range(first, min(first + self._per_step, self._batches))
        return [self._epoch(p // self._per_epoch)[p % self._per_epoch] for p in places]


def plan(
    lengths: NDArray[np.int64], hyper: Hyperparameters, rungs: Sequence[float] = ()
) -> Schedule:
    """Lay out the training.

    Args:
        lengths: of all windows, in tokens, (n,).
        hyper: the hyperparameters.
        rungs: shares of the steps, after which to evaluate as well.
    """
    size = hyper.per_device_train_batch_size
    per_epoch = -(-len(lengths) // size)
    total = max(1, round(hyper.epochs * per_epoch))
    steps = -(-total // hyper.gradient_accumulation_steps)
    points = {round(steps * i / hyper.evaluations) for i in range(1, hyper.evaluations + 1)}
    points |= {contract.step(rung, steps) for rung in rungs}

    @functools.lru_cache(maxsize=2)  # a group may begin in one epoch and end in the next
    def epoch(number: int) -> list[Numbers]:
        return batches.order(lengths, size, hyper.seed, number)

    return Schedule(
        steps=steps,
        evaluations=tuple(sorted(point for point in points if point > 0)),
        warm_up=hyper.warm_up_steps,
        peak=hyper.learning_rate,
        _batches=total,
        _per_epoch=per_epoch,
        _per_step=hyper.gradient_accumulation_steps,
        _epoch=epoch,
    )
