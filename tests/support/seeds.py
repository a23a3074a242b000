"""Trials that were trained again with other seeds."""

from dataclasses import replace
from typing import Any

from distillery_operator.trials.trial import Confirmation, State, Trial


def again(trial: Trial, *ends: float, model: str = "", **more: Any) -> Trial:
    """Return a trial that was trained again, once for each exact.

    Args:
        trial: with the seed 42.
        ends: what its exact came to, with the seeds 43, 44, …
        model: begins the names of the models that are left; empty for none.
        more: replaces fields of each.
    """
    found = [
        Confirmation(
            43 + place,
            State.COMPLETED,
            "Completed",
            metrics={**trial.metrics, "exact": end},
            seconds=10.0,
            gpus=1.0,
            attempt=1 + place,
            model=f"{model}{place}" if model else None,
        )
        for place, end in enumerate(ends)
    ]
    return replace(trial, confirmations=tuple(replace(one, **more) for one in found))
