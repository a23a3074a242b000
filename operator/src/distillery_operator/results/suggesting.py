"""PURE: a person's suggestion for an experiment that is there already: whether it fits.

Called by the two kinds of results, which then hand it over each in its own way.
"""

import hashlib
import json
from collections.abc import Container, Mapping
from typing import Any, Final

from distillery_operator.errors import Fault, InvalidExperiment
from distillery_operator.resource import parsing, suggestion_rules
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import ConditionType, Status
from distillery_operator.resource.suggestion import Suggestion

ORIGIN: Final = "the suggestion"


def name_of(parameters: Mapping[str, object]) -> str:
    """Return a name for a point: the same for the same values."""
    text = json.dumps(dict(parameters), sort_keys=True, default=str)
    return f"hand-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def checked(
    experiment: Experiment, name: str, parameters: Mapping[str, object], taken: Container[str]
) -> Suggestion | None:
    """Return a suggestion for an experiment; None if that very one is among its own already.

    Args:
        experiment: as it is, with its own suggestions.
        name: of the suggestion.
        parameters: values of hyperparameters, as typed.
        taken: names of other suggestions that have run.

    Raises:
        InvalidExperiment: it breaks rules; the error has every fault.
    """
    spec = experiment.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    before: list[dict[str, Any]] = spec.get("suggestions", [])
    new = {"name": name, "parameters": dict(parameters)}
    place = f"spec.suggestions[{len(before)}]"
    document = {
        "apiVersion": experiment.api_version,
        "kind": experiment.kind,
        "metadata": {"name": experiment.metadata.name},
        "spec": {**spec, "suggestions": [*before, new]},
    }
    faults: list[Fault] = []
    try:
        parsed = parsing.parse(document).spec.suggestions
    except InvalidExperiment as error:
        known = next((own for own in before if own["name"] == name), None)
        if known and known.get("parameters", {}) == new["parameters"]:
            return None
        faults += [_said(fault, place) for fault in error.faults]
        # Where a value is none of its hyperparameter's, the others were not looked at.
        wrong = {fault.field for fault in faults}
        outside = suggestion_rules.faults(experiment.spec, parameters)
        faults += [Fault(n, sentence) for n, sentence in outside if n not in wrong]
    if name in taken:
        faults.append(Fault("its name", f"{name} is that of a suggestion that has run already"))
    if faults:
        raise InvalidExperiment(faults, ORIGIN)
    return parsed[-1]


def note(status: Status | None) -> str:
    """Say what keeps a suggestion from running next, if anything does."""
    for condition in status.conditions if status else []:
        if condition.type is ConditionType.PROGRESSING and condition.status == "False":
            return f"; it waits, for {condition.message}"
    return ""


def _said(fault: Fault, place: str) -> Fault:
    """Return a fault as one of what was typed."""
    field = fault.field.removeprefix(f"{place}.parameters.").removeprefix(f"{place}.")
    return Fault("its name" if field in (place, "name") else field, fault.message)
