"""PURE: trials and preparations as they are stored, and back."""

from collections.abc import Mapping, Set
from typing import Any, Final

from distillery_contract import metrics, size
from distillery_operator.engine.actions import Tell
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.attempt import Report
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.trial import Point, State, Trial

WARM: Final = "warm:"
"""Begins the names of the study's attributes that hold trials of other experiments."""
TAKEN_FIELDS: Final = ("number", "parameters", "state", "expected", "metrics", "ended")
"""Of another experiment's trial: what samplers look at."""

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
)


def thin(curve: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return a curve, every second point gone once it exceeds the limit; first and last stay."""
    return curve if len(curve) <= CURVE_LIMIT else (*curve[:-1:2], curve[-1])


def taken(stored: Mapping[str, Any]) -> Trial:
    """Rebuild what was taken of another experiment's trial."""
    return Trial(**{**stored, "state": State(stored["state"])})


def space_of(spec: Spec) -> dict[str, Any]:
    """Return what is immutable, in the form that is stored."""
    objectives = [{"metric": o.metric, "direction": str(o.direction)} for o in spec.objectives]
    return {
        "objectives": objectives,
        "parameters": [p.model_dump(mode="json") for p in spec.parameters],
    }


def comparable(stored: Mapping[str, Any]) -> Any:
    """Return a stored search space without what it leaves open, which a later release may name."""
    given = [{k: v for k, v in p.items() if v is not None} for p in stored["parameters"]]
    return stored["objectives"], given


def restored(number: int, attributes: Mapping[str, Any], collected: Set[int]) -> Trial:
    """Rebuild a trial from what is stored with it."""
    suggestion, ending = attributes["suggestion"], dict(attributes.get("ending", {}))
    if ending:
        ending["state"] = State(ending["state"])
        ending["model"] = None if number in collected else ending["model"]
        ending["collected"] = number in collected
    curve = tuple(Point(**point) for point in attributes.get("curve", []))
    return Trial(number=number, curve=curve, **suggestion, **ending)


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
    }


def preparation_of(stored: Mapping[str, Any]) -> Preparation:
    """Rebuild what the preparation found."""
    sources = {
        name: size.Architecture(**{**s, "family": size.Family(s["family"])})
        for name, s in stored["sources"].items()
    }
    return Preparation(**{**stored, "sources": sources})
