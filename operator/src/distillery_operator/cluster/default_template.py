"""PURE: the template that an administrator gives all experiments, below that of each."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, TypeGuard

from distillery_operator.errors import Unusable
from distillery_operator.resource.experiment import Experiment

KEYS: Final = {"volumeMounts": "mountPath", "volumeDevices": "devicePath", "ports": "containerPort"}
"""What tells the items of a list apart; those of any other list have a name, or are all kept."""


def read(text: str) -> dict[str, Any]:
    """Return a template that is given as JSON; nothing for an empty text.

    Raises:
        Unusable: it is no JSON object.
    """
    try:
        template = json.loads(text or "{}")
    except ValueError as error:
        raise Unusable(f"the template of all experiments must be JSON, but {error}") from error
    if not isinstance(template, dict):
        raise Unusable(f"the template of all experiments must be an object, but got {text}")
    return template


def under(experiment: Experiment, template: Mapping[str, Any]) -> Experiment:
    """Return the experiment with this template below its own, which has the last word.

    Objects are merged, and so are lists of objects with names, item by item; other items are added.
    """
    if not template:
        return experiment
    whole = _merged(template, experiment.spec.template)
    spec = experiment.spec.model_copy(update={"template": whole})
    return experiment.model_copy(update={"spec": spec})


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    made = deepcopy(dict(below))
    for key, value in above.items():
        known = made.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            made[key] = _merged(known, value)
        elif _objects(known) and _objects(value):
            made[key] = _joined(known, value, KEYS.get(key, "name"))
        else:
            made[key] = deepcopy(value)
    return made


def _joined(
    below: Sequence[Mapping[str, Any]], above: Sequence[Mapping[str, Any]], key: str
) -> list[dict[str, Any]]:
    made = [deepcopy(dict(item)) for item in below]
    for item in above:
        places = [n for n, known in enumerate(made) if key in item and known.get(key) == item[key]]
        if places:
            made[places[0]] = _merged(made[places[0]], item)
        elif item not in made:
            made.append(deepcopy(dict(item)))
    return made


def _objects(value: object) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
