"""PURE: suggestions that look at no result: random, evenly spread, and every point of a grid."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count, islice
from typing import Final

from distillery_contract.parameters import Value
from distillery_operator.resource import space
from distillery_operator.resource.sampler import SamplerType
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.trial import Trial

Suggestion = Mapping[str, Value]

DIGITS: Final = 2.0**-53
"""Precision to which points are spread evenly: that of floating-point numbers in [0, 1)."""


def suggest(spec: Spec, trials: Sequence[Trial]) -> Suggestion | None:
    """Return the searched parameters of the trial that comes after these; None after the last."""
    return _SUGGEST[spec.sampler.type](spec, trials)


def remaining(spec: Spec, trials: Sequence[Trial]) -> float:
    """Return how many suggestions the sampler still has; infinity unless it is a grid."""
    if spec.sampler.type is not SamplerType.GRID:
        return float("inf")
    return space.grid_size(spec) - len(_visited(spec, trials))


def _random(spec: Spec, trials: Sequence[Trial]) -> Suggestion:
    dice = random.Random(f"{spec.sampler.seed}/{len(trials)}")
    return _at(spec, [dice.random() for _ in spec.parameters])


def even(spec: Spec, trials: Sequence[Trial]) -> Suggestion:
    """Return the next point of a Halton sequence, which fills a space more evenly than chance does.

    scipy has one, and would make the operator's image a third larger.
    """
    place = sum(trial.baseline is None and trial.continues is None for trial in trials)
    bases = islice(_primes(), len(spec.parameters))
    return _at(spec, [_halton(place, base, spec.sampler.seed) for base in bases])


def _halton(place: int, base: int, seed: int) -> float:
    """Return one coordinate: the digits of the place, mirrored at the point.

    Each digit is scrambled by a permutation of its own, without which the coordinates of large
    bases rise and fall together.
    """
    dice, value, unit = random.Random(f"{seed}/{base}"), 0.0, 1.0
    while unit > DIGITS:
        place, digit = divmod(place, base)
        unit /= base
        value += unit * dice.sample(range(base), base)[digit]
    return min(value, 1.0 - DIGITS)


def _primes() -> Iterator[int]:
    found: list[int] = []
    for number in count(2):
        if all(number % prime for prime in found):
            found.append(number)
            yield number


def _grid(spec: Spec, trials: Sequence[Trial]) -> Suggestion | None:
    """Return a point of the grid that no trial has, the grid being shuffled by the seed."""
    visited = _visited(spec, trials)
    for place in _shuffled(int(space.grid_product(spec)), spec.sampler.seed):
        point = _point(spec, place)
        if _key(point) not in visited:
            return point
    return None


@lru_cache(maxsize=8)
def _shuffled(size: int, seed: int) -> Sequence[int]:
    return random.Random(seed).sample(range(size), size)


def _point(spec: Spec, place: int) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for parameter in spec.parameters:
        place, digit = divmod(place, int(space.count(parameter)))
        values[parameter.name] = space.level(parameter, digit)
    return space.reduced(spec, values)


def _visited(spec: Spec, trials: Sequence[Trial]) -> set[tuple[tuple[str, Value], ...]]:
    """Return the points of the grid that were suggested: with a value of each active parameter."""
    points = (space.reduced(spec, t.parameters) for t in trials if t.baseline is None)
    return {_key(point) for point in points if space.whole(spec, point)}


def _key(point: Suggestion) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(point.items()))


def _at(spec: Spec, shares: Sequence[float]) -> dict[str, Value]:
    pairs = zip(spec.parameters, shares, strict=True)
    return space.reduced(spec, {p.name: space.value_at(p, share) for p, share in pairs})


_SUGGEST: Final[Mapping[SamplerType, Callable[[Spec, Sequence[Trial]], Suggestion | None]]] = {
    SamplerType.RANDOM: _random,
    SamplerType.QMC: even,
    SamplerType.GRID: _grid,
}
