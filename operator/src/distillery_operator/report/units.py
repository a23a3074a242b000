"""PURE: how metrics are shown to people. Called by ``payload`` and ``summary``."""

from dataclasses import dataclass

from distillery_contract import metrics


@dataclass(frozen=True)
class Unit:
    """``value * factor``, with so many decimals (None: four significant digits) and a name."""

    label: str
    short: str
    long: str
    factor: float
    decimals: int | None

    def show(self, value: float) -> str:
        """Return a value with its unit."""
        form = ".4g" if self.decimals is None else f".{self.decimals}f"
        return f"{value * self.factor:{form}} {self.short}".strip()


def of(metric: str) -> Unit:
    """Return how a metric of the contract is shown."""
    if metric == "parameter_count":
        return Unit("size", "M", "million parameters", 1e-6, None)
    if metric == "inference_seconds":
        return Unit("inference time", "ms", "ms per question", 1e3, None)
    percent = metrics.EVALUATIONS[metric].unit == "percent"
    return Unit(metric, "%" if percent else "", "%" if percent else "logits", 1.0, 2)


def duration(seconds: float) -> str:
    """Return a time span in the unit that a person would use."""
    for limit, factor, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / factor:.{0 if factor == 1 else 1}f} {name}"
    return f"{seconds / 86400:.1f} days"
