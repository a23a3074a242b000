"""PURE: trials and preparations as they are stored, and back.

What is stored has a version. A release reads the records of all earlier ones: a field that they
lack has its default. It reads those of the next release too, as long as that one says so: fields
that it does not know stay where they are, and states that it does not know are failures. Nothing
that was stored is ever given another meaning; a default of a stored field never changes.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, fields, replace
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from distillery_contract import metrics, size
from distillery_operator.engine.actions import Tell
from distillery_operator.resource import space, suggestion_rules
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.fields import Model
from distillery_operator.resource.parameter import Parameter, When
from distillery_operator.resource.spec import Spec
from distillery_operator.trials import learning_curve
from distillery_operator.trials.attempt import Report
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import Provenance, Trainer
from distillery_operator.trials.trial import FinalTest, Point, State, Trial

T = TypeVar("T")

VERSION: Final = 2
"""Of the records that this release writes. 1: the first release. 2: each trial has a record, and
says what made its result; attempts are kept."""
READERS: Final = 1
"""The earliest version whose releases read what this one writes."""

FORMAT: Final = "format"
"""Attribute of the study: the latest version that wrote to it, and who reads that."""
THIS_FORMAT: Final = {"version": VERSION, "readers": READERS}

SPACE: Final = "space"
"""Attribute of the study: what is immutable. Only studies of experiments have it."""

MEANING: Final = "meaning"
"""Attribute of the study: what else gives its results their meaning, and so is immutable."""
MEANING_PARTS: Final = ("data", "teacher", "student")
"""Parts of a spec that are stored there, beside the hyperparameters of all trials."""

RESOURCE: Final = "resource"
"""Attribute of the study: the experiment that it belongs to, as it was last seen on a cluster."""

RESTORED: Final = "restored"
"""Attribute of the study: when and why it differs from what was told of it, if it does."""

REMOVED: Final = "removed"
"""Attribute of the study: it is being removed, and nobody may open it any more."""

FIRST_FIELDS: Final = ("name", "type", "low", "high", "log", "step", "choices", "when")
"""Of a parameter, in the first release."""

WARM: Final = "warm:"
"""Begins the names of the study's attributes that hold trials of other experiments."""
TAKEN_FIELDS: Final = ("number", "parameters", "state", "expected", "metrics", "ended")
"""Of another experiment's trial: what samplers look at."""

BY_HAND: Final = "by_hand"
"""Attribute of an enqueued trial: the name of the suggestion, where it has one."""

STUDENT: Final = "student"
"""Attribute of a trial that starts from a pretrained student: which one. Other experiments ask."""

CURVE_LIMIT: Final = 200
"""Points that a stored learning curve has at most."""

ENDING_FIELDS: Final = (
    "state",
    "reason",
    "message",
    "expected",
    "metrics",
    "source",
    "seconds",
    "gpus",
    "model",
    "ended",
    "provenance",
)

ATTEMPT: Final = "attempt:"
"""Begins the names of attributes that hold what is kept of an attempt: of a trial those of its
trainings, of the study those of the preparation. What tells an attempt from others follows."""

TEST: Final = "test"
"""Attribute of a trial: what it did on the test questions. Nothing that decides reads it."""
TEST_ATTEMPT: Final = "test-attempt:"
"""Begins the names of attributes of a trial that hold what is kept of an attempt of that."""

Aside = Mapping[int, Mapping[str, Any]]
"""What a later release stores with points of a curve, by their steps: a curve is written whole."""


def outdated(stored: Mapping[str, int] | None) -> bool:
    """Tell whether a study was written by earlier releases alone."""
    return stored is None or stored["version"] < VERSION


def unreadable(stored: Mapping[str, int] | None) -> str:
    """Return why this release cannot read a study; nothing if it can."""
    if stored is None or stored["readers"] <= VERSION:
        return ""
    return (
        f"a later release wrote records of version {stored['version']} there, which releases read"
        f" from version {stored['readers']} on, and this one is of version {VERSION}"
    )


