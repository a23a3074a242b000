"""PURE: how large the students of a search space are, without a look at each of its points.

A space may describe a billion shapes. A student grows with its layers, its heads and its width, so
the least and the greatest values of each decide; what else has to be looked at are the values where
a rule of shapes or a condition of another parameter begins or ends to hold.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from distillery_contract import parameters, size
from distillery_contract.parameters import Initialization, Value
from distillery_contract.size import Architecture
from distillery_operator.resource import space
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.spec import Spec

INITIALIZATION: Final = "initialization"
SHAPING: Final = (INITIALIZATION, "n_layers", "n_heads", "hidden_size")
"""The hyperparameters that decide a student's size."""

MANY: Final = 5_000
"""Values of a parameter that are all looked at; no hyperparameter of shapes has more."""


@dataclass(frozen=True)
class Sizes:
    """How large students are.

    Attributes:
        smallest, largest: parameter counts at the ends of the search space; None if it describes no
            student at all.
        impossible: for each rule that shapes in the space break, one sentence with their values.
    """

    smallest: int | None
    largest: int | None
    impossible: tuple[str, ...]


def of(spec: Spec, sources: Mapping[str, Architecture]) -> Sizes:
    """Return how large the students in a space are.

    Args:
        spec: whose space.
        sources: the models that students start from.
    """
    counts: list[int] = []
    broken: dict[str, list[str]] = {}
    for shape in _shapes(spec, sources):
        try:
            counts.append(size.student_size(sources, space.described(spec, shape)))
        except ValueError as error:
            rule, _, value = str(error).rpartition(", but got ")
            broken.setdefault(rule, []).append(value)
    impossible = [f"{rule}, but got {_range(values)}" for rule, values in broken.items()]
    return Sizes(min(counts, default=None), max(counts, default=None), tuple(sorted(impossible)))


def _range(values: Sequence[str]) -> str:
    known = sorted(set(values), key=int)
    return known[0] if len(known) == 1 else f"{known[0]} to {known[-1]}"


def _shapes(spec: Spec, sources: Mapping[str, Architecture]) -> Iterator[dict[str, Value]]:
    """Yield shapes with the least and the greatest students, and some of every broken rule."""
    names = set(SHAPING)
    for parameter in reversed(spec.parameters):  # a condition looks at a parameter listed before
        if parameter.name in names and parameter.when:
            names.add(parameter.when.parameter)
    rest = [parameter for parameter in spec.parameters if parameter.name in names]
    return _points(rest, {p.name: _telling(p, rest, sources) for p in rest}, {})


def _points(
    rest: Sequence[Parameter], values: Mapping[str, Sequence[Value]], point: dict[str, Value]
) -> Iterator[dict[str, Value]]:
    """Yield the points of these values; a parameter that is not active has none."""
    if not rest:
        yield point
        return
    first, others = rest[0], rest[1:]
    if not space.active(first, point):
        yield from _points(others, values, point)
        return
    for value in values[first.name]:
        yield from _points(others, values, {**point, first.name: value})


def _telling(
    parameter: Parameter, rest: Sequence[Parameter], sources: Mapping[str, Architecture]
) -> list[Value]:
    """Return the least and the greatest of those values that conditions and rules take alike."""
    children = [p for p in rest if p.when and p.when.parameter == parameter.name]
    alike: dict[object, list[Value]] = {}
    for value in _candidates(parameter, children):
        searched = (space.active(child, {parameter.name: value}) for child in children)
        origin = value if parameter.name == INITIALIZATION else None
        key = (origin, *searched, *_faults(parameter, value, sources))
        alike.setdefault(key, []).append(value)
    if parameter.name not in SHAPING:
        return [values[0] for values in alike.values()]
    return [end for values in alike.values() for end in dict.fromkeys((min(values), max(values)))]


def _faults(
    parameter: Parameter, value: Value, sources: Mapping[str, Architecture]
) -> Iterator[bool]:
    """Yield for each initialization whether a value describes no student."""
    for begun in Initialization:
        given = parameters.effective({INITIALIZATION: begun.value, parameter.name: value})
        try:
            size.shape(sources, given)
        except ValueError:
            yield True
        else:
            yield False


def _candidates(parameter: Parameter, children: Sequence[Parameter]) -> list[Value]:
    """Return all values, or of many those where the condition of a child begins or ends to hold."""
    if (count := space.count(parameter)) <= MANY:
        return [space.level(parameter, place) for place in range(int(count))]
    low, high = float(parameter.low or 0.0), float(parameter.high or 0.0)
    cuts = sorted({low, high, *(cut for child in children for cut in _cuts(child, low, high))})
    if math.isinf(count):  # a single point of a range is never drawn
        return [(a + b) / 2 for a, b in itertools.pairwise(cuts)] or [low]
    step = float(parameter.step or 1)
    near = {math.floor((cut - low) / step) + n for cut in cuts for n in (-1, 0, 1, 2)}
    return [space.level(parameter, place) for place in sorted(near) if 0 <= place < count]


def _cuts(child: Parameter, low: float, high: float) -> list[float]:
    """Return the numbers within bounds at which the condition of a parameter may change."""
    assert child.when is not None
    named = [child.when.minimum, child.when.maximum, *(child.when.values or [])]
    numbers = [float(n) for n in named if n is not None and not isinstance(n, str)]
    return [number for number in numbers if low < number < high]
