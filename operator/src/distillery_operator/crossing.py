"""PURE: suggestions crossed with points of the front. ``sampling`` asks, for TPE.

TPE draws each parameter by itself, and so misses which values belong together. A crossing takes
each value from either its draw or a point of the front (uniform crossover: Syswerda 1989).
"""

import random
from collections.abc import Mapping, Sequence

from distillery_contract.parameters import Value
from distillery_operator import pareto, space
from distillery_operator.resources import Spec
from distillery_operator.trials import Trial


def crossed(spec: Spec, trials: Sequence[Trial], drawn: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return what was drawn or, as often as the spec says, its crossing with a point of the front.

    Args:
        spec: of the experiment.
        trials: its own, in their order; the next one's number decides by chance.
        drawn: the searched parameters that the sampler drew.
    """
    dice = random.Random(f"{spec.sampler.seed}/{len(trials)}")
    if dice.random() >= spec.sampler.crossover:
        return drawn
    front = pareto.front(spec, trials)
    if not front:
        return drawn
    parent = space.reduced(spec, dice.choice(front).parameters)
    return _mixed(spec, drawn, parent, dice) or drawn


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
