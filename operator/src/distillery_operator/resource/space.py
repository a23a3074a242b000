"""PURE: the search space: which parameters are active, what values they have, how many points.

A parameter with a condition is active where the one that it depends on is active and has such a
value; elsewhere a trial goes without it. Each stands after the one that it depends on.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from distillery_contract import parameters
from distillery_contract.parameters import Kind, Value
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.spec import Spec

Values = Mapping[str, Value]

UNCOUNTED: Final = 1e18
"""Steps above which a number of values is only estimated: no sound range has so many."""


def active(parameter: Parameter, values: Values) -> bool:
    """Tell whether a parameter is searched, given the values of those before it."""
    when = parameter.when
    if when is None:
        return True
    value = values.get(when.parameter)
    if value is None:
        return False
    if when.values is not None:
        return value in when.values
    low = -math.inf if when.minimum is None else when.minimum
    high = math.inf if when.maximum is None else when.maximum
    return not isinstance(value, str) and low <= value <= high


def reduced(spec: Spec, values: Values) -> dict[str, Value]:
    """Return the values that belong to the space: of active parameters, and within their bounds.

    A baseline may have others, and leave some at what all trials have or at their defaults.
    """
    found: dict[str, Value] = {}
    given = {**_defaults(spec), **values}
    for parameter in spec.parameters:
        value = given.get(parameter.name)
        if value is not None and active(parameter, found) and contains(parameter, value):
            found[parameter.name] = nearest(parameter, value)
    return found


def described(spec: Spec, searched: Values) -> dict[str, Value]:
    """Return the hyperparameters of a trial: these and those of all trials, if they have effect."""
    return parameters.effective({**spec.training, **searched})


def filled(spec: Spec, values: Values) -> dict[str, Value] | None:
    """Return a value for every parameter: the middle for one that is not active.

    None if an active one has none within its bounds, as a baseline may: then neither its own value
    nor its default lies in the space.
    """
    inside = reduced(spec, values)
    if not whole(spec, inside):
        return None
    return {p.name: inside.get(p.name, value_at(p, 0.5)) for p in spec.parameters}


def whole(spec: Spec, point: Values) -> bool:
    """Tell whether a point has a value of each active parameter."""
    return all(p.name in point or not active(p, point) for p in spec.parameters)


def inactive(spec: Spec, values: Values) -> list[str]:
    """Return the parameters that were not searched for a trial."""
    inside = reduced(spec, values)
    return [p.name for p in spec.parameters if not active(p, inside)]


def contains(parameter: Parameter, value: Value) -> bool:
    """Tell whether a value is one of a parameter's."""
    if parameter.type is Kind.CATEGORICAL:
        return value in (parameter.choices or [])
    low, high = _bounds(parameter)
    if isinstance(value, str) or not low <= value <= high:
        return False
    step = _step(parameter)
    steps = (value - low) / step if step else 0
    return math.isclose(steps, round(steps), abs_tol=1e-8)


def crosses(parameter: Parameter, low: float, high: float) -> bool:
    """Tell whether a number's range has values from one bound to another, which may be infinite.

    A single point of a range without steps is as good as none: it is never drawn.
    """
    first, last = _bounds(parameter)
    if low > last or high < first:
        return False
    if math.isinf(count(parameter)):
        return first == last or max(low, first) < min(high, last)
    # By rounding the first value from there on may lie a place before or after.
    place = math.ceil((max(low, first) - first) / _step(parameter))
    near = range(max(0, place - 1), min(place + 2, int(count(parameter))))
    return any(low <= float(level(parameter, n)) <= high for n in near)


