"""PURE: a Gaussian process of what trials came to. ``choice`` and ``expectation`` ask.

Matern 5/2 with a length for each coordinate, around a line in the logarithm of the size that never
falls: small students promise no more than they show. Lengths and noise are the most likely ones
(maximum a posteriori), with the priors of BoTorch: Hvarfner et al., "Vanilla Bayesian Optimization
Performs Great in High Dimensions" (2024). Rprop finds them (Riedmiller & Braun 1993), for the
operator has no scipy.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]

STEPS: Final = 25
"""Of the search for the most likely lengths. With 40, what is expected of fronts is no nearer to
the truth (the searches of bench/expectation.py)."""

FITTED: Final = 60
"""Examples that lengths and noise are found from; the time grows with the cube. With 100, likewise.
"""

SHORTEST, LONGEST = math.log(0.02), math.log(100.0)
QUIETEST, LOUDEST = math.log(1e-4), math.log(2.0)
LENGTH_SPREAD: Final = math.sqrt(3.0)
NOISE, NOISE_SPREAD = -4.0, 1.0
"""Priors, log-normal: of lengths around sqrt(2) + log(d) / 2, and of the noise's variance as a
share of the examples'."""

JITTER: Final = 1e-6
SLOPE_DOUBT: Final = 2.0
"""Examples' worth of doubt about the slope of the line."""


