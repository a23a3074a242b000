"""EDGE: spec and trials as Optuna sees them: search space, samplers, importances; no storage.

Called by :mod:`distillery_operator.study`, and by the report for the importances.
"""

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from distillery_contract.metrics import Direction
from distillery_contract.parameters import Kind, Value
from distillery_operator import judge
from distillery_operator.resources import Parameter, SamplerType, Spec
from distillery_operator.trials import State, Trial

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

optuna.logging.set_verbosity(optuna.logging.WARNING)


def directions(spec: Spec) -> list[StudyDirection]:
    """Return the objectives' directions as Optuna names them."""
    return [OPTUNA_DIRECTION[objective.direction] for objective in spec.objectives]


def distributions(spec: Spec) -> dict[str, BaseDistribution]:
    """Return the search space as Optuna describes it."""
    return {parameter.name: _distribution(parameter) for parameter in spec.parameters}


def sampler(spec: Spec, number: int) -> BaseSampler:
    """Return the sampler of one suggestion, seeded by its number: a restart suggests the same."""
    digest = hashlib.sha256(f"{spec.sampler.seed}/{number}".encode()).digest()
    seed = int.from_bytes(digest[:4], "big")
    if spec.sampler.type is SamplerType.RANDOM:
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=spec.sampler.startup_trials)


def in_memory(spec: Spec, trials: Sequence[Trial]) -> optuna.Study:
    """Return a study in memory with these trials, their constraints judged by the spec of today."""
    study = optuna.create_study(directions=directions(spec))
    study.add_trials([frozen(spec, trial) for trial in trials])
    return study


class Suggester:
    """Suggests, and keeps its study in memory from one suggestion to the next.

    Most of the work is to build that study: 0.3 s of 0.4 s for 2,000 trials. What is suggested is
    the same as if it were built anew each time, so that a restart suggests the same.
    """

    def __init__(self) -> None:
        self._spec: Spec | None = None
        self._seen: list[Trial] = []

    def suggest(self, spec: Spec, trials: Sequence[Trial]) -> Mapping[str, Value]:
        """Return the searched parameters of the trial that comes after these."""
        if not self._follow(spec, trials):
            self._storage = optuna.storages.InMemoryStorage()
            self._study = optuna.create_study(storage=self._storage, directions=directions(spec))
            self._spec, self._seen = spec, []
            self._follow(spec, trials)
        self._study.sampler = sampler(spec, len(trials))
        return self._study.ask(distributions(spec)).params

    def _follow(self, spec: Spec, trials: Sequence[Trial]) -> bool:
        """Do to the study what was done to the trials; False if it cannot be done."""
        if self._spec is None or spec != self._spec:
            return False
        held = self._study.get_trials(deepcopy=False)
        if len(held) > len(trials):  # what was suggested last was never stored
            return False
        for number, trial in enumerate(trials):
            if number < len(self._seen) and _alike(self._seen[number], trial):
                continue
            made = frozen(spec, trial)
            if number >= len(held):
                self._study.add_trial(made)
            elif held[number].state is TrialState.RUNNING and held[number].params == made.params:
                self._end(number, made)
            else:
                return False
        self._seen = list(trials)
        return True

    def _end(self, number: int, made: optuna.trial.FrozenTrial) -> None:
        if made.state is not TrialState.RUNNING:
            for key, value in made.system_attrs.items():  # the constraints
                self._storage.set_trial_system_attr(number, key, value)
            self._storage.set_trial_state_values(number, made.state, made.values)


def _alike(before: Trial, after: Trial) -> bool:
    """Tell whether two trials are the same to a sampler; one that has ended has its metrics."""
    return before is after or (
        before.state is after.state and before.parameters == after.parameters
    )


def values(spec: Spec, trial: Trial) -> list[float]:
    """Return a trial's objectives; what was never measured counts as the worst."""
    return [judge.measured(trial, objective.metric) for objective in spec.objectives]


def importances(spec: Spec, trials: Sequence[Trial]) -> dict[str, dict[str, float]]:
    """Return each parameter's share per objective, by PED-ANOVA; empty while trials are too few."""
    told = [t for t in trials if t.state in (State.COMPLETED, State.INFEASIBLE)]
    told = [t for t in told if set(distributions(spec)) <= set(_inside(spec, t.parameters))]
    if len(told) < max(4, len(spec.parameters)):
        return {}
    study, found = in_memory(spec, told), {}
    for column, objective in enumerate(spec.objectives):
        sign = (
            -1.0 if objective.direction is Direction.MAXIMIZE else 1.0
        )  # PED-ANOVA takes low for good

        def target(frozen: optuna.trial.FrozenTrial, c: int = column, s: float = sign) -> float:
            return s * float(frozen.values[c])

        if len({target(t) for t in study.get_trials(deepcopy=False)}) > 1:
            with warnings.catch_warnings():  # it warns of what the target above takes care of
                warnings.filterwarnings("ignore", message="PedAnova.*low `target`")
                shares = optuna.importance.get_param_importances(study, target=target)
            found[objective.metric] = shares
    return found


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


def _inside(spec: Spec, parameters: Mapping[str, Value]) -> dict[str, Value]:
    """Return the parameters that lie in the search space: a baseline may have others."""
    return {
        p.name: parameters[p.name] for p in spec.parameters if _contains(p, parameters.get(p.name))
    }


def _contains(parameter: Parameter, value: Value | None) -> bool:
    if parameter.type is Kind.CATEGORICAL:
        return value in (parameter.choices or [])
    if value is None or isinstance(value, str) or parameter.low is None or parameter.high is None:
        return False
    steps = (value - parameter.low) / parameter.step if parameter.step else 0
    return parameter.low <= value <= parameter.high and math.isclose(
        steps, round(steps), abs_tol=1e-8
    )


def frozen(
    spec: Spec, trial: Trial, user_attrs: dict[str, Any] | None = None
) -> optuna.trial.FrozenTrial:
    """Return a trial as Optuna keeps it, its constraints judged by the spec of today."""
    inside, space, state = (
        _inside(spec, trial.parameters),
        distributions(spec),
        OPTUNA_STATE[trial.state],
    )
    complete = state is TrialState.COMPLETE
    return create_trial(
        state=state,
        params=dict(inside),
        distributions={name: space[name] for name in inside},
        values=values(spec, trial) if complete else None,
        constraints=dict(sorted(judge.violations(spec, trial).items())) if complete else None,
        user_attrs=user_attrs,
    )
