"""Runs MO-ASHA in the environment of Syne Tune: a question a line in, an answer a line out.

:mod:`contest.peer` starts it. It knows nothing of Distillery, whose environment it does not share.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import numpy as np
from syne_tune import config_space
from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import (
    NonDominatedPriority,
)


class Ranks(NonDominatedPriority):  # type: ignore[misc]  # its package is elsewhere
    """The default priority, as ranks.

    Syne Tune 0.16.0 returns the items in their order where the scheduler expects the rank of each,
    so that it compares a trial with the third of the trials by the number of the worst.
    """

    def priority_unsafe(self, objectives: np.ndarray) -> np.ndarray:
        """Return the rank of each row, 0 the best."""
        return np.argsort(super().priority_unsafe(objectives))


def main() -> None:
    """Answer until the input ends; the first line describes the search."""
    asked = json.loads(sys.stdin.readline())
    np.random.seed(asked["seed"])  # its suggestions are drawn from numpy's global generator
    scheduler = MOASHA(
        {name: domain(**described) for name, described in asked["space"].items()},
        metrics=asked["metrics"],
        time_attr="ninths",
        multiobjective_priority=Ranks(),
        max_t=9,
        grace_period=1,
        reduction_factor=3,
        random_seed=asked["seed"],
    )
    trials: dict[int, Trial] = {}
    for line in sys.stdin:
        print(json.dumps(answer(scheduler, trials, json.loads(line))), flush=True)


def answer(scheduler: MOASHA, trials: dict[int, Trial], asked: dict[str, Any]) -> Any:
    """Do what a tuner does: suggest and add, hand over a result, or complete."""
    if asked["what"] == "suggest":
        config = scheduler.suggest().config
        number = len(trials)
        trials[number] = Trial(number, config, datetime.now(UTC))
        scheduler.on_trial_add(trials[number])
        return {k: v.item() if isinstance(v, np.generic) else v for k, v in config.items()}
    trial = trials[asked["number"]]
    decision = scheduler.on_trial_result(trial, asked["result"])
    if asked["what"] == "end":
        scheduler.on_trial_complete(trial, asked["result"])
    elif decision != "CONTINUE":
        scheduler.on_trial_remove(trial)
    return decision


def domain(
    kind: str, low: float = 0, high: float = 0, log: bool = False, choices: list[Any] | None = None
) -> Any:
    """Return a dimension of the search space in Syne Tune's terms."""
    if choices is not None:
        return config_space.choice(choices)
    if kind == "Int":
        return config_space.randint(int(low), int(high))
    return (config_space.loguniform if log else config_space.uniform)(low, high)


if __name__ == "__main__":
    main()
