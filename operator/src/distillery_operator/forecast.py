"""PURE: how a training may end, judged by those that did. :mod:`distillery_operator.stopping` asks.

A ridge regression: few trials, smooth dependence, and its error on a trial left out is known in
closed form.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RIDGE: Final = 0.1
"""Penalty on weights, the columns being scaled to a spread of 1."""


@dataclass(frozen=True)
class Expected:
    """A forecast: its mean and the standard deviation of its error."""

    mean: float
    deviation: float


class Forecast:
    """Predicts a number from others, with the error to expect."""

    def __init__(self, rows: Sequence[Sequence[float]], ends: Sequence[float]) -> None:
        """Learn from examples.

        Args:
            rows: what was known of each, (n, d).
            ends: what came of each, (n,).
        """
        known, came = np.array(rows, np.float64), np.array(ends, np.float64)
        self._centre, spread = known.mean(axis=0), known.std(axis=0)
        self._scale = np.where(spread > 1e-12, spread, np.inf)  # what never varies tells nothing
        x = self._columns(known)
        penalty = np.diag([0.0] + [RIDGE] * known.shape[1])
        self._inverse = np.linalg.inv(x.T @ x + penalty)
        self._weights = self._inverse @ x.T @ came
        leverage = np.einsum("nd,de,ne->n", x, self._inverse, x)
        left_out = (came - x @ self._weights) / np.maximum(1 - leverage, 1e-6)
        self._error = math.sqrt(float(np.mean(left_out**2)))

    def of(self, row: Sequence[float]) -> Expected:
        """Predict from what is known; the further from the examples, the less certain."""
        x = self._columns(np.array([row], np.float64))[0]
        return Expected(
            float(x @ self._weights), self._error * math.sqrt(1 + float(x @ self._inverse @ x))
        )

    def _columns(self, rows: Array) -> Array:
        return np.column_stack([np.ones(len(rows)), (rows - self._centre) / self._scale])
