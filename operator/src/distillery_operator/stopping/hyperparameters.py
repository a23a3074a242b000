"""PURE: the forecast of how a training ends that knows its hyperparameters alone.

One model for whoever asks: ``front_aware`` judges crossings by it, and ``search.importance`` says
what it depends on.
"""

import math
from collections.abc import Sequence

from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.stopping.forecast import Array, Forecast, Rows
from distillery_operator.trials.trial import Trial


def row(spec: Spec, trial: Trial) -> list[float]:
    """Return what is known of a suggestion: its place in the search space, and its size."""
    return [*space.coordinates(spec, trial.parameters), log_size(trial)]


def log_size(trial: Trial) -> float:
    """Return the logarithm of the number of weights."""
    return math.log(trial.parameter_count or 1)


def learn(rows: Rows, ends: Sequence[float] | Array) -> Forecast:
    """Learn what trials ended with, (n,), or were expected to, from their rows, (n, d)."""
    return Forecast(rows, ends, curved=True)
