"""PURE: points that a person suggests, in the experiment or by Optuna's tools.

What is given must lie in the search space; what is left open is the sampler's, as in Optuna.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from distillery_contract.parameters import Kind, Value
from distillery_operator.resource import sentences, space
from distillery_operator.resource.fields import whole
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.sentences import number, shown
from distillery_operator.resource.spec import Spec

Fixed = Mapping[str, Any]


def faults(spec: Spec, fixed: Fixed) -> Iterator[tuple[str, str]]:
    """Yield why a point cannot be suggested: a hyperparameter, and a sentence about it."""
    known = {parameter.name: parameter for parameter in spec.parameters}
    given = _given(fixed)
    for name, value in given.items():
        if name not in known:
            yield name, sentences.UNSEARCHED.format(names=", ".join(known))
        elif not _of_its_kind(known[name], value) or not space.contains(known[name], value):
            yield name, sentences.OUTSIDE.format(range=_range(known[name]), value=shown(value))
        elif known[name].when is not None and not space.active(known[name], given):
            parent = known[name].when.parameter  # type: ignore[union-attr]
            yield name, sentences.INACTIVE.format(parent=parent)


def fault(spec: Spec, fixed: Fixed) -> str | None:
    """Return the first reason why a point cannot be suggested; None if it can."""
    return next((f"{name} {sentence}" for name, sentence in faults(spec, fixed)), None)


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


def _range(parameter: Parameter) -> str:
    if parameter.type is Kind.CATEGORICAL:
        return f"one of {', '.join(map(shown, parameter.choices or []))}"
    low, high = (number(bound or 0.0) for bound in (parameter.low, parameter.high))
    steps = f" in steps of {number(parameter.step)}" if parameter.step else ""
    return f"from {low} to {high}{steps}"
