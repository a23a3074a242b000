"""PURE: how a training may end, judged by those that did. ``front_aware`` and ``search`` ask.

Ridge regressions: few trials, smooth dependence, and their error on a trial left out is known in
closed form (predicted residuals, PRESS).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = Sequence[Sequence[float]] | Array

RIDGE: Final = 0.1
"""Penalty on weights, the columns being scaled to a spread of 1."""

NEAR: Final = 1.0
"""Width of a local forecast's bell, in standard deviations of the expected ends."""

FAR: Final = 0.05
"""Weight that the farthest examples of a local forecast still have."""

AT_ONCE: Final = 512
"""Rows that are predicted together: each takes a weight for each example."""

PENALTIES: Final = (1.0, 10.0, 100.0, 1000.0)
"""Penalties to choose from for a curved forecast: its columns may outnumber the examples."""


@dataclass(frozen=True)
class Expected:
    """A forecast: its mean and the standard deviation of its error."""

    mean: float
    deviation: float


class Forecast:
    """Predicts a number from others, with the error to expect.

    Attributes:
        left_out: by how much each example exceeds what the others let expect of it, (n,).
    """

    def __init__(
        self,
        rows: Rows,
        ends: Sequence[float] | Array,
        *,
        curved: bool = False,
    ) -> None:
        """Learn from examples.

        Args:
            rows: what was known of each, (n, d).
            ends: what came of each, (n,).
            curved: whether squares and products of the d numbers count as well. The penalty on
                their weights is then the one that predicts left-out examples best.
        """
        self._curved = curved
        known, came = self._numbers(rows), np.array(ends, np.float64)
        self._centre, spread = known.mean(axis=0), known.std(axis=0)
        self._scale = np.where(spread > 1e-12, spread, np.inf)  # what never varies tells nothing
        self._examples, self._came = self._columns(known), came
        penalties = PENALTIES if curved else (RIDGE,)
        fits = (_fit(self._examples, came, penalty) for penalty in penalties)
        best = min(fits, key=lambda fit: root_mean_square(fit[0]))
        self.left_out, self._inverse, self._weights = best
        self._error = root_mean_square(self.left_out)

    def of(self, row: Sequence[float]) -> Expected:
        """Predict from what is known; the further from the examples, the less certain."""
        means, deviations = self.each([row])
        return Expected(float(means[0]), float(deviations[0]))

    def each(self, rows: Rows) -> tuple[Array, Array]:
        """Predict from several rows, (n, d): the means and the deviations, (n,) each."""
        x = self._columns(self._numbers(rows))
        doubt = np.einsum("nd,nd->n", x @ self._inverse, x)
        return x @ self._weights, self._error * np.sqrt(1 + doubt)

    def means(self, rows: Rows) -> Array:
        """Predict from several rows, (n, d): the means alone, (n,)."""
        return self._columns(self._numbers(rows)) @ self._weights

    def _numbers(self, rows: Rows) -> Array:
        known = np.array(rows, np.float64)
        if not self._curved:
            return known
        first, second = np.triu_indices(known.shape[1])
        return np.hstack([known, known[:, first] * known[:, second]])

    def _columns(self, numbers: Array) -> Array:
        return np.column_stack([np.ones(len(numbers)), (numbers - self._centre) / self._scale])


class LocalForecast(Forecast):
    """Predicts each row by a regression of its own (locally weighted: Cleveland 1979).

    The examples count by how near their ends are expected to the row's, by the one regression over
    all of them: what sets the best apart differs from what sets them apart from the rest.
    """

    def __init__(self, rows: Rows, ends: Sequence[float]) -> None:
        """Learn from examples, as :class:`Forecast` does."""
        super().__init__(rows, ends)
        self._ends = self._examples @ self._weights
        products = self._examples[:, :, None] * self._examples[:, None, :]
        self._products = products.reshape(len(products), -1)
        self._terms = np.hstack([self._products, self._examples * self._came[:, None]])

    def each(self, rows: Rows) -> tuple[Array, Array]:
        """Predict from several rows, (n, d): the means and the deviations, (n,) each."""
        x, near, inverses, fitted = self._fitted(rows)
        leverages = near * (inverses.reshape(len(x), -1) @ self._products.T)
        left_out = (self._came - fitted @ self._examples.T) / np.maximum(1 - leverages, 1e-6)
        errors = np.sqrt((near * left_out**2).mean(axis=1))
        doubts = np.einsum("ri,rij,rj->r", x, inverses, x)
        return np.einsum("ri,ri->r", x, fitted), errors * np.sqrt(1 + doubts)

    def means(self, rows: Rows) -> Array:
        """Predict from several rows, (n, d): the means alone, (n,), which is much quicker."""
        blocks = [rows[first : first + AT_ONCE] for first in range(0, len(rows), AT_ONCE)]
        return np.concatenate([self._block(block) for block in blocks])

    def _block(self, rows: Rows) -> Array:
        x, _, _, fitted = self._fitted(rows)
        expected: Array = np.einsum("ri,ri->r", x, fitted)
        return expected

    def _fitted(self, rows: Rows) -> tuple[Array, Array, Array, Array]:
        """Fit a regression for each row, of n, to the m examples.

        Returns the rows' columns, (n, d), the examples' weights, (n, m), the inverses of the normal
        matrices, (n, d, d), and the regressions' weights, (n, d).
        """
        x = self._columns(self._numbers(rows))
        width = NEAR * max(float(self._ends.std()), 1e-9)
        apart = ((x @ self._weights)[:, None] - self._ends) / width
        near: Array = np.exp(-0.5 * apart**2) + FAR
        near /= near.mean(axis=1, keepdims=True)
        sums, columns = near @ self._terms, x.shape[1]
        normal = sums[:, : columns**2].reshape(-1, columns, columns)
        diagonal = np.arange(columns)
        centres, squares = normal[:, 0] / len(self._came), normal[:, diagonal, diagonal]
        spreads = squares / len(self._came) - centres**2
        penalties = RIDGE * np.where(spreads > 1e-12, spreads, 1.0)
        normal[:, diagonal[1:], diagonal[1:]] += penalties[:, 1:]
        inverses: Array = np.linalg.inv(normal).astype(np.float64)
        fitted: Array = np.einsum("rij,rj->ri", inverses, sums[:, columns**2 :])
        return x, near, inverses, fitted


def root_mean_square(errors: Array) -> float:
    """Return the size of errors, (n,)."""
    return math.sqrt(float(np.mean(errors**2)))


def _fit(x: Array, came: Array, penalty: float) -> tuple[Array, Array, Array]:
    """Return the errors on left-out examples, the inverse normal matrix, and the weights."""
    shrunk = np.diag([0.0] + [penalty] * (x.shape[1] - 1))
    inverse: Array = np.linalg.inv(x.T @ x + shrunk).astype(np.float64)
    weights: Array = inverse @ x.T @ came
    leverage = np.einsum("nd,nd->n", x @ inverse, x)
    left_out: Array = (came - x @ weights) / np.maximum(1 - leverage, 1e-6)
    return left_out, inverse, weights
