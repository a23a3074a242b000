"""PURE: at which rungs a trial is measured: an evaluation must not cost more than stops save.

Called by ``requests``, and by ``conditions`` to say so. ``bench/search.py`` shows what both cost.
"""

from collections.abc import Mapping
from typing import Final

from distillery_contract import parameters
from distillery_contract.parameters import Value
from distillery_operator.resource.early_stopping import StoppingType
from distillery_operator.resource.spec import Spec

FORWARD: Final = 1 / 3
"""Share of a training step that its forward pass takes: going backward takes twice as long."""

DEAREST: Final = 0.05
"""Share of a training that an evaluation at a rung may cost at most, unless a person names the
rungs. At 1 % early stopping pays; at 8 % fronts were better without it."""


def rungs(spec: Spec, values: Mapping[str, Value], windows: Mapping[str, float]) -> list[float]:
    """Return the shares of its steps after which a training is evaluated for early stopping.

    Args:
        spec: of the experiment.
        values: hyperparameters of the trial.
        windows: of the prepared data, by split; empty where they are not known.
    """
    wanted = spec.early_stopping
    guarded = wanted.collapse and spec.data.unanswerable
    if wanted.type is StoppingType.NONE and not guarded:
        return []
    named = "rungs" in wanted.model_fields_set or wanted.type is StoppingType.ASHA
    return wanted.rungs if named or price(spec, values, windows) <= DEAREST else []


def price(spec: Spec, values: Mapping[str, Value], windows: Mapping[str, float]) -> float:
    """Return what an evaluation costs, as a share of a training; 0 where nothing tells."""
    epochs = values.get("epochs") or parameters.PARAMETERS["epochs"].default
    seen = float(epochs or 0.0) * windows.get("train", 0.0)
    evaluated = (spec.data.interim_share or 1.0) * windows.get("validation", 0.0)
    return FORWARD * evaluated / seen if seen else 0.0


def note(spec: Spec, values: Mapping[str, Value], windows: Mapping[str, float]) -> str:
    """Say that a training is not evaluated for early stopping, and why; empty if it is."""
    dear = price(spec, values, windows)
    if spec.early_stopping.type is StoppingType.NONE or rungs(spec, values, windows):
        return ""
    return (
        "early stopping makes no evaluations of its own (earlyStopping.rungs), for one takes about"
        f" {dear:.0%} of a training and may take {DEAREST:.0%}"
    )