def count(parameter: Parameter) -> float:
    """Return how many values a parameter has; infinity for a range without steps."""
    if parameter.type is Kind.CATEGORICAL:
        return len(parameter.choices or [])
    low, high = _bounds(parameter)
    step = _step(parameter)
    if not step or (high - low) / step > UNCOUNTED:
        return (high - low) / step if step else math.inf
    first, last, width = (Decimal(repr(number)) for number in (low, high, step))
    return max(0, int((last - first) // width) + 1)


def level(parameter: Parameter, place: int) -> Value:
    """Return the value at a place among a parameter's values."""
    if parameter.type is Kind.CATEGORICAL:
        return (parameter.choices or [])[place]
    low, _ = _bounds(parameter)
    if parameter.type is Kind.INT:
        return int(low) + place * int(_step(parameter))
    return float(Decimal(repr(low)) + place * Decimal(repr(_step(parameter))))


def nearest(parameter: Parameter, value: Value) -> Value:
    """Return the level of a stepped Float that a value lies at; any other value as it is.

    Optuna draws 0.1 + 2 * 0.1, which is not the 0.3 that the file has and conditions look for.
    """
    if parameter.type is not Kind.FLOAT or parameter.step is None or isinstance(value, str):
        return value
    low, _ = _bounds(parameter)
    return level(parameter, round((value - low) / parameter.step))


def value_at(parameter: Parameter, share: float) -> Value:
    """Return the value at a share, 0 to 1 (exclusive), of a parameter's range."""
    low, high = _bounds(parameter)
    if parameter.log:  # of integers each reaches half a step to both sides
        half = 0.5 if parameter.type is Kind.INT else 0.0
        first, last = math.log(low - half), math.log(high + half)
        value = min(max(math.exp(first + share * (last - first)), low), high)
        return round(value) if parameter.type is Kind.INT else value
    values = count(parameter)
    return (
        low + share * (high - low) if math.isinf(values) else level(parameter, int(share * values))
    )


def coordinates(spec: Spec, values: Values) -> list[float]:
    """Return a point as numbers: where each value lies in its range, from -0.5 to 0.5.

    A choice among numbers lies at its place in the list; any other makes a 0 or 1 of every choice
    but the first. What has no value, or one that is no number of its range, lies in the middle.
    """
    return [number for p in spec.parameters for number in place(p, values.get(p.name))]


def place(parameter: Parameter, value: Value | None) -> list[float]:
    """Return one value as numbers: see :func:`coordinates`."""
    if parameter.type is Kind.CATEGORICAL:
        choices = parameter.choices or []
        if any(isinstance(choice, str | bool) for choice in choices):
            return [float(value == choice) for choice in choices[1:]]
        if value not in choices or len(choices) == 1:
            return [0.0]
        return [choices.index(value) / (len(choices) - 1) - 0.5]
    low, high = _bounds(parameter)
    if value is None or isinstance(value, str) or high <= low:
        return [0.0]
    at = float(value)
    if parameter.log:
        low, high, at = math.log(low), math.log(high), math.log(max(at, low * 1e-3))
    return [(at - low) / (high - low) - 0.5]


def grid_size(spec: Spec) -> int:
    """Return how many different points a space without ranges has."""
    parents = {p.when.parameter for p in spec.parameters if p.when}
    return _points(spec.parameters, parents, {})


def grid_product(spec: Spec) -> float:
    """Return how many combinations of values a space has, the inactive ones included."""
    return math.prod(count(parameter) for parameter in spec.parameters)


def conditional(spec: Spec) -> bool:
    """Tell whether a parameter depends on another."""
    return any(parameter.when for parameter in spec.parameters)


def _points(rest: Sequence[Parameter], parents: set[str], values: Values) -> int:
    """Count the points of the parameters that are left, by the values that conditions look at."""
    if not rest:
        return 1
    first, others = rest[0], rest[1:]
    if not active(first, values):
        return _points(others, parents, values)
    values_of_first = int(count(first))
    if first.name not in parents:
        return values_of_first * _points(others, parents, values)
    branches = (level(first, place) for place in range(values_of_first))
    return sum(_points(others, parents, {**values, first.name: value}) for value in branches)


def _bounds(parameter: Parameter) -> tuple[float, float]:
    return (
        0.0 if parameter.low is None else parameter.low,
        0.0 if parameter.high is None else parameter.high,
    )


def _step(parameter: Parameter) -> float:
    """Return the distance between neighbouring values; 0 where there is none."""
    return parameter.step or (1 if parameter.type is Kind.INT else 0)


def _defaults(spec: Spec) -> dict[str, Value]:
    """Return what a trial has of a hyperparameter that it is not given."""
    known = {p.name: parameters.PARAMETERS[p.name].default for p in spec.parameters}
    return {**{n: v for n, v in known.items() if v is not None}, **spec.training}
