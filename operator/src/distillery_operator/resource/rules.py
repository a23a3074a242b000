"""PURE: the rules between an experiment's fields.

:mod:`distillery_operator.resource.parsing` asks for them. Each rule reads only the parts that it
names and is skipped if one of them is broken, so that all faults of a document are found at once.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final

from pydantic.alias_generators import to_camel

from distillery_contract import metrics, parameters
from distillery_contract.parameters import Kind
from distillery_operator.errors import Fault
from distillery_operator.resource import sentences, space
from distillery_operator.resource.early_stopping import EarlyStopping
from distillery_operator.resource.fields import SAME
from distillery_operator.resource.parameter import Parameter, When
from distillery_operator.resource.sampler import (
    DESIGNS,
    GP_TRIALS,
    GRID_LIMIT,
    Sampler,
    SamplerType,
)
from distillery_operator.resource.sentences import number, shown
from distillery_operator.resource.spec import READ_BY, Spec

UNIQUE: Final = (
    ("objectives", "metric"),
    ("constraints", "metric"),
    ("parameters", "name"),
    ("baselines", "name"),
    ("warm_start_from", "experiment"),
)


def broken(spec: Spec) -> list[Fault]:
    """Return the broken rules between fields of a spec, which may lack parts."""
    found = []
    for needs, rule in RULES:
        if all(_has(spec, part) for part in needs):
            found += [Fault(f"spec.{field}", message) for field, message in rule(spec)]
    return found


Found = Iterator[tuple[str, str]]


def _unique(spec: Spec) -> Found:
    for part, key in UNIQUE:
        seen: set[str] = set()
        for index, item in _each(spec, part):
            name = getattr(item, key)
            if name in seen:
                yield f"{to_camel(part)}[{index}]", f"Duplicate value: {shown({key: name})}"
            seen.add(name)


def _objectives(spec: Spec) -> Found:
    for index, objective in _each(spec, "objectives"):
        better = metrics.EVALUATIONS[objective.metric].direction
        if objective.direction is not better:
            yield (
                f"objectives[{index}].direction",
                sentences.DIRECTION.format(
                    better=better, metric=objective.metric, direction=objective.direction
                ),
            )


def _same(spec: Spec) -> Found:
    chosen = {objective.metric for _, objective in _each(spec, "objectives")}
    for first, second in SAME:
        if {first, second} <= chosen:
            yield "objectives", sentences.SAME.format(first=first, second=second)


def _constraints(spec: Spec) -> Found:
    for index, constraint in _each(spec, "constraints"):
        low, high = constraint.minimum, constraint.maximum
        if low is None and high is None:
            yield f"constraints[{index}]", sentences.UNBOUNDED
        elif low is not None and high is not None and low > high:
            yield (
                f"constraints[{index}]",
                sentences.MINIMUM.format(minimum=number(low), maximum=number(high)),
            )


def _search_space(spec: Spec) -> Found:
    for index, parameter in _each(spec, "parameters"):
        rule = _categorical if parameter.type is Kind.CATEGORICAL else _numeric
        for field, sentence in rule(parameter, parameters.PARAMETERS[parameter.name]):
            yield f"parameters[{index}]{field}", sentence


def _categorical(parameter: Parameter, known: parameters.Parameter) -> Found:
    given = {"low": parameter.low, "high": parameter.high, "step": parameter.step}
    for name, value in {**given, "log": parameter.log or None}.items():
        if value is not None:
            yield f".{name}", sentences.IDLE.format(type=Kind.CATEGORICAL, value=shown(value))
    if not parameter.choices:
        yield ".choices", sentences.EMPTY
    seen: list[object] = []
    for position, choice in enumerate(parameter.choices or []):
        if fault := known.fault(choice):
            yield f".choices[{position}]", fault
        if choice in seen:
            yield f".choices[{position}]", f"Duplicate value: {shown(choice)}"
        seen.append(choice)


def _numeric(parameter: Parameter, known: parameters.Parameter) -> Found:
    if parameter.choices is not None:
        yield ".choices", sentences.ABSENT.format(type=parameter.type)
    if known.kind is Kind.CATEGORICAL or (known.kind is Kind.INT and parameter.type is Kind.FLOAT):
        yield (
            ".type",
            sentences.KIND.format(kind=known.kind, name=parameter.name, type=parameter.type),
        )
        return
    low, high, step = parameter.low, parameter.high, parameter.step
    for name, bound in (("low", low), ("high", high)):
        if bound is None:
            yield f".{name}", sentences.GIVEN.format(type=parameter.type)
        elif not known.low <= bound <= known.high:
            yield (
                f".{name}",
                sentences.RANGE.format(
                    range=f"[{number(known.low)}, {number(known.high)}]",
                    name=parameter.name,
                    value=number(bound),
                ),
            )
    for name, value in (("low", low), ("high", high), ("step", step)):
        if parameter.type is Kind.INT and value is not None and not float(value).is_integer():
            yield f".{name}", sentences.INTEGER.format(value=number(value))
    if parameter.log and step is not None:
        yield ".step", sentences.STEP
    if parameter.log and low is not None and low <= 0:
        yield ".low", sentences.LOG.format(low=number(low))
    if low is not None and high is not None and low > high:
        yield "", sentences.LOW.format(low=number(low), high=number(high))


def _conditions(spec: Spec) -> Found:
    """Each condition looks at a parameter before its own, so that none looks at itself."""
    before: dict[str, Parameter] = {}
    for index, parameter in _each(spec, "parameters"):
        when = parameter.when
        if when is not None:
            parent = before.get(when.parameter)
            if parent is None:
                yield (
                    "parameters",
                    sentences.WHEN.format(name=parameter.name, parent=when.parameter),
                )
            for field, sentence in _condition(when, parent):
                yield f"parameters[{index}].when{field}", sentence
        before[parameter.name] = parameter


def _condition(when: When, parent: Parameter | None) -> Found:
    bounds = {
        n: b for n, b in (("minimum", when.minimum), ("maximum", when.maximum)) if b is not None
    }
    if (when.values is not None) == bool(bounds):
        yield "", sentences.CONDITION
    if crossed := len(bounds) == 2 and bounds["minimum"] > bounds["maximum"]:
        yield "", sentences.MINIMUM.format(**{n: number(b) for n, b in bounds.items()})
    if parent is None:
        return
    if parent.type is Kind.CATEGORICAL:
        for name in bounds:
            yield f".{name}", sentences.CATEGORICAL_BOUND.format(parent=parent.name)
    elif any(_numeric(parent, parameters.PARAMETERS[parent.name])):
        return  # a broken range has no values
    elif not crossed and not space.crosses(
        parent, bounds.get("minimum", -math.inf), bounds.get("maximum", math.inf)
    ):
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


def _sampler(spec: Spec) -> Found:
    kind = spec.sampler.type
    if kind is SamplerType.GP and spec.max_trials > GP_TRIALS:
        yield (
            "sampler.type",
            sentences.GP.format(limit=GP_TRIALS, trials=spec.max_trials),
        )


def _unread(field: str, part: Sampler | EarlyStopping) -> Found:
    """Refuse what is given though the chosen type does not read it."""
    for name, types in READ_BY[type(part)].items():
        if name in part.model_fields_set and part.type not in types:
            said = sentences.IDLE.format(type=part.type, value=shown(getattr(part, name)))
            yield f"{field}.{to_camel(name)}", said


def _warm(spec: Spec) -> Found:
    if spec.warm_start_from and spec.sampler.type in DESIGNS:
        yield "warmStartFrom", sentences.LOOKS_AT_NONE.format(type=spec.sampler.type)


def _grid(spec: Spec) -> Found:
    if spec.sampler.type is not SamplerType.GRID:
        return
    if None in spec.parameters or any(_search_space(spec)):
        return  # a broken space has no size
    ranges = [p.name for p in spec.parameters if p.type is Kind.FLOAT and p.step is None]
    if ranges:
        yield "sampler.type", sentences.GRID.format(name=ranges[0])
    elif (size := space.grid_product(spec)) > GRID_LIMIT:
        yield (
            "sampler.type",
            sentences.GRID_SIZE.format(limit=GRID_LIMIT, size=number(size)),
        )


def _training(spec: Spec) -> Found:
    searched = {p.name for _, p in _each(spec, "parameters") if p.when is None}
    for name in spec.training:
        if name not in parameters.PARAMETERS:
            yield f"training.{name}", sentences.UNKNOWN_HYPERPARAMETER
        elif name in searched:
            yield f"training.{name}", sentences.SEARCHED


def _baselines(spec: Spec) -> Found:
    space = {parameter.name: parameter.choices for _, parameter in _each(spec, "parameters")}
    for index, baseline in _each(spec, "baselines"):
        for name, value in baseline.parameters.items():
            field = f"baselines[{index}].parameters.{name}"
            if name not in parameters.PARAMETERS:
                yield field, sentences.UNKNOWN_HYPERPARAMETER
            elif value not in (space.get(name) or [value]):
                choices = ", ".join(map(shown, space[name] or []))
                yield (
                    field,
                    f"must be one of the search space's choices {choices}, but got {shown(value)}",
                )


def _consumed(spec: Spec) -> Found:
    """No hyperparameter may be without effect on every trial."""
    searched = {parameter.name: parameter for _, parameter in _each(spec, "parameters")}
    choices = _initializations(spec)
    if "hidden_size" in {*searched, *spec.training} and "Scratch" not in choices:
        yield "parameters", sentences.HIDDEN_SIZE
    choices |= {b.parameters.get("initialization") for _, b in _each(spec, "baselines")}
    if "Pretrained" in choices and spec.student.model is None:
        yield "student.model", sentences.PRETRAINED


def _effective(spec: Spec) -> Found:
    """Refuse a hyperparameter that is searched or given by a baseline, but has no effect there.

    What training gives to all trials is left out where it has no effect.
    """
    for index, parameter in _each(spec, "parameters"):
        if parameter.name == "hidden_size" and "Scratch" in _initializations(spec):
            others = _initializations(spec, parameter) - {"Scratch"}
            if others:
                listed = ", ".join(sorted(map(str, others)))
                yield f"parameters[{index}].when", sentences.SCRATCH.format(others=listed)
    for index, baseline in _each(spec, "baselines"):
        for name, reason in parameters.idle({**spec.training, **baseline.parameters}).items():
            if name in baseline.parameters:
                yield f"baselines[{index}].parameters.{name}", reason


def _initializations(spec: Spec, searched: Parameter | None = None) -> set[object]:
    """Return the initializations that a suggestion can have, where one parameter is searched."""
    known = {parameter.name: parameter for _, parameter in _each(spec, "parameters")}
    fixed = spec.training.get("initialization", parameters.PARAMETERS["initialization"].default)
    free, child = known.get("initialization"), searched
    for _ in known:  # a broken space may lead in a circle
        when = child.when if child else None
        if when and when.parameter == "initialization":
            return set(when.values or [])
        child = known.get(when.parameter) if when else None
    if free is None:
        return {fixed}
    return {*(free.choices or []), *([fixed] if free.when else [])}


def _rungs(spec: Spec) -> Found:
    rungs = spec.early_stopping.rungs
    if any(first >= second for first, second in pairwise(rungs)):
        yield (
            "earlyStopping.rungs",
            sentences.RUNGS.format(rungs=f"[{', '.join(map(number, rungs))}]"),
        )


def _source(spec: Spec) -> Found:
    data = spec.data
    files = (data.train, data.validation)
    if data.name is not None and any(files):
        yield "data", sentences.SOURCES
    elif data.name is None and not all(files):
        yield "data", sentences.NO_SOURCE


def _windows(spec: Spec) -> Found:
    data = spec.data
    length, query = data.max_length, data.max_query_length
    room = length - query - 3  # [CLS] question [SEP] context [SEP]
    if room < 1:
        yield "data.maxLength", sentences.WINDOW.format(length=length, query=query)
    elif data.stride >= room:
        yield "data.stride", sentences.STRIDE.format(room=room, stride=data.stride)


def _teacher(spec: Spec) -> Found:
    for name in spec.teacher.floor:
        if name not in metrics.EVALUATIONS:
            yield f"teacher.floor.{name}", sentences.UNKNOWN_METRIC


def _budget(spec: Spec) -> Found:
    trials, baselines = spec.max_trials, len(getattr(spec, "baselines", []))
    if spec.parallelism > trials:
        yield (
            "parallelism",
            sentences.PARALLELISM.format(parallelism=spec.parallelism, trials=trials),
        )
    if baselines > trials:
        yield "baselines", sentences.BASELINES.format(baselines=baselines, trials=trials)


def _price(spec: Spec) -> Found:
    if spec.max_cost is not None and spec.cost_per_gpu_hour is None:
        yield "costPerGpuHour", sentences.PRICE


RULES: Final[tuple[tuple[tuple[str, ...], Callable[[Spec], Found]], ...]] = (
    ((), _unique),
    (("objectives",), _objectives),
    (("objectives",), _same),
    (("constraints",), _constraints),
    (("parameters",), _search_space),
    (("parameters",), _conditions),
    (("parameters", "sampler.type"), _grid),
    (("max_trials", "sampler.type"), _sampler),
    (("sampler.type",), lambda spec: _unread("sampler", spec.sampler)),
    (("warm_start_from", "sampler.type"), _warm),
    (("training",), _training),
    (("parameters", "baselines"), _baselines),
    (("parameters", "training", "baselines", "student.model"), _consumed),
    (("parameters", "training", "baselines"), _effective),
    (("early_stopping.type",), lambda spec: _unread("earlyStopping", spec.early_stopping)),
    (("early_stopping.rungs",), _rungs),
    (("data.name", "data.train", "data.validation"), _source),
    (("data.max_length", "data.max_query_length", "data.stride"), _windows),
    (("teacher.floor",), _teacher),
    (("max_trials", "parallelism"), _budget),
    (("max_cost", "cost_per_gpu_hour"), _price),
)


def _each(spec: Spec, part: str) -> Iterator[tuple[int, Any]]:
    """Walk over the sound items of a list field, with their positions in the document."""
    return ((i, item) for i, item in enumerate(getattr(spec, part, [])) if item is not None)


def _has(part: object, path: str) -> bool:
    """Tell whether a part is sound, which may lie within others."""
    for name in path.split("."):
        if not hasattr(part, name):
            return False
        part = getattr(part, name)
    return True
