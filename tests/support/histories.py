"""Trials whose ends follow a formula: the lower the learning rate and the larger, the better."""

import random
from dataclasses import replace
from typing import Any

from distillery_contract.parameters import Value
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.trial import Trial
from support import worlds


def experiment(**changes: Any) -> Spec:
    """Return the spec of an experiment that searches with EHVI."""
    return worlds.experiment(maxTrials=500, sampler={"type": "EHVI"}, **changes).spec


def trained(number: int, rate: float, layers: int, exact: float | None = None) -> Trial:
    """Return a trial that ended as the formula says, or with another score."""
    end = 80.0 - 40 * rate + 2 * layers if exact is None else exact
    parameters: dict[str, Value] = {
        "learning_rate": rate,
        "n_layers": layers,
        "layer_selection": "First",
    }
    return replace(worlds.completed(number, end, layers), parameters=parameters)


def history(count: int, lowest: float = 0.01) -> list[Trial]:
    """Return trials with learning rates from the lowest up to 0.79."""
    dice = random.Random(count)
    rates = [lowest * (0.79 / lowest) ** dice.random() for _ in range(count)]
    return [trained(number, rate, dice.randint(1, 6)) for number, rate in enumerate(rates)]
