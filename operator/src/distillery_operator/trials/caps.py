"""What an administrator allows all experiments of a namespace together, as it stands for one."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cap:
    """A cap of a namespace: what it is, and what other experiments of the namespace use of it."""

    limit: float = math.inf
    others: float = 0.0

    @property
    def left(self) -> float:
        """What this experiment may use, with all that it uses already; never below 0."""
        return max(0.0, self.limit - self.others)

    def __str__(self) -> str:
        return (
            f"{self.limit:g} for all experiments of the namespace, of which the others use"
            f" {self.others:.4g}"
        )


@dataclass(frozen=True)
class Caps:
    """The caps of a namespace, beside the fields of a spec that they hold back.

    Attributes:
        parallelism: attempts that live at a time, of any stage.
        trials: suggestions.
        gpu_hours: of trials and preparations.
    """

    parallelism: Cap = Cap()
    trials: Cap = Cap()
    gpu_hours: Cap = Cap()


NONE = Caps()
