"""PURE: specs as they are stored: what is immutable of them, and whose experiment it is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from distillery_operator.resource import space, suggestion_rules
from distillery_operator.resource.early_stopping import EarlyStopping
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.fields import Model
from distillery_operator.resource.parameter import Parameter, When
from distillery_operator.resource.sampler import SamplerType
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.trial import Trial

SPACE: Final = "space"
"""Attribute of the study: what is immutable. Only studies of experiments have it."""

MEANING: Final = "meaning"
"""Attribute of the study: what else gives its results their meaning, and so is immutable."""
MEANING_PARTS: Final = ("data", "teacher", "student")
"""Parts of a spec that are stored there, beside the hyperparameters of all trials."""

SAMPLER: Final = "sampler"
"""Attribute of the study: the sampler of a spec that names none, as of when the study began."""
FIRST_SAMPLER: Final = SamplerType.TPE
"""The same in releases that did not store it."""

RESOURCE: Final = "resource"
"""Attribute of the study: the experiment that it belongs to, as it was last seen on a cluster."""

FIRST_FIELDS: Final = ("name", "type", "low", "high", "log", "step", "choices", "when")
"""Of a parameter, in the first release."""


def space_of(spec: Spec) -> dict[str, Any]:
    """Return what is immutable, in the form that is stored.

    Releases before the one that adds a field take its default for granted, so only another value is
    stored. The first release compared what it stored word by word, with all its fields.
    """
    objectives = [{"metric": o.metric, "direction": str(o.direction)} for o in spec.objectives]
    return {"objectives": objectives, "parameters": [_stored(p) for p in spec.parameters]}


def mismatch(stored: Mapping[str, Any], spec: Spec) -> str:
    """Return what a stored search space was made for, if not for that of a spec.

    A field that the stored one lacks, for a later release has added it, has its default.
    """
    wanted = [(o.metric, str(o.direction)) for o in spec.objectives]
    if [(o["metric"], o["direction"]) for o in stored["objectives"]] != wanted:
        return "other objectives"
    for parameter in stored["parameters"]:
        if strange := _strange(Parameter, parameter) + _strange(When, parameter.get("when") or {}):
            return f"a search space with {strange[0]}, which this release does not know"
    try:
        given = [Parameter.model_validate(_named(p)) for p in stored["parameters"]]
    except ValidationError:  # no spec of today can be like it
        return "another search space"
    return "" if given == list(spec.parameters) else "another search space"


def meaning_of(spec: Spec) -> dict[str, Any]:
    """Return what gives results their meaning, in the form that is stored."""
    parts: dict[str, Any] = {
        part: getattr(spec, part).model_dump(mode="json") for part in MEANING_PARTS
    }
    return {**parts, "training": dict(spec.training)}


def settled(spec: Spec, stored: object) -> Spec:
    """Return a spec with what a search has begun with where it leaves that open: its sampler.

    Args:
        spec: of today.
        stored: the default of then; None if that release did not store it. One that this release
            does not know is as today.
    """
    if "type" in spec.sampler.model_fields_set:
        return spec
    began = FIRST_SAMPLER if stored is None else stored
    if began == spec.sampler.type or began not in {*SamplerType}:
        return spec
    sampler = spec.sampler.model_copy(update={"type": SamplerType(str(began))})
    return spec.model_copy(update={"sampler": sampler})


def resource_of(experiment: Experiment, cluster: str) -> dict[str, Any]:
    """Return an experiment of a cluster in the form that is stored: whose, and what is wanted.

    The environment of its containers is left out: it may hold what not every reader may see.
    """
    metadata = experiment.metadata
    spec = experiment.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if "template" in spec:
        spec["template"] = _without_environment(spec["template"])
    return {
        "cluster": cluster,
        "namespace": metadata.namespace,
        "name": metadata.name,
        "uid": metadata.uid,
        "spec": spec,
    }


def rungs_of(resource: Mapping[str, Any]) -> list[float]:
    """Return the rungs of an experiment, as of when it was last seen on a cluster."""
    stopping = resource["spec"].get("earlyStopping") or {}
    return [*(stopping.get("rungs") or EarlyStopping.model_fields["rungs"].default)]


def _without_environment(part: Any) -> Any:
    """Return a part of a pod template without the variables of its containers."""
    if isinstance(part, dict):
        kept = ((k, v) for k, v in part.items() if k not in ("env", "envFrom"))
        return {key: _without_environment(value) for key, value in kept}
    return [*map(_without_environment, part)] if isinstance(part, list) else part


def edited(stored: Mapping[str, Any], spec: Spec, trials: Sequence[Trial]) -> list[str]:
    """Say which fields of a spec differ from those that the results were made with.

    A field that is not stored, for a later release has added it, had its default.

    Args:
        stored: as :func:`meaning_of` returned it.
        spec: of today.
        trials: of the experiment; baselines and suggestions among them keep their hyperparameters.
    """
    found = []
    for part in MEANING_PARTS:
        given: Model = getattr(spec, part)
        for name, field in type(given).model_fields.items():
            default = field.get_default(call_default_factory=True)
            before, now = stored[part].get(name, default), getattr(given, name)
            found += _difference(f"{part}.{field.alias or name}", before, now)
    for name in sorted(stored["training"].keys() | spec.training.keys()):
        before, now = stored["training"].get(name), spec.training.get(name)
        found += _difference(f"training.{name}", before, now)
    ran = {trial.baseline: trial.parameters for trial in trials if trial.baseline}
    for baseline in spec.baselines:
        if baseline.name in ran:
            now = space.described(spec, baseline.parameters)
            before = dict(ran[baseline.name])
            found += _difference(f"the baseline {baseline.name}", before, now)
    return [*found, *_other_suggestions(spec, trials)]


def _other_suggestions(spec: Spec, trials: Sequence[Trial]) -> Iterator[str]:
    """Yield the suggestions of a person that are not those that have run under their names."""
    ran = {trial.by_hand: trial.parameters for trial in trials if trial.by_hand}
    for suggestion in spec.suggestions:
        if suggestion.name in ran:
            point = suggestion_rules.completed(spec, suggestion.parameters, {})
            now = {name: point[name] for name in suggestion.parameters}
            before = {name: ran[suggestion.name].get(name) for name in now}
            yield from _difference(f"the suggestion {suggestion.name}", before, now)


def _difference(field: str, before: object, now: object) -> list[str]:
    return [] if before == now else [f"{field} was {before!r}, but is {now!r}"]


def _stored(parameter: Parameter) -> dict[str, Any]:
    defaults = {name: field.default for name, field in Parameter.model_fields.items()}
    found = parameter.model_dump(mode="json").items()
    return {name: v for name, v in found if name in FIRST_FIELDS or v != defaults[name]}


def _strange(model: type[Model], stored: Mapping[str, Any]) -> list[str]:
    names = (name for name, value in stored.items() if value is not None)
    return sorted(name for name in names if name not in model.model_fields)


def _named(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored parameter without fields that this release does not know; they are null."""
    found = {name: value for name, value in stored.items() if name in Parameter.model_fields}
    when = found.get("when")
    if when is not None:
        found["when"] = {name: v for name, v in when.items() if name in When.model_fields}
    return found
