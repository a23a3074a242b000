"""PURE: the one door through which documents come.

``parse`` is called by the command line for files and by the operator for resources, so both refuse
the same documents with the same sentences. The API server checks most of these rules before: see
:mod:`distillery_operator.resource.crd.validations`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeGuard, TypeVar, get_args, get_origin

import pydantic
from pydantic.alias_generators import to_camel

from distillery_operator.errors import Fault, InvalidExperiment
from distillery_operator.resource import rules, sentences
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.fields import Model
from distillery_operator.resource.spec import Spec

M = TypeVar("M", bound=Model)


def parse(document: object) -> Experiment:
    """Return the experiment that a document describes.

    Raises:
        InvalidExperiment: with every fault: field errors and broken rules between the fields that
            are sound.
    """
    try:
        experiment = Experiment.model_validate(document)
    except pydantic.ValidationError as error:
        faults = [sentences.of_field(detail) for detail in error.errors()]
        spec = document.get("spec") if isinstance(document, dict) else None
        if isinstance(spec, dict):
            faults += rules.broken(sound_part(Spec, spec))
        raise InvalidExperiment(faults) from error
    faults = rules.broken(experiment.spec)
    if experiment.metadata.name in {w.experiment for w in experiment.spec.warm_start_from}:
        faults.append(Fault("spec.warmStartFrom", sentences.ITSELF))
    if faults:
        raise InvalidExperiment(faults)
    return experiment


def sound_part(model: type[M], document: Mapping[str, Any]) -> M:
    """Build what is sound of an object.

    Broken fields are missing, broken items of its lists are None, and what is broken of an object
    within it is missing there.
    """
    sound: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        annotation = (
            Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        )
        value = document.get(field.alias or name)
        if value is None:  # as if it were absent
            if not field.is_required():
                sound[name] = field.get_default(call_default_factory=True)
        elif _is_list(field.annotation) and isinstance(value, list):
            (item_type,) = get_args(field.annotation)
            sound[name] = [_sound(item_type, item) for item in value]
        elif (whole := _sound(annotation, value)) is not None:
            sound[name] = whole
        elif _is_model(field.annotation) and isinstance(value, dict):
            sound[name] = sound_part(field.annotation, value)
    part = object.__new__(model)
    object.__setattr__(part, "__dict__", sound)
    given = {name for name in sound if document.get(to_camel(name)) is not None}
    object.__setattr__(part, "__pydantic_fields_set__", given)
    return part


def _is_model(annotation: Any) -> TypeGuard[type[Model]]:
    return isinstance(annotation, type) and issubclass(annotation, Model)


def _is_list(annotation: Any) -> bool:
    """Tell whether a field lists objects; a rule that reads a list of numbers reads all of it."""
    return get_origin(annotation) is list and _is_model(*get_args(annotation))


def _sound(annotation: Any, value: object) -> Any:
    try:
        return pydantic.TypeAdapter(annotation).validate_python(value)
    except pydantic.ValidationError:
        return None
