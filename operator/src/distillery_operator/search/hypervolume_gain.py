"""PURE: by how much a training is expected to enlarge the front's hypervolume. ``choice`` asks.

The size of a student is known before it is trained. So what it adds is a sum over the steps of the
front's staircase, each the expected improvement over the step's level times the step's width: a
closed form of expected hypervolume improvement. What the trained and the running students are
worth in truth is not known, so the staircase is drawn several times (noisy expected hypervolume
improvement: Daulton et al. 2021).
"""

import math
from typing import Final

import numpy as np

from distillery_operator.search.gaussian_process import Array

TAIL: Final = (
    *(-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806),
    *(0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277),
)
"""Coefficients of a Chebyshev fit to the complementary error function (Press et al., Numerical
Recipes): wrong by 1.2e-7 of its value at most, however small that is. numpy has none."""


class Staircase:
    """The fronts of several draws: the best value that each size has, down to a threshold."""

    def __init__(self, sizes: Array, values: Array, threshold: float) -> None:
        """Build the fronts.

        Args:
            sizes: of the students, (n,).
            values: that they have, greater ones being better, (draws, n).
            threshold: below which a student is worth nothing.
        """
        self._edges = np.unique(sizes)
        levels = [np.full(len(values), threshold)]
        for edge in self._edges:
            best = values[:, sizes == edge].max(axis=1)
            levels.append(np.maximum(levels[-1], best))
        self._levels = np.array(levels).T

    def gain(self, sizes: Array, means: Array, deviations: Array, corner: float) -> Array:
        """Return the volume that each of further students is expected to add, (n,).

        Args:
            sizes: of the students, (n,).
            means: of their values by each draw, (draws, n).
            deviations: of the values, (n,).
            corner: the size from which on a student adds nothing.
        """
        first, last = np.r_[-np.inf, self._edges], np.r_[self._edges, np.inf]
        begin = np.maximum(first, sizes[:, None])
        widths = np.maximum(0.0, np.minimum(last, corner) - begin)  # (n, steps)
        better = improvement(
            means[:, :, None], deviations[:, None], self._levels[:, None, :]
        )  # (draws, n, steps)
        found: Array = (better.mean(axis=0) * widths).sum(axis=1)
        return found


def improvement(means: Array, deviations: Array, levels: Array) -> Array:
    """Return by how much normal values are expected to exceed levels: 0 where they do not."""
    z = (means - levels) / deviations
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    found: Array = deviations * (z * below(z) + density)
    return found


def below(z: Array) -> Array:
    """Return the chance that a standard normal number is below each of these."""
    x = np.abs(z) / math.sqrt(2.0)
    t = 1.0 / (1.0 + 0.5 * x)
    tail = t * np.exp(-x * x + np.polynomial.polynomial.polyval(t, TAIL))
    found: Array = np.where(z > 0, 1.0 - 0.5 * tail, 0.5 * tail)
    return found
