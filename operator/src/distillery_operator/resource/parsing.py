"""PURE: the one door through which documents come.

``parse`` is called by the command line for files and by the operator for resources, so both refuse
the same documents with the same sentences. The rules are those of the API server: each field is
checked by the models that the schema is made from, and the schema's rules between fields are
evaluated by :mod:`distillery_operator.resource.crd.checking`. What a schema cannot say stands in
:mod:`distillery_operator.resource.python_rules`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeGuard, TypeVar, get_args, get_origin

import pydantic
from pydantic_core import ErrorDetails

from distillery_operator.errors import Fault, InvalidExperiment
from distillery_operator.resource import python_rules, sentences
from distillery_operator.resource.crd import checking
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
        raise InvalidExperiment(_faults(document, error.errors())) from error
    if faults := _faults(document, [], experiment.spec):
        raise InvalidExperiment(faults)
    return experiment


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Fault]:
    """Return the faults of an edit: what of a running experiment must stay as it is.

    Args:
        old: the document before, which :func:`parse` takes.
        new: the document now, which :func:`parse` takes as well.
    """
    return list(checking.changed(old, new))


def _faults(
    document: object, errors: Sequence[ErrorDetails], spec: Spec | None = None
) -> list[Fault]:
    """Return every fault of a document, given those of its fields and, if it has none, its spec."""
    faults = [sentences.of_field(error) for error in errors]
    if isinstance(document, dict):
        faults += checking.broken(document, [error["loc"] for error in errors])
        if isinstance(document.get("spec"), dict):
            faults += python_rules.broken(spec or sound_part(Spec, document["spec"]), faults)
    return list(dict.fromkeys(faults))


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
