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
from syne_tune.optimizer.schedulers.multiobjective.non_dominated_priority import (
    compute_epsilon_net,
    pareto_efficient,
)


class Ranks(NonDominatedPriority):  # type: ignore[misc]  # its package is elsewhere
    """The default priority, as it is meant to be: layer by layer, inside one by an epsilon-net.

    Repaired in its favour. Syne Tune 0.16.0 takes the ranks that the net gives a layer for an
    order, and then returns the items in their order where the scheduler expects the rank of each.
    Its net also measures in the objectives' own units, so that beside millions of weights percents
    count for nothing: here the objectives of those that the net compares are scaled to [0, 1].
    """

    def priority_unsafe(self, objectives: np.ndarray) -> np.ndarray:
        """Return the rank of each row, 0 the best."""
        ranks, left = np.zeros(len(objectives), dtype=int), np.arange(len(objectives))
        while left.size:
            best = pareto_efficient(objectives[left])
            net = compute_epsilon_net(scaled(objectives[left[best]]), dim=self.dim)
            ranks[left[best]] = len(objectives) - left.size + net
            left = left[~best]
        return ranks


def scaled(objectives: np.ndarray) -> np.ndarray:
    """Return each column from 0 to 1; what does not differ is 0."""
    span = np.ptp(objectives, axis=0)
    found: np.ndarray = (objectives - objectives.min(axis=0)) / np.where(span > 0, span, 1.0)
    return found


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
    print("null", flush=True)
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
