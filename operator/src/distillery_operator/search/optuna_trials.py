"""EDGE: spec and trials as Optuna sees them: search space, directions, constraints; no storage."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from distillery_contract.metrics import Direction
from distillery_contract.parameters import Kind, Value
from distillery_operator.resource import space
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.sampler import SamplerType
from distillery_operator.resource.spec import Spec
from distillery_operator.stopping import reasons
from distillery_operator.trials import feasibility
from distillery_operator.trials.trial import State, Trial

OPTUNA_DIRECTION: Final = {
    Direction.MAXIMIZE: StudyDirection.MAXIMIZE,
    Direction.MINIMIZE: StudyDirection.MINIMIZE,
}

OPTUNA_STATE: Final = {
    State.RUNNING: TrialState.RUNNING,
    State.COMPLETED: TrialState.COMPLETE,
    State.INFEASIBLE: TrialState.COMPLETE,  # with a violated constraint: a FAIL teaches no sampler
    State.STOPPED: TrialState.COMPLETE,  # likewise, with what it reached
    State.FAILED: TrialState.FAIL,
}

TOGETHER: Final = (SamplerType.NSGAII, SamplerType.GP)
"""Samplers that model all parameters together. One that is not active has its middle value there,
and what they suggest for it is dropped."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


def told(trial: Trial) -> TrialState:
    """Return a trial's state as Optuna is told it.

    A suggestion that was never trained teaches nothing: with many of them TPE would count more and
    more of the others as good ones.
    """
    if reasons.refused(trial):
        return TrialState.FAIL
    return OPTUNA_STATE[trial.state]


def directions(spec: Spec) -> list[StudyDirection]:
    """Return the objectives' directions as Optuna names them."""
    return [OPTUNA_DIRECTION[objective.direction] for objective in spec.objectives]


def distributions(spec: Spec) -> dict[str, BaseDistribution]:
    """Return the search space as Optuna describes it."""
    return {parameter.name: _distribution(parameter) for parameter in spec.parameters}


def in_memory(spec: Spec, trials: Sequence[Trial]) -> optuna.Study:
    """Return a study in memory with these trials, their constraints judged by the spec of today."""
    study = optuna.create_study(directions=directions(spec))
    study.add_trials([frozen(spec, trial) for trial in trials])
    return study


def values(spec: Spec, trial: Trial) -> list[float]:
    """Return a trial's objectives; what was never measured counts as the worst."""
    return [feasibility.measured(trial, objective.metric) for objective in spec.objectives]


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.type is Kind.CATEGORICAL:
        return CategoricalDistribution(list(parameter.choices or []))
    low, high = parameter.low, parameter.high
    assert low is not None
    assert high is not None
    if parameter.type is Kind.INT:
        return IntDistribution(
            int(low), int(high), log=parameter.log, step=int(parameter.step or 1)
        )
    return FloatDistribution(low, high, log=parameter.log, step=parameter.step)


def frozen(
    spec: Spec,
    trial: Trial,
    user_attrs: dict[str, Any] | None = None,
    params: Mapping[str, Value] | None = None,
    known: Mapping[str, BaseDistribution] | None = None,
) -> optuna.trial.FrozenTrial:
    """Return a trial as Optuna keeps it, its constraints judged by the spec of today.

    Args:
        spec: of the experiment.
        trial: of it.
        user_attrs: what else is stored.
        params: of the search space; unless given, those of the trial that belong to it.
        known: the search space, in memory once for all trials; made unless it is given.
    """
    inside = space.reduced(spec, trial.parameters) if params is None else params
    known, state = known or distributions(spec), told(trial)
    complete = state is TrialState.COMPLETE
    return create_trial(
        state=state,
        params=dict(inside),
        distributions={name: known[name] for name in inside},
        values=values(spec, trial) if complete else None,
        constraints=dict(sorted(feasibility.violations(spec, trial).items())) if complete else None,
        user_attrs=user_attrs,
    )


def as_sampled(
    spec: Spec, trial: Trial, known: Mapping[str, BaseDistribution]
) -> optuna.trial.FrozenTrial:
    """Return a trial as the sampler sees it: one that was stopped has the end expected of it.

    With what it had reached, one that nearly led would teach no other than the worst.
    Those that model all parameters together need a value of each; a baseline without one in the
    space would hide that parameter from them, so it is hidden itself. ``known`` is the search
    space.
    """
    if trial.expected:
        fixed = {n: v for n, v in trial.metrics.items() if n in feasibility.KNOWN}
        trial = replace(trial, state=State.COMPLETED, metrics={**fixed, **trial.expected})
    if spec.sampler.type not in TOGETHER:
        return frozen(spec, trial, known=known)
    whole = space.filled(spec, trial.parameters)
    if whole is None:
        return frozen(spec, replace(trial, state=State.FAILED), params={}, known=known)
    return frozen(spec, trial, params=whole, known=known)
