"""PURE: points that may be trained next. ``choice`` chooses one of them.

What TPE drew, its crossings with leaders (uniform crossover: Syswerda 1989), leaders moved a
little, and points from anywhere. All lie in the search space, conditions and steps included.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

from distillery_contract.parameters import Value
from distillery_operator.resource import space
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.spec import Spec

Point = Mapping[str, Value]

CROSSINGS: Final = 60
MOVES: Final = 90
ANYWHERE: Final = 20

ALMOST_ONE: Final = math.nextafter(1.0, 0.0)

WIDTHS: Final = (0.03, 0.1, 0.25)
"""Standard deviations of a move, as shares of a range: some near, some far."""


def made(spec: Spec, drawn: Point, leaders: Sequence[Point], dice: random.Random) -> list[Point]:
    """Return points to choose from: first what was drawn, then others by chance."""
    crossings = (crossed(spec, drawn, dice.choice(leaders), dice) for _ in range(CROSSINGS))
    anywhere = (_completed(spec, {}, dice) for _ in range(ANYWHERE))
    return [drawn, *crossings, *near(spec, leaders, 1, dice), *anywhere]


def near(spec: Spec, points: Sequence[Point], closer: int, dice: random.Random) -> list[Point]:
    """Return points near others, so many times closer than the widths say."""
    return [
        moved(spec, dice.choice(points), WIDTHS[place % len(WIDTHS)] / closer, dice)
        for place in range(MOVES)
    ]


def crossed(spec: Spec, one: Point, other: Point, dice: random.Random) -> Point:
    """Return a point with each value from either of two, or by chance where neither has any."""
    values: dict[str, Value] = {}
    for parameter in spec.parameters:
        known = [point[parameter.name] for point in (one, other) if parameter.name in point]
        if known:
            values[parameter.name] = dice.choice(known)
    return _completed(spec, values, dice)


def moved(spec: Spec, point: Point, width: float, dice: random.Random) -> Point:
    """Return a point near another: about two of its values differ, and one at least."""
    names = [name for name in point if dice.random() < 2 / len(point)] or [dice.choice([*point])]
    known = {parameter.name: parameter for parameter in spec.parameters}
    values = {**point, **{n: _beside(known[n], point[n], width, dice) for n in names}}
    return _completed(spec, values, dice)


def _beside(parameter: Parameter, value: Value, width: float, dice: random.Random) -> Value:
    """Return a value near another one; any where values have no order."""
    choices = parameter.choices or []
    if any(isinstance(choice, str | bool) for choice in choices):
        return dice.choice(choices)
    count = space.count(parameter)
    if math.isinf(count) or parameter.log:
        (place,) = space.place(parameter, value)
        share = place + 0.5 + dice.gauss(0.0, width)
        return space.value_at(parameter, min(max(share, 0.0), ALMOST_ONE))
    (place,) = space.place(parameter, value)
    jump = max(1, round(abs(dice.gauss(0.0, 1.0)) * max(1.0, width * count)))
    level = round((place + 0.5) * (count - 1)) + dice.choice((-jump, jump))
    return space.level(parameter, int(min(max(level, 0), count - 1)))


def _completed(spec: Spec, values: Point, dice: random.Random) -> Point:
    """Return the values of the parameters that are active with them; missing ones by chance."""
    found: dict[str, Value] = {}
    for parameter in spec.parameters:
        if space.active(parameter, found):
            found[parameter.name] = (
                values[parameter.name]
                if parameter.name in values
                else space.value_at(parameter, dice.random())
            )
    return found