def thin(curve: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return a curve, every second point gone once it exceeds the limit; first and last stay."""
    return curve if len(curve) <= CURVE_LIMIT else (*curve[:-1:2], curve[-1])


def taken(stored: Mapping[str, Any]) -> Trial:
    """Rebuild what was taken of another experiment's trial."""
    return _known(Trial, {**stored, "state": _state(stored["state"])})


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


def restored(number: int, attributes: Mapping[str, Any], collected: Set[int]) -> Trial:
    """Rebuild a trial from what is stored with it."""
    stored = {**attributes["suggestion"], **attributes.get("ending", {})}
    if "ending" in attributes:
        stored["state"] = _state(stored["state"])
        stored["model"] = None if number in collected else stored.get("model")
        stored["collected"] = number in collected
        stored["provenance"] = _provenance(stored.get("provenance"))
    stored["attempts"] = attempts(attributes)
    stored["testing"] = attempts(attributes, TEST_ATTEMPT)
    stored["test"] = _test(attributes.get(TEST))
    curve = tuple(_known(Point, point) for point in attributes.get("curve", []))
    return _known(Trial, {**stored, "number": number, "curve": curve})


def lean(attributes: dict[str, Any], shares: Sequence[float]) -> dict[str, Any]:
    """Return what is stored with a trial, with a curve as :func:`brief` if it has ended.

    Two hundred points of thousands of trials are gigabytes, and nobody looks at most of them.
    """
    if "ending" not in attributes or "curve" not in attributes:
        return attributes
    curve = attributes["curve"]
    places = [(point["step"], point.get("steps")) for point in curve]
    kept = [{**curve[n], "losses": {}} for n in learning_curve.telling(places, shares)]
    return {**attributes, "curve": kept}


def brief(trial: Trial, shares: Sequence[float]) -> Trial:
    """Return a trial that has ended with the points of its curve that early stopping looks at."""
    places = [(point.step, point.steps) for point in trial.curve]
    kept = (trial.curve[n] for n in learning_curve.telling(places, shares))
    return replace(trial, curve=tuple(replace(point, losses={}) for point in kept))


def _test(stored: Mapping[str, Any] | None) -> FinalTest | None:
    if stored is None:
        return None
    return _known(FinalTest, {**stored, "provenance": _provenance(stored["provenance"])})


def attempts(attributes: Mapping[str, Any], mark: str = ATTEMPT) -> tuple[PastAttempt, ...]:
    """Return what is kept of attempts among the attributes of a trial, or of the study."""
    kept = [
        _known(PastAttempt, {**stored, "provenance": _provenance(stored["provenance"])})
        for name, stored in attributes.items()
        if name.startswith(mark)
    ]
    return tuple(sorted(kept, key=lambda past: past.number))


def name_of(past: PastAttempt, mark: str = ATTEMPT) -> str:
    """Return the name of the attribute that keeps an attempt."""
    return f"{mark}{past.identity or past.number}"


def aside(attributes: Mapping[str, Any]) -> Aside:
    """Return what a later release stored with the points of a trial's curve."""
    known = {field.name for field in fields(Point)}
    found = {
        point["step"]: {name: value for name, value in point.items() if name not in known}
        for point in attributes.get("curve", [])
    }
    return {step: more for step, more in found.items() if more}


def curve_of(curve: Sequence[Point], kept: Aside) -> list[dict[str, Any]]:
    """Return a curve in the form that is stored, with what a later release stored with it."""
    return [{**kept.get(point.step, {}), **asdict(point)} for point in curve]


def ended(before: Trial, ending: Tell, model: str | None, now: float) -> dict[str, Any]:
    """Return the fields of a trial that its ending sets."""
    report: Report = ending.report
    known = (
        {} if before.parameter_count is None else {"parameter_count": float(before.parameter_count)}
    )
    measured = metrics.sound(report.metrics)
    point = report.continuing(before.curve, now)
    return {
        "curve": thin((*before.curve, point)) if point else before.curve,
        "state": ending.state,
        "reason": str(ending.reason),
        "message": ending.message,
        "expected": dict(ending.expected),
        "metrics": {**measured, **known},
        "source": report.source,
        "seconds": ending.seconds,
        "gpus": ending.gpus,
        "model": model if ending.state is State.COMPLETED else None,
        "ended": now,
        "provenance": ending.provenance,
    }


def ending_of(trial: Trial) -> dict[str, Any]:
    """Return how a trial ended in the form that is stored."""
    made = asdict(trial.provenance) if trial.provenance else None
    return {**{name: getattr(trial, name) for name in ENDING_FIELDS}, "provenance": made}


def preparation_of(stored: Mapping[str, Any]) -> Preparation:
    """Rebuild what the preparation found.

    Raises:
        ValueError: a model is of a family that this release does not know.
    """
    families = {source["family"] for source in stored["sources"].values()}
    if strange := sorted(families - {*size.Family}):
        raise ValueError(f"a later release prepared a model of the family {strange[0]} there")
    sources = {
        name: _known(size.Architecture, {**source, "family": size.Family(source["family"])})
        for name, source in stored["sources"].items()
    }
    return _known(Preparation, {**stored, "sources": sources})


def _provenance(stored: Mapping[str, Any] | None) -> Provenance | None:
    if stored is None:
        return None
    return _known(Provenance, {**stored, "trainer": _trainer(**stored["trainer"])})


@functools.lru_cache
def _trainer(**stored: str) -> Trainer:
    """Return what a trainer says of itself, in memory once for all its trials."""
    return _known(Trainer, stored)


def _known(kind: type[T], stored: Mapping[str, Any]) -> T:
    """Build an object of the fields that this release knows."""
    return kind(**{name: stored[name] for name in _names(kind) if name in stored})  # type: ignore[arg-type]


@functools.cache  # for each point of each curve
def _names(kind: type[Any]) -> list[str]:
    return [field.name for field in fields(kind)]


def _state(word: str) -> State:
    """Return the state of a trial; one that this release does not know says nothing of it."""
    return State(word) if word in {*State} else State.FAILED


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
