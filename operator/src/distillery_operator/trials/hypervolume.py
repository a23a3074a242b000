"""PURE: the corner that hypervolumes are measured from.

The corner follows from what is stored once, the spec and the preparation: it does not move with the
trials, so a front that grows has a volume that grows. Each feasible point lies inside, a little
away from the corner, so each point of the front counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distillery_contract import metrics, size
from distillery_contract.parameters import Initialization, Value
from distillery_contract.size import Architecture
from distillery_operator.resource.spec import Objective, Spec
from distillery_operator.trials.observation import Preparation

BEYOND: Final = 0.01
"""How far the corner lies beyond the worst point, as a share of that value."""

SLOWEST: Final = 4.0
"""A student takes at most so many times as long as its teacher. One that starts from the teacher is
not larger; on a busy machine the same model has taken 1.6 times as long."""


def reference(spec: Spec, prepared: Preparation) -> dict[str, float]:
    """Return the corner by metric, in each metric's unit: beyond the worst that may be feasible.

    That is a threshold, where there is one. Elsewhere 0 percent, the size of the largest model that
    the experiment can train, and four times the teacher's time per question.
    """
    return {o.metric: _beyond(o, _worst(spec, o, prepared)) for o in spec.objectives}


def corner(spec: Spec, known: Mapping[str, float]) -> NDArray[np.float64]:
    """Return a reference as costs, in the order of the objectives."""
    return np.array([o.direction.sign * known[o.metric] for o in spec.objectives])


def _worst(spec: Spec, objective: Objective, prepared: Preparation) -> float:
    if objective.threshold is not None:
        return objective.threshold
    worst = metrics.EVALUATIONS[objective.metric].worst
    if objective.metric == "parameter_count":
        return max(_sizes(spec, prepared.sources), default=worst)
    if objective.metric == "inference_seconds":
        return SLOWEST * prepared.teacher.get(objective.metric, worst)
    return worst


def _beyond(objective: Objective, worst: float) -> float:
    percent = metrics.EVALUATIONS[objective.metric].unit == "percent"
    margin = 100 * BEYOND if percent else BEYOND * abs(worst)
    return worst + objective.direction.sign * margin


def _sizes(spec: Spec, sources: Mapping[str, Architecture]) -> Iterator[int]:
    """Yield the sizes of the sources, the baselines and the largest students of the space."""
    wanted: list[Mapping[str, object]] = [{}, *(b.parameters for b in spec.baselines)]
    wanted += _largest(spec, sources)
    for parameters in wanted:
        try:
            yield size.student_size(sources, {**spec.training, **parameters})
        except ValueError:  # no such student
            continue


def _largest(spec: Spec, sources: Mapping[str, Architecture]) -> Iterator[dict[str, object]]:
    """Yield the parameters of the largest students: a model grows with each of its dimensions."""
    layers, heads, width = (_highest(spec, n) for n in ("n_layers", "n_heads", "hidden_size"))
    for initialization in _choices(spec, "initialization"):
        found: dict[str, object] = {"initialization": initialization}
        source = size.source_of(sources, found)
        if heads is not None:
            found["n_heads"] = min(heads, size.offered_heads(sources, found))
        if layers is not None:
            teacher = initialization == Initialization.TEACHER
            found["n_layers"] = min(layers, source.n_layers) if teacher else layers
        if width is not None and initialization == Initialization.SCRATCH:
            found["hidden_size"] = width // source.n_heads * source.n_heads
        yield found


def _choices(spec: Spec, name: str) -> Sequence[Value]:
    """Return the values that a hyperparameter can have, where they are listed."""
    fixed = spec.training.get(name, Initialization.TEACHER)
    return next((p.choices or [] for p in spec.parameters if p.name == name), [fixed])


def _highest(spec: Spec, name: str) -> int | None:
    """Return the highest value that a dimension is searched at; None if it is not searched."""
    for parameter in spec.parameters:
        if parameter.name == name:
            values = [*(parameter.choices or ()), parameter.high]
            return max(int(value) for value in values if isinstance(value, int | float))
    return None
