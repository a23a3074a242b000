"""Percentiles."""

import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile by linear interpolation."""
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 3)
