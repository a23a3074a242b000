"""PURE: Spearman's correlations between what was set and what was measured, for ``payload``."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distillery_contract import metrics, parameters
from distillery_contract.parameters import Kind
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.trial import State, Trial

LEAST_TRIALS: Final = 5
"""Below this a correlation of ranks is close to 1 by chance too often to be shown."""


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the correlation of ranks, -1 to 1; None for too few pairs or a constant side."""
    if len(first) < LEAST_TRIALS:
        return None
    ranks = np.stack([_ranks(first), _ranks(second)])
    if np.ptp(ranks, axis=1).min() == 0:
        return None
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def table(spec: Spec, trials: Sequence[Trial]) -> Mapping[str, Any]:
    """Return the correlations over completed trials.

    ``values`` has a row per numeric parameter and a column per objective and collapse metric; None
    where there is nothing to correlate.
    """
    completed = [trial for trial in trials if trial.state is State.COMPLETED]
    rows = [p.name for p in spec.parameters if p.type is not Kind.CATEGORICAL]
    columns = list(dict.fromkeys([*(o.metric for o in spec.objectives), *metrics.COLLAPSE]))
    columns = [name for name in columns if any(name in trial.metrics for trial in completed)]
    searched = {
        row: [trial for trial in completed if row not in space.inactive(spec, trial.parameters)]
        for row in rows
    }
    values = [[_cell(searched[row], row, column) for column in columns] for row in rows]
    return {"rows": rows, "columns": columns, "values": values, "trials": len(completed)}


def _cell(completed: Sequence[Trial], parameter: str, metric: str) -> float | None:
    pairs = []
    for trial in completed:
        value = parameters.resolve(trial.parameters).get(parameter)
        measured = trial.metrics.get(metric)
        if isinstance(value, int | float) and measured is not None:
            pairs.append((float(value), measured))
    found = spearman([p[0] for p in pairs], [p[1] for p in pairs])
    return None if found is None else round(found, 3)


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    means = counts.cumsum() - (counts - 1) / 2
    return np.asarray(means[inverse], dtype=np.float64)