class Process:
    """Predicts a number from a place in the search space and the size, with the doubt about it."""

    def __init__(self, places: Array, sizes: Array, ends: Array, guessed: Flags) -> None:
        """Learn from examples.

        Args:
            places: coordinates, (n, d).
            sizes: numbers of weights, (n,).
            ends: what came of each, (n,).
            guessed: whether an end was only expected, (n,): its noise is another one.
        """
        self._centre = float(np.log(sizes).mean())
        apart = np.log(sizes) - self._centre
        spread = float(apart @ apart)
        doubt = 1.0 + SLOPE_DOUBT / max(1, len(ends))
        rise = float(apart @ (ends - ends.mean()))
        self._slope = max(0.0, rise / (doubt * spread)) if spread > 1e-12 else 0.0
        left = ends - self._slope * apart
        self._mean, self._scale = float(left.mean()), float(left.std()) or 1.0
        self._places, self._guessed = places, guessed
        self._values = (left - self._mean) / self._scale
        theta = self._most_likely(np.arange(len(ends)), FITTED)
        self._lengths, self._root = np.exp(theta[:-2]), _root(theta, places, guessed)
        self._weights = self._root.T @ (self._root @ self._values)
        self.noise = self._scale * math.sqrt(math.exp(theta[-2]))

    def left_out(self) -> Array:
        """Return by how much each example exceeds what the others let expect of it, (n,).

        Lengths and noise come from the other half of the examples: found from all of them they
        would know the one that is left out, and seem to tell something of pure noise. The rest is
        in closed form: Rasmussen & Williams, "Gaussian Processes for Machine Learning" (2006),
        5.4.2.
        """
        errors, even = np.empty(len(self._values)), np.arange(len(self._values)) % 2 == 0
        for half in (even, ~even):
            theta = self._most_likely(np.flatnonzero(half), FITTED // 2)
            root = _root(theta, self._places, self._guessed)
            each = root.T @ (root @ self._values) / (root**2).sum(axis=0)
            errors[~half] = self._scale * each[~half]
        return errors

    def _most_likely(self, known: Places, most: int) -> Array:
        """Return the most likely lengths and noises by examples at known places, not by all."""
        some = known[np.linspace(0, len(known) - 1, min(len(known), most)).round().astype(int)]
        return _fitted(self._places[some], self._values[some], self._guessed[some])

    def means(self, places: Array, sizes: Array) -> Array:
        """Return what is expected, (n,)."""
        near = _kernel(places, self._places, self._lengths) @ self._weights
        found: Array = self._level(sizes) + self._scale * near
        return found

    def deviations(self, places: Array) -> Array:
        """Return the doubt about what is expected, the noise apart, (n,)."""
        known = self._root @ _kernel(self._places, places, self._lengths)
        found: Array = self._scale * np.sqrt(np.maximum(1e-10, 1.0 - (known * known).sum(axis=0)))
        return found

    def _level(self, sizes: Array) -> Array:
        level: Array = self._mean + self._slope * (np.log(sizes) - self._centre)
        return level


class Draws:
    """Joint draws of what n points are worth, the noise apart, and of others given each draw.

    Attributes:
        values: of the points, (draws, n).
    """

    def __init__(self, process: Process, places: Array, sizes: Array, normals: Array) -> None:
        """Draw.

        Args:
            process: what is known.
            places: coordinates of the points, (n, d).
            sizes: numbers of weights, (n,).
            normals: standard normal numbers, (draws, n).
        """
        self._process, self._places = process, places
        self._known = process._root @ _kernel(process._places, places, process._lengths)
        covariance = _kernel(places, places, process._lengths) - self._known.T @ self._known
        covariance[np.diag_indices(len(places))] += JITTER
        self._factor = _inverse_root(covariance)
        self._normals = normals
        shaped = normals @ np.linalg.inv(self._factor).T
        self.values = process.means(places, sizes) + process._scale * shaped

    def given(self, places: Array, sizes: Array) -> tuple[Array, Array]:
        """Return means, (draws, n), and deviations, (n,), of other points, given each draw."""
        process = self._process
        near = _kernel(process._places, places, process._lengths)
        known = process._root @ near
        cross = _kernel(self._places, places, process._lengths) - self._known.T @ known
        seen = self._factor @ cross
        left = 1.0 - (known * known).sum(axis=0) - (seen * seen).sum(axis=0)
        means = process.means(places, sizes) + process._scale * (self._normals @ seen)
        return means, process._scale * np.sqrt(np.maximum(left, 1e-8))


def _kernel(one: Array, other: Array, lengths: Array) -> Array:
    a, b = one / lengths, other / lengths
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * (a @ b.T)
    r = np.sqrt(5.0 * np.maximum(squares, 0.0))
    found: Array = (1.0 + r + r * r / 3.0) * np.exp(-r)
    return found


def _noises(theta: Array, guessed: Flags) -> Array:
    found: Array = np.exp(theta[-2]) + guessed * np.exp(theta[-1]) + JITTER
    return found


def _inverse_root(covariance: Array) -> Array:
    """Return the inverse of the Cholesky factor."""
    found: Array = np.linalg.inv(np.linalg.cholesky(covariance)).astype(np.float64)
    return found


def _root(theta: Array, places: Array, guessed: Flags) -> Array:
    """Return the inverse of the Cholesky factor of what n examples have in common, (n, n)."""
    covariance = _kernel(places, places, np.exp(theta[:-2]))
    covariance[np.diag_indices(len(places))] += _noises(theta, guessed)
    return _inverse_root(covariance)


def _fitted(places: Array, values: Array, guessed: Flags) -> Array:
    """Return the most likely logarithms: of d lengths, of the noise, of what guesses add to it."""
    dimensions = places.shape[1]
    apart = (places[:, None, :] - places[None, :, :]) ** 2
    low = np.r_[np.full(dimensions, SHORTEST), QUIETEST, QUIETEST]
    high = np.r_[np.full(dimensions, LONGEST), LOUDEST, LOUDEST]
    theta = np.r_[np.full(dimensions, math.log(0.5)), math.log(0.05), math.log(0.05)]
    step, before = np.full(len(theta), 0.2), np.zeros(len(theta))
    least = math.inf
    best: Array = theta
    for _ in range(STEPS):
        loss, slope = _loss(theta, apart, values, guessed)
        if loss < least:
            least, best = loss, theta
        same = slope * before
        step = np.clip(step * np.where(same > 0, 1.2, np.where(same < 0, 0.5, 1.0)), 1e-4, 1.0)
        slope = np.where(same < 0, 0.0, slope)
        theta, before = np.clip(theta - np.sign(slope) * step, low, high), slope
    return best


def _loss(theta: Array, apart: Array, values: Array, guessed: Flags) -> tuple[float, Array]:
    """Return the negative logarithm of the posterior, and its gradient."""
    count, dimensions = len(values), apart.shape[2]
    inverses = np.exp(-2.0 * theta[:-2])
    r = np.sqrt(5.0 * (apart @ inverses))
    falling = np.exp(-r)
    covariance = (1.0 + r + r * r / 3.0) * falling
    covariance[np.diag_indices(count)] += _noises(theta, guessed)
    root = _inverse_root(covariance)
    inverse = root.T @ root
    weights = inverse @ values
    loss = 0.5 * float(values @ weights) - float(np.log(np.diag(root)).sum())
    outer = np.outer(weights, weights) - inverse  # d loss / d covariance is -0.5 of it
    pull = (5.0 / 3.0) * (1.0 + r) * falling * outer
    slope = np.empty_like(theta)
    slope[:-2] = -0.5 * (pull.ravel() @ apart.reshape(count * count, dimensions)) * inverses
    diagonal = np.diag(outer)
    slope[-2] = -0.5 * math.exp(theta[-2]) * float(diagonal.sum())
    slope[-1] = -0.5 * math.exp(theta[-1]) * float(diagonal @ guessed)
    centre = math.sqrt(2.0) + math.log(dimensions) / 2.0
    lengths = (theta[:-2] - centre) / LENGTH_SPREAD
    noises = (theta[-2:] - NOISE) / NOISE_SPREAD
    slope[:-2] += lengths / LENGTH_SPREAD
    slope[-2:] += noises / NOISE_SPREAD
    return loss + 0.5 * float(lengths @ lengths) + 0.5 * float(noises @ noises), slope
