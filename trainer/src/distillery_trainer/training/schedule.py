"""When a training does what: steps, learning rates, evaluations and batches, all known beforehand.

Pure; ``train`` walks it. A step's number alone gives its place in the data, so a checkpoint needs
to store no more than that.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distillery_contract import rungs
from distillery_trainer.data import batches
from distillery_trainer.hyperparameters import Settings

Rows = list[int]


@dataclass(frozen=True)
class Schedule:
    """The course of a training.

    Attributes:
        steps: of the optimiser.
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
    _epoch: Callable[[int], list[Rows]]

    def learning_rate(self, step: int) -> float:
        """Return the rate of step 0, 1, …: linear up to the peak, then linear down towards 0."""
        if step < self.warm_up:
            return self.peak * ((step + 1) / (self.warm_up + 1))
        return self.peak * ((self.steps - step) / (self.steps - self.warm_up))

    def batches(self, step: int) -> list[Rows]:
        """Return the batches that make up step 0, 1, …: the windows of each."""
        first = step * self._per_step
        places = range(first, min(first + self._per_step, self._batches))
        return [self._epoch(p // self._per_epoch)[p % self._per_epoch] for p in places]


def plan(lengths: NDArray[np.int64], settings: Settings, shares: Sequence[float] = ()) -> Schedule:
    """Lay out the training on windows of the given lengths in tokens, (n,).

    Args:
        lengths: of the windows.
        settings: the hyperparameters.
        shares: of the steps, after which to evaluate besides.
    """
    size = settings.per_device_train_batch_size
    per_epoch = -(-len(lengths) // size)
    total = max(1, round(settings.epochs * per_epoch))
    steps = -(-total // settings.gradient_accumulation_steps)
    points = {round(steps * i / settings.evaluations) for i in range(1, settings.evaluations + 1)}
    points |= {rungs.step(share, steps) for share in shares}

    @functools.lru_cache(maxsize=2)  # a step of several batches may begin in one epoch's last
    def epoch(number: int) -> list[Rows]:
        return batches.order(lengths, size, settings.seed, number)

    return Schedule(
        steps=steps,
        evaluations=tuple(sorted(point for point in points if point > 0)),
        warm_up=settings.warm_up_steps,
        peak=settings.learning_rate,
        _batches=total,
        _per_epoch=per_epoch,
        _per_step=settings.gradient_accumulation_steps,
        _epoch=epoch,
    )
