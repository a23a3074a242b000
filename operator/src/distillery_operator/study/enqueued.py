"""PURE: trials that a person enqueued by Optuna's tools, as suggestions of this experiment.

What was given must lie in the search space; what was left open is the sampler's, as in Optuna.
"""

from collections.abc import Mapping
from typing import Any

from distillery_contract.parameters import Kind, Value
from distillery_operator.resource import space
from distillery_operator.resource.fields import whole
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.spec import Spec

Fixed = Mapping[str, Any]


def fault(spec: Spec, fixed: Fixed) -> str | None:
    """Return why a trial cannot be a suggestion; None if it can."""
    known = {parameter.name: parameter for parameter in spec.parameters}
    if strange := sorted(fixed.keys() - known.keys()):
        return f"{strange[0]} is not in the search space, which has {', '.join(known)}"
    given = _given(fixed)
    for name, value in given.items():
        if not _of_its_kind(known[name], value) or not space.contains(known[name], value):
            return f"{name} must be a value of the search space, but got {value!r}"
    for name in given:
        when = known[name].when
        if when is not None and not space.active(known[name], given):
            return (
                f"{name} is searched only with certain values of {when.parameter}, so one of them"
                " must be given as well"
            )
    return None


def completed(spec: Spec, fixed: Fixed, drawn: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values of all active parameters: those given, else those that the sampler drew.

    Where the sampler drew none, for what was given makes another parameter active, the middle.
    """
    given, point = _given(fixed), dict[str, Value]()
    for parameter in spec.parameters:
        name = parameter.name
        if name in given:
            point[name] = space.nearest(parameter, given[name])
        elif space.active(parameter, point):
            point[name] = drawn.get(name, space.value_at(parameter, 0.5))
    return point


def _given(fixed: Fixed) -> dict[str, Any]:
    """Return the values with 8 for 8.0, as the file has them."""
    return {name: whole(value) for name, value in fixed.items()}


def _of_its_kind(parameter: Parameter, value: object) -> bool:
    if parameter.type is Kind.CATEGORICAL:
        return any(type(value) is type(choice) for choice in parameter.choices or [])
    return isinstance(value, int | float) and not isinstance(value, bool)
