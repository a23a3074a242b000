"""PURE: the rules between an experiment's fields that its CRD cannot say.

They hang on values in ``choices``, which have no type in the schema, so that CEL does not see them;
on sums over the search space, which CEL cannot reckon; or they name each item of a list where CEL
names one or none. All other rules stand in :mod:`distillery_operator.resource.crd.cel_rules`.
Each rule reads only the parts that it names and is skipped if one of them is broken, so that all
faults of a document are found at once.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from distillery_contract import parameters
from distillery_contract.parameters import Kind
from distillery_operator.errors import Fault
from distillery_operator.resource import sentences, space, suggestion_rules
from distillery_operator.resource.parameter import Parameter, When
from distillery_operator.resource.sampler import GRID_LIMIT, SamplerType
from distillery_operator.resource.sentences import number, shown
from distillery_operator.resource.spec import Spec


def broken(spec: Spec, faults: Iterable[Fault]) -> list[Fault]:
    """Return the broken rules of a spec, which may lack parts, given the faults found before."""
    matches = (re.match(r"spec\.parameters\[(\d+)\](?!\.when)", fault.field) for fault in faults)
    sound = Sound(spec, frozenset(int(match[1]) for match in matches if match))
    return [
        Fault(f"spec.{field}", message)
        for needs, rule in RULES
        if all(sound.has(part) for part in needs)
        for field, message in rule(sound)
    ]


@dataclass(frozen=True)
class Sound:
    """What is sound of a spec."""

    spec: Spec
    misshapen: frozenset[int]
    """Places of parameters that have a fault, so that their values cannot be told."""

    def each(self, part: str) -> Iterator[tuple[int, Any]]:
        """Walk over the sound items of a list, with their places in the document."""
        return ((i, item) for i, item in enumerate(getattr(self.spec, part)) if item is not None)

    def has(self, path: str) -> bool:
        """Tell whether a part is sound, which may lie within others."""
        part: object = self.spec
        for name in path.split("."):
            if not hasattr(part, name):
                return False
            part = getattr(part, name)
        return True


Found = Iterator[tuple[str, str]]


def _choices(sound: Sound) -> Found:
    for index, parameter in sound.each("parameters"):
        seen: list[object] = []
        for position, choice in enumerate(_listed(parameter)):
            field = f"parameters[{index}].choices[{position}]"
            if fault := parameters.PARAMETERS[parameter.name].fault(choice):
                yield field, fault
            if choice in seen:
                yield field, sentences.DUPLICATE.format(value=shown(choice))
            seen.append(choice)


def _listed(parameter: Parameter) -> list[parameters.Value]:
    return (parameter.choices or []) if parameter.type is Kind.CATEGORICAL else []


def _conditions(sound: Sound) -> Found:
    """Each condition looks at a parameter before its own; CEL names the first that does not."""
    before: dict[str, tuple[int, Parameter]] = {}
    for index, parameter in sound.each("parameters"):
        when = parameter.when
        if when is not None and when.parameter in before:
            place, parent = before[when.parameter]
            for field, sentence in _condition(when, parent, place in sound.misshapen):
                yield f"parameters[{index}].when{field}", sentence
        elif when is not None and None not in sound.spec.parameters:
            said = sentences.WHEN.format(name=parameter.name, parent=when.parameter)
            yield "parameters", said
        before[parameter.name] = (index, parameter)


def _condition(when: When, parent: Parameter, misshapen: bool) -> Found:
    bounds = {
        n: b for n, b in (("minimum", when.minimum), ("maximum", when.maximum)) if b is not None
    }
    low, high = bounds.get("minimum", -math.inf), bounds.get("maximum", math.inf)
    if parent.type is Kind.CATEGORICAL:
        for name in bounds:
            yield f".{name}", sentences.CATEGORICAL_BOUND.format(parent=parent.name)
    elif misshapen:
        return
    elif low <= high and not space.crosses(parent, low, high):
        said = " and ".join(f"{name} {number(bound)}" for name, bound in bounds.items())
        yield "", sentences.NOWHERE.format(parent=parent.name, bounds=said)
    if when.values and parent.type is Kind.FLOAT and parent.step is None:
        listed = ", ".join(map(shown, when.values))
        yield ".values", sentences.NO_STEP.format(parent=parent.name, values=listed)
        return
    for position, value in enumerate(when.values or []):
        if not space.contains(parent, value):
            yield (
                f".values[{position}]",
                sentences.NEVER.format(parent=parent.name, value=shown(value)),
            )


def _grid(sound: Sound) -> Found:
    if sound.spec.sampler.type is not SamplerType.GRID:
        return
    if None in sound.spec.parameters or sound.misshapen:
        return  # a broken space has no size
    size = space.grid_product(sound.spec)
    if GRID_LIMIT < size < math.inf:
        yield (
            "sampler.type",
            sentences.GRID_SIZE.format(limit=GRID_LIMIT, size=number(size)),
        )


def _baselines(sound: Sound) -> Found:
    choices = {parameter.name: _listed(parameter) for _, parameter in sound.each("parameters")}
    for index, baseline in sound.each("baselines"):
        for name, value in baseline.parameters.items():
            if value not in (choices.get(name) or [value]):
                yield (
                    f"baselines[{index}].parameters.{name}",
                    sentences.CHOICE.format(
                        choices=", ".join(map(shown, choices[name])), value=shown(value)
                    ),
                )


def _suggestions(sound: Sound) -> Found:
    if sound.misshapen or None in sound.spec.parameters:
        return  # what lies in a broken space cannot be told
    for index, suggestion in sound.each("suggestions"):
        for name, sentence in suggestion_rules.faults(sound.spec, suggestion.parameters):
            yield f"suggestions[{index}].parameters.{name}", sentence


def _searched_initialization(sound: Sound) -> Found:
    """No hyperparameter may be without effect on every trial, whichever initialization it has."""
    searched = {parameter.name for _, parameter in sound.each("parameters")}
    if "initialization" not in searched:
        return  # CEL sees the one of all trials
    choices = _initializations(sound)
    if "hidden_size" in {*searched, *sound.spec.training} and "Scratch" not in choices:
        yield "parameters", sentences.HIDDEN_SIZE
    if "Pretrained" in choices and sound.spec.student.model is None:
        yield "student.model", sentences.PRETRAINED


def _effective(sound: Sound) -> Found:
    """Refuse a hyperparameter that is searched or given by a baseline, but has no effect there.

    What training gives to all trials is left out where it has no effect.
    """
    for index, parameter in sound.each("parameters"):
        if parameter.name == "hidden_size" and "Scratch" in _initializations(sound):
            others = _initializations(sound, parameter) - {"Scratch"}
            if others:
                listed = ", ".join(sorted(map(str, others)))
                yield f"parameters[{index}].when", sentences.SCRATCH.format(others=listed)
    for index, baseline in sound.each("baselines"):
        given = {**sound.spec.training, **baseline.parameters}
        for name, reason in parameters.idle(given).items():
            if name in baseline.parameters:
                yield f"baselines[{index}].parameters.{name}", reason


def _initializations(sound: Sound, searched: Parameter | None = None) -> set[object]:
    """Return the initializations that a suggestion can have, where one parameter is searched."""
    default = parameters.PARAMETERS["initialization"].default
    fixed = sound.spec.training.get("initialization", default)
    known = {parameter.name: parameter for _, parameter in sound.each("parameters")}
    free, child = known.get("initialization"), searched
    for _ in known:  # a broken space may lead in a circle
        when = child.when if child else None
        if when and when.parameter == "initialization":
            return set(when.values or [])
        child = known.get(when.parameter) if when else None
    if free is None:
        return {fixed}
    return {*(free.choices or []), *([fixed] if free.when else [])}


RULES: Final[tuple[tuple[tuple[str, ...], Callable[[Sound], Found]], ...]] = (
    (("parameters",), _choices),
    (("parameters",), _conditions),
    (("parameters", "sampler.type"), _grid),
    (("parameters", "baselines"), _baselines),
    (("parameters", "suggestions"), _suggestions),
    (("parameters", "training", "student.model"), _searched_initialization),
    (("parameters", "training", "baselines"), _effective),
)
