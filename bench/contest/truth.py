"""What fronts are worth: volumes from the threshold and the teacher's size, and the best true one.

The volume of a front is the area between its steps, the threshold of exact, and the teacher's size:
over each size up to the teacher's, by how much the best student that is not larger exceeds the
threshold.
"""

import functools
from collections.abc import Sequence
from typing import Final

import numpy as np

from contest.problems import Array, Problem, threshold
from distillery_contract.parameters import Value
from distillery_operator.resource import space

DRAWS: Final = 20_000
ROUNDS: Final = 8
KEPT: Final = 6
"""Of each size so many of the best are moved in each round."""
MOVES: Final = 8
"""So often each; in every round by less."""
WHOLE: Final = 100_000
"""Points of a space at most that is looked at as a whole."""


def staircase(sizes: Sequence[float], values: Sequence[float], least: float) -> list[int]:
    """Return the places of the points of a front, by size.

    Args:
        sizes: of n students, to be small.
        values: of the same, to be large.
        least: value below which a student counts nothing.
    """
    found, level = [], -np.inf
    for place in sorted(range(len(sizes)), key=lambda n: (sizes[n], -values[n], n)):
        if values[place] >= least and values[place] > level:
            level = values[place]
            found.append(place)
    return found


def volume(sizes: Sequence[float], values: Sequence[float], least: float, largest: float) -> float:
    """Return the volume of n students' front, in points of exact times weights."""
    front = staircase(sizes, values, least)
    edges = np.minimum([*(sizes[n] for n in front), largest], largest)
    return float(np.diff(edges) @ [values[n] - least for n in front])


@functools.cache
def best_volume(problem: Problem) -> float:
    """Return the volume of the best true front that there is, as far as it can be found.

    A space without ranges is looked at as a whole. Of any other, many random points, and then what
    lies near the best of each size, nearer in each round.
    """
    sizes, values = best_points(problem)
    return volume(sizes, values, threshold(problem), float(problem.size({})))


def best_points(problem: Problem) -> tuple[list[float], list[float]]:
    """Return sizes and true exact of the best students found, some of each size."""
    spec, dice = problem.experiment.spec, np.random.default_rng(0)
    if space.grid_product(spec) <= WHOLE:
        kept = _seen(problem, _grid(problem))
    else:
        kept = _seen(problem, dice.random((DRAWS, len(spec.parameters))))
        for step in range(ROUNDS):
            near = np.repeat(np.array([row for many in kept.values() for row in many]), MOVES, 0)
            moved = near[:, 1:] + 0.2 * 0.6**step * dice.standard_normal(near[:, 1:].shape)
            stay = dice.random(moved.shape) < 0.5
            moved = np.where(stay, near[:, 1:], np.clip(moved, 0.0, np.nextafter(1.0, 0.0)))
            for size, many in _seen(problem, moved).items():
                both = np.vstack([kept[size], many]) if size in kept else many
                kept[size] = both[np.argsort(-both[:, 0], kind="stable")[:KEPT]]
    return [*kept], [float(many[0, 0]) for many in kept.values()]


def at(problem: Problem, shares: Array) -> dict[str, Value]:
    """Return the point of the space at shares, 0 to 1, of its parameters' ranges, (d,)."""
    return {
        p.name: space.value_at(p, float(share))
        for p, share in zip(problem.experiment.spec.parameters, shares, strict=True)
    }


def _seen(problem: Problem, rows: Array) -> dict[float, Array]:
    """Return the best of many points, by size: true exact and place in the space, (k, 1 + d)."""
    points = [at(problem, row) for row in rows]
    true = problem.true_exact(points)
    sizes = np.array([float(problem.size(point)) for point in points])
    known = np.column_stack([true, rows])
    found = {}
    for size in np.unique(sizes):
        many = known[sizes == size]
        found[float(size)] = many[np.argsort(-many[:, 0], kind="stable")[:KEPT]]
    return found


def _grid(problem: Problem) -> Array:
    counts = [int(space.count(p)) for p in problem.experiment.spec.parameters]
    places = np.indices(counts).reshape(len(counts), -1).T
    rows: Array = (places + 0.5) / counts
    return rows
