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
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import optuna
from numpy.typing import NDArray

from distillery_contract.parameters import Value
from distillery_contract.size import Architecture
from distillery_operator.resource.experiment import Experiment
from distillery_operator.search import optuna_trials
from distillery_operator.trials.trial import State, Trial

Array = NDArray[np.float64]
Parameters = Mapping[str, Value]
Metrics = dict[str, float]

DATA: Final = Path(__file__).parents[1] / "data"

RUNGS: Final = (1 / 9, 1 / 3)
"""Shares of a training after which contestants that stop trainings see what it has reached."""


class Problem(Protocol):
    """What there is to search.

    Attributes:
        name: of problem and variant.
        experiment: search space, objectives and thresholds.
        sources: the architecture of the teacher.
        shaped: whether sizes follow from that and a student's shape by the contract's formula.
        rungs: shares of a training after which it can be measured, besides its end.
        files: what it is made of; whoever changes one of them makes another problem.
    """

    name: str
    experiment: Experiment
    sources: Mapping[str, Architecture]
    shaped: bool
    rungs: Sequence[float]
    files: Sequence[Path]

    def __hash__(self) -> int:
        """Return a number by which it is remembered."""

    def size(self, parameters: Parameters) -> int:
        """Return the weights of a student; of the largest one, the teacher, without parameters."""

    def metrics(self, parameters: Parameters, share: float, seed: int) -> Metrics:
        """Return what a training has reached after a share of its steps, in percent."""

    def true_exact(self, many: Sequence[Parameters]) -> Array:
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
        measured = self.problem.metrics(self.parameters, share, self.draw)
        return {**measured, "parameter_count": float(self.problem.size(self.parameters))}

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


def threshold(problem: Problem) -> float:
    """Return the exact, in percent, below which a student counts nothing."""
    found = problem.experiment.spec.objectives[0].threshold
    assert found is not None
    return found
