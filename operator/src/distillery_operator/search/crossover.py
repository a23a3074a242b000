"""PURE: suggestions crossed with points of the front. ``suggester`` asks, for TPE.

TPE draws each parameter on its own, and so misses values that belong together. A crossing takes
each value either from the draw of TPE or from a point of the front (uniform crossover: Syswerda
1989). Several crossings are tried. The first is trained that improves the front by the forecast of
early stopping, where the error of the forecast is drawn by chance (Thompson 1933). An unlikely
crossing is so tried seldom, but none is ruled out: a forecast may be wrong about one kind of
student.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from distillery_contract.parameters import Value
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.stopping.front_aware import FrontAware
from distillery_operator.trials.trial import Trial
from distillery_operator.trials.verdicts import Verdicts

CROSSINGS: Final = 8
"""Crossings that are tried; the last one is trained if no earlier one was. With many more the
forecast decides alone: with 32, bench/search.py (synthetic, 20 workers, eight seeds) took about as
long as without any forecast."""

Size = Callable[[Mapping[str, Value]], int | None]
"""Returns the weights of the student that hyperparameters describe; None if there is none."""


def crossed(
    spec: Spec,
    trials: Sequence[Trial],
    drawn: Mapping[str, Value],
    size: Size,
    verdicts: Verdicts | None = None,
) -> Mapping[str, Value]:
    """Return what was drawn or, as often as the spec says, its crossing with a point of the front.

    Args:
        spec: of the experiment.
        trials: its own, in their order; the next one's number decides by chance.
        drawn: the searched parameters that the sampler drew.
        size: of the student that hyperparameters describe.
        verdicts: how the spec judges its trials; found out unless given.
    """
    dice = random.Random(f"{spec.sampler.seed}/{len(trials)}")
    if dice.random() >= spec.sampler.crossover:
        return drawn
    outlook, found = FrontAware(spec, trials, verdicts), drawn
    if not outlook.front:
        return drawn
    for _ in range(CROSSINGS):
        parent = space.reduced(spec, dice.choice(outlook.front).parameters)
        mixed = _mixed(spec, drawn, parent, dice) or drawn
        parameters = space.described(spec, mixed)
        if (count := size(parameters)) is None:
            continue
        found = mixed
        if outlook.improves(Trial(len(trials), parameters, parameter_count=count), dice.gauss()):
            break
    return found


def _mixed(
    spec: Spec, drawn: Mapping[str, Value], parent: Mapping[str, Value], dice: random.Random
) -> Mapping[str, Value] | None:
    """Return a point with each value from either of two; None where neither has a value of it.

    Only what was drawn is active here, so that its trial can become this point.
    """
    values: dict[str, Value] = {}
    for parameter in spec.parameters:
        if space.active(parameter, values):
            known = [point[parameter.name] for point in (drawn, parent) if parameter.name in point]
            if not known:
                return None
            values[parameter.name] = dice.choice(known)
    return values if values.keys() == drawn.keys() else None
