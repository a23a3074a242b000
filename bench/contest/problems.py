"""What the contestants search: a space of students, and what the training of each gives and takes.

A training is wholly decided by its hyperparameters and its seed, so that whoever stops one can be
told what it would have become.
"""

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np
import optuna
from numpy.typing import NDArray

from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_contract.size import Architecture
from distillery_operator.resource.experiment import Experiment
from distillery_operator.search import optuna_trials
from distillery_operator.trials.trial import State, Trial

Parameters = Mapping[str, Value]
Metrics = dict[str, float]

RUNGS: Final = (1 / 9, 1 / 3)
"""Shares of a training after which contestants that stop trainings see what it has reached."""


class Problem(Protocol):
    """What there is to search.

    Attributes:
        name: in one word.
        experiment: search space, objectives and thresholds.
        sources: the architecture of the teacher, which decides every student's size.
    """

    name: str
    experiment: Experiment
    sources: Mapping[str, Architecture]

    def metrics(self, parameters: Parameters, share: float, seed: int) -> Metrics:
        """Return what a training has reached after a share of its steps, in percent."""

    def true_exact(self, many: Sequence[Parameters]) -> NDArray[np.float64]:
        """Return the mean exact of whole trainings over all seeds, in percent, of each of n."""

    def seconds(self, parameters: Parameters, seed: int) -> float:
        """Return how long the steps of a whole training hold its GPU."""

    def evaluation_seconds(self, parameters: Parameters) -> float:
        """Return how long each evaluation of a training holds its GPU besides."""


@dataclass(frozen=True)
class Training:
    """One suggestion, trained; the seed is that of the whole search."""

    problem: Problem
    parameters: Parameters
    seed: int

    @cached_property
    def draw(self) -> int:
        """The seed of this training: another for other hyperparameters."""
        text = json.dumps([self.seed, sorted(self.parameters.items())])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")

    @cached_property
    def seconds(self) -> float:
        """How long its steps take as a whole."""
        return self.problem.seconds(self.parameters, self.draw)

    @cached_property
    def evaluation_seconds(self) -> float:
        """How long each of its evaluations takes."""
        return self.problem.evaluation_seconds(self.parameters)

    def until_measured(self, share: float) -> float:
        """Return the seconds that a share of its steps and an evaluation after them take."""
        return share * self.seconds + self.evaluation_seconds

    def at(self, share: float) -> Metrics:
        """Return its metrics after a share of its steps, the size included."""
        count = size.student_size(self.problem.sources, self.parameters)
        measured = self.problem.metrics(self.parameters, share, self.draw)
        return {**measured, "parameter_count": float(count)}

    def whole(self, number: int) -> Trial:
        """Return it as a trial that went to its end."""
        found = self.at(1.0)
        return Trial(
            number,
            self.parameters,
            State.COMPLETED,
            parameter_count=int(found["parameter_count"]),
            metrics=found,
        )


def sample(problem: Problem, count: int, seed: int) -> list[Training]:
    """Return trainings of that many random suggestions."""
    sampler = optuna.samplers.RandomSampler(seed=seed)
    directions = optuna_trials.directions(problem.experiment.spec)
    study = optuna.create_study(directions=directions, sampler=sampler)
    space = optuna_trials.distributions(problem.experiment.spec)
    return [Training(problem, study.ask(space).params, seed) for _ in range(count)]


def mean_seconds(problem: Problem) -> float:
    """Return how long a random suggestion holds its GPU in the mean: trained, evaluated once."""
    return statistics.fmean(
        training.until_measured(1.0) for training in sample(problem, 300, seed=0)
    )
