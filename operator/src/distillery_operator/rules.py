"""PURE: the rules between an experiment's fields, and the one door through which documents come.

``parse`` is called by the command line for files and by the operator for resources, so both refuse
the same documents with the same sentences. Each rule reads only the parts that it names and is
skipped if one of them is broken, so that all faults of a document are found at once.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Annotated, Any, Final, get_args, get_origin

import pydantic

from distillery_contract import metrics, parameters
from distillery_contract.parameters import Kind
from distillery_operator.errors import Fault, InvalidExperiment
from distillery_operator.resources import Experiment, Parameter, Spec

UNIQUE: Final = (
    ("objectives", "metric"),
    ("constraints", "metric"),
    ("parameters", "name"),
    ("baselines", "name"),
)

MAX_SHOWN: Final = 80
"""Characters of a wrong value that a message repeats."""


def parse(document: object) -> Experiment:
    """Return the experiment that a document describes.

    Raises:
        InvalidExperiment: with every fault: field errors and broken rules between the fields that
            are sound.
    """
    try:
        experiment = Experiment.model_validate(document)
    except pydantic.ValidationError as error:
        faults = [_fault(detail) for detail in error.errors()]
        spec = document.get("spec") if isinstance(document, dict) else None
        if isinstance(spec, dict):
            faults += broken(_sound_part(spec))
        raise InvalidExperiment(faults) from error
    faults = broken(experiment.spec)
    if faults:
        raise InvalidExperiment(faults)
    return experiment


def broken(spec: Spec) -> list[Fault]:
    """Return the broken rules between fields of a spec, which may lack parts."""
    found = []
    for needs, rule in RULES:
        if all(hasattr(spec, part) for part in needs):
            found += [Fault(f"spec.{field}", message) for field, message in rule(spec)]
    return found


Found = Iterator[tuple[str, str]]


def _unique(spec: Spec) -> Found:
    for part, key in UNIQUE:
        seen: set[str] = set()
        for index, item in _each(spec, part):
            name = getattr(item, key)
            if name in seen:
                yield (
                    f"{part}[{index}].{key}",
                    f"must be unique, but {_shown(name)} stands more than once",
                )
            seen.add(name)


def _known_objectives(spec: Spec) -> Found:
    allowed = [name for name, e in metrics.EVALUATIONS.items() if e.direction is not None]
    for index, objective in _each(spec, "objectives"):
        if objective.metric not in allowed:
            yield (
                f"objectives[{index}].metric",
                f"must be one of {', '.join(allowed)}, but got {_shown(objective.metric)}",
            )
        elif objective.direction is not metrics.EVALUATIONS[objective.metric].direction:
            better = metrics.EVALUATIONS[objective.metric].direction
            yield (
                f"objectives[{index}].direction",
                f"must be {better} for {objective.metric}, but got {objective.direction}",
            )


def _known_constraints(spec: Spec) -> Found:
    for index, constraint in _each(spec, "constraints"):
        field = f"constraints[{index}]"
        if constraint.metric not in metrics.EVALUATIONS:
            allowed = ", ".join(metrics.EVALUATIONS)
            yield (
                f"{field}.metric",
                f"must be one of {allowed}, but got {_shown(constraint.metric)}",
            )
        low, high = constraint.minimum, constraint.maximum
        if low is None and high is None:
            yield field, "must have a minimum or a maximum, but got neither"
        elif low is not None and high is not None and low > high:
            yield field, f"minimum <= maximum must hold, but got ({low:g}, {high:g})"


def _search_space(spec: Spec) -> Found:
    for index, parameter in _each(spec, "parameters"):
        field = f"parameters[{index}]"
        known = parameters.PARAMETERS.get(parameter.name)
        if known is None:
            yield f"{field}.name", f"{_unknown(parameter.name)}"
        elif parameter.type is Kind.CATEGORICAL:
            yield from _categorical(field, parameter, known)
        else:
            yield from _numeric(field, parameter, known)


def _categorical(field: str, parameter: Parameter, known: parameters.Parameter) -> Found:
    for name in ("low", "high", "step"):
        if getattr(parameter, name) is not None:
            yield (
                f"{field}.{name}",
                f"must be absent for type Categorical, but got {getattr(parameter, name):g}",
            )
    if parameter.log:
        yield f"{field}.log", "must be absent for type Categorical, but got true"
    if not parameter.choices:
        yield f"{field}.choices", "must list at least one value for type Categorical"
    for position, choice in enumerate(parameter.choices or []):
        if fault := known.fault(choice):
            yield f"{field}.choices[{position}]", fault
        if any(choice is c or choice == c for c in (parameter.choices or [])[:position]):
            yield (
                f"{field}.choices[{position}]",
                f"must be unique, but {choice!r} stands more than once",
            )


def _numeric(field: str, parameter: Parameter, known: parameters.Parameter) -> Found:
    if parameter.choices is not None:
        yield f"{field}.choices", f"must be absent for type {parameter.type}"
    if known.kind is Kind.CATEGORICAL or (known.kind is Kind.INT and parameter.type is Kind.FLOAT):
        yield (
            f"{field}.type",
            f"must be {known.kind} for {parameter.name}, but got {parameter.type}",
        )
        return
    low, high, step = parameter.low, parameter.high, parameter.step
    for name, bound in (("low", low), ("high", high)):
        if bound is None:
            yield f"{field}.{name}", f"must be given for type {parameter.type}"
        elif parameter.type is Kind.INT and not isinstance(bound, int):
            yield f"{field}.{name}", f"must be an integer for type Int, but got {bound!r}"
        elif fault := known.fault(bound):
            yield f"{field}.{name}", fault
    if low is None or high is None:
        return
    if low > high:
        yield field, f"low <= high must hold, but got ({low:g}, {high:g})"
    if parameter.log and low <= 0:
        yield f"{field}.low", f"must be above 0 if log is true, but got {low:g}"
    if step is not None and step <= 0:
        yield f"{field}.step", f"must be above 0, but got {step:g}"
    if step is not None and parameter.type is Kind.INT and not isinstance(step, int):
        yield f"{field}.step", f"must be an integer for type Int, but got {step!r}"
    if step is not None and parameter.log:
        yield f"{field}.step", f"must be absent if log is true, but got {step:g}"


def _training(spec: Spec) -> Found:
    searched = {parameter.name for _, parameter in _each(spec, "parameters")}
    for name, value in spec.training.items():
        if name in searched:
            yield (
                f"training.{name}",
                "must be absent, because the search space has it in spec.parameters",
            )
        yield from _value(f"training.{name}", name, value)


def _baselines(spec: Spec) -> Found:
    space = {parameter.name: parameter for _, parameter in _each(spec, "parameters")}
    for index, baseline in _each(spec, "baselines"):
        for name, value in baseline.parameters.items():
            field = f"baselines[{index}].parameters.{name}"
            yield from _value(field, name, value)
            if (
                name in space
                and space[name].type is Kind.CATEGORICAL
                and value not in (space[name].choices or [value])
            ):
                choices = ", ".join(map(str, space[name].choices or []))
                yield (
                    field,
                    f"must be one of the search space's choices {choices}, but got {_shown(value)}",
                )


def _consumed(spec: Spec) -> Found:
    """No hyperparameter may be without effect on every trial."""
    searched = {parameter.name: parameter for _, parameter in _each(spec, "parameters")}
    choices = {spec.training.get("initialization", parameters.PARAMETERS["initialization"].default)}
    if "initialization" in searched:
        choices = set(searched["initialization"].choices or [])
    names = {*searched, *spec.training}
    if "hidden_size" in names and "Scratch" not in choices:
        yield (
            "parameters",
            "hidden_size is consumed only if initialization can be Scratch, but it never is",
        )
    choices |= {b.parameters.get("initialization") for _, b in _each(spec, "baselines")}
    if "Pretrained" in choices and spec.student.model is None:
        yield "student.model", "must be given if initialization can be Pretrained"


def _data(spec: Spec) -> Found:
    data = spec.data
    files = (data.train, data.validation)
    if data.name is not None and any(files):
        yield "data", "must have either name or train and validation, but got both"
    elif data.name is None and not all(files):
        yield "data", "must have name, or both train and validation"
    room = data.max_length - data.max_query_length - 3  # [CLS] question [SEP] context [SEP]
    if room < 1:
        yield (
            "data.maxLength",
            "maxLength - maxQueryLength - 3 >= 1 must hold,"
            f" but got ({data.max_length}, {data.max_query_length})",
        )
    elif data.stride >= room:
        yield (
            "data.stride",
            f"stride < maxLength - maxQueryLength - 3 = {room} must hold, but got {data.stride}",
        )


def _teacher(spec: Spec) -> Found:
    for name in spec.teacher.floor:
        if name not in metrics.EVALUATIONS:
            yield f"teacher.floor.{name}", f"must name one of {', '.join(metrics.EVALUATIONS)}"


def _budget(spec: Spec) -> Found:
    if spec.parallelism > spec.max_trials:
        yield (
            "parallelism",
            f"parallelism <= maxTrials must hold, but got ({spec.parallelism}, {spec.max_trials})",
        )
    if len(getattr(spec, "baselines", [])) > spec.max_trials:
        yield (
            "baselines",
            f"at most maxTrials must be listed, but got {len(spec.baselines)} of {spec.max_trials}",
        )


def _redundant(spec: Spec) -> Found:
    """Two objectives that always move together trade off nothing."""
    for (i, a), (_, b) in combinations(_each(spec, "objectives"), 2):
        if {a.metric, b.metric} in ({"exact", "best_exact"}, {"f1", "best_f1"}):
            yield (
                f"objectives[{i}]",
                f"{a.metric} and {b.metric} measure the same, so they trade off nothing",
            )


RULES: Final[tuple[tuple[tuple[str, ...], Callable[[Spec], Found]], ...]] = (
    ((), _unique),
    (("objectives",), _known_objectives),
    (("objectives",), _redundant),
    (("constraints",), _known_constraints),
    (("parameters",), _search_space),
    (("training",), _training),
    (("parameters", "baselines"), _baselines),
    (("parameters", "training", "baselines", "student"), _consumed),
    (("data",), _data),
    (("teacher",), _teacher),
    (("max_trials", "parallelism"), _budget),
)


def _value(field: str, name: str, value: object) -> Found:
    known = parameters.PARAMETERS.get(name)
    if known is None:
        yield field, _unknown(name)
    elif fault := known.fault(value):
        yield field, fault


def _unknown(name: str) -> str:
    return f"no trainer consumes {_shown(name)}; known are {', '.join(parameters.PARAMETERS)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text)} characters)"


def _each(spec: Spec, part: str) -> Iterator[tuple[int, Any]]:
    """Walk over the sound items of a list field, with their positions in the document."""
    return ((i, item) for i, item in enumerate(getattr(spec, part, [])) if item is not None)


def _sound_part(spec: Mapping[str, Any]) -> Spec:
    """Build the sound part of a spec: broken fields are missing, broken items of lists are None."""
    sound: dict[str, Any] = {}
    for name, field in Spec.model_fields.items():
        alias = field.alias or name
        annotation = (
            Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        )
        if alias not in spec:
            if not field.is_required():
                sound[name] = field.get_default(call_default_factory=True)
        elif get_origin(field.annotation) is list and isinstance(spec[alias], list):
            (item_type,) = get_args(field.annotation)
            sound[name] = [_sound(item_type, item) for item in spec[alias]]
        elif (value := _sound(annotation, spec[alias])) is not None:
            sound[name] = value
    part = object.__new__(Spec)
    object.__setattr__(part, "__dict__", sound)
    return part


def _sound(annotation: Any, value: object) -> Any:
    try:
        return pydantic.TypeAdapter(annotation).validate_python(value)
    except pydantic.ValidationError:
        return None


def _fault(detail: Any) -> Fault:
    """Turn one of pydantic's errors into a fault: the field as in YAML, the rule, the value."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in detail["loc"])[
        1:
    ]
    if detail["type"] == "missing":
        return Fault(path, "must be given, but it is missing")
    if detail["type"] == "extra_forbidden":
        return Fault(path, "no such field; look for a misspelling")
    message = re.sub("^(Input|String|List|Value|Dictionary) should", "must", detail["msg"])
    return Fault(path or "the document", f"{message}, but got {_shown(detail['input'])}")
