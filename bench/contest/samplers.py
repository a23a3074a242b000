"""Optuna as a contestant: a sampler, told whole trainings, with or without the thresholds."""

from collections.abc import Sequence

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from contest.problems import Metrics, Parameters, Problem
from distillery_operator.search import optuna_trials
from distillery_operator.trials import feasibility


class Optuna:
    """A study in memory; see :class:`contest.clock.Contestant`.

    It looks at nothing on its way, for Optuna does not prune where there are several objectives.

    Args:
        problem: what to search.
        sampler: how to suggest.
        constrained: whether thresholds and the guard against the collapse are told as constraints.
    """

    marks: Sequence[float] = (1.0,)

    def __init__(self, problem: Problem, sampler: BaseSampler, *, constrained: bool) -> None:
        self._spec = problem.experiment.spec
        self._space = optuna_trials.distributions(self._spec)
        directions = optuna_trials.directions(self._spec)
        self._study = optuna.create_study(directions=directions, sampler=sampler)
        self._constrained = constrained
        self._trials: list[optuna.Trial] = []

    def suggest(self) -> Parameters:
        """Ask the sampler."""
        self._trials.append(self._study.ask(self._space))
        return self._trials[-1].params

    def goes_on(self, number: int, share: float, metrics: Metrics) -> bool:
        """Let it go on; nobody asks."""
        return True

    def end(self, number: int, metrics: Metrics) -> None:
        """Tell what a training has reached."""
        trial = self._trials[number]
        for bound in feasibility.bounds(self._spec) if self._constrained else ():
            trial.set_constraint(bound.name, bound.violation(metrics[bound.metric]))
        values = [metrics[objective.metric] for objective in self._spec.objectives]
        self._study.tell(trial, values, state=TrialState.COMPLETE)
