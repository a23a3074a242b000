"""PURE: learning curves as they are stored.

A curve is stored whole, as the attribute ``curve`` of its trial. With the ending of a trial the few
points that early stopping looks at are stored besides, its readings: two hundred points of
thousands of trials are gigabytes, and nobody looks at most of them. A trial without readings, for
an earlier release has told it or the rungs were edited since, is read by its whole curve.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Final

from distillery_operator.trials import learning_curve
from distillery_operator.trials.trial import Point, Trial

CURVE: Final = "curve"
"""Attribute of a trial: its learning curve."""
CURVE_LIMIT: Final = 200
"""Points that it has at most."""

READINGS: Final = "readings"
"""Attribute of a trial that has ended: what early stopping looks at, and the rungs meant by it."""

Aside = Mapping[int, Mapping[str, Any]]
"""What a later release stores with points of a curve, by their steps: a curve is written whole."""


def thin(curve: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return a curve, every second point gone once it exceeds the limit; first and last stay."""
    return curve if len(curve) <= CURVE_LIMIT else (*curve[:-1:2], curve[-1])


def brief(trial: Trial, shares: Sequence[float]) -> Trial:
    """Return a trial that has ended with the points of its curve that early stopping looks at."""
    places = [(point.step, point.steps) for point in trial.curve]
    kept = (trial.curve[n] for n in learning_curve.telling(places, shares))
    return replace(trial, curve=tuple(replace(point, losses={}) for point in kept))


def lean(attributes: dict[str, Any], shares: Sequence[float]) -> dict[str, Any]:
    """Return what is stored with a trial, with a curve as :func:`brief` if it has ended."""
    if "ending" not in attributes:
        return attributes
    readings = attributes.get(READINGS)
    if readings and readings["shares"] == [*shares]:
        return {**attributes, CURVE: readings["points"]}
    kept = {name: value for name, value in attributes.items() if name != READINGS}
    if CURVE in attributes:
        curve = attributes[CURVE]
        places = [(point["step"], point.get("steps")) for point in curve]
        kept[CURVE] = [{**curve[n], "losses": {}} for n in learning_curve.telling(places, shares)]
    return kept


def unread(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a trial lacks readings, given what :func:`lean` returned."""
    return bool(attributes.get(CURVE)) and "ending" in attributes and READINGS not in attributes


def readings_of(points: Iterable[Mapping[str, Any]], shares: Sequence[float]) -> dict[str, Any]:
    """Return the readings of a trial in the form that is stored.

    Args:
        points: of its curve, those that early stopping looks at.
        shares: of the rungs.
    """
    kept = [{name: v for name, v in point.items() if name != "losses"} for point in points]
    return {"shares": [*shares], "points": kept}


def beginning(shares: Sequence[float]) -> str:
    """Return how the JSON of readings begins that were made for these rungs."""
    return json.dumps({"shares": [*shares]})[:-1]


def aside(attributes: Mapping[str, Any]) -> Aside:
    """Return what a later release stored with the points of a trial's curve."""
    known = {field.name for field in fields(Point)}
    found = {
        point["step"]: {name: value for name, value in point.items() if name not in known}
        for point in attributes.get(CURVE, [])
    }
    return {step: more for step, more in found.items() if more}


def curve_of(curve: Sequence[Point], kept: Aside) -> list[dict[str, Any]]:
    """Return a curve in the form that is stored, with what a later release stored with it."""
    return [{**kept.get(point.step, {}), **asdict(point)} for point in curve]
