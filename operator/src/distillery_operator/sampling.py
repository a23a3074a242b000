"""EDGE: spec and trials as Optuna sees them: search space, samplers, importances; no storage.

Called by :mod:`distillery_operator.study`, and by the report for the importances.
"""

import hashlib
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from distillery_contract.metrics import Direction
from distillery_contract.parameters import Kind, Value
from distillery_operator import crossing, designs, judge, sentences, space, stops
from distillery_operator.errors import Fault
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

TOGETHER: Final = (SamplerType.NSGAII, SamplerType.GP)
"""Samplers that model all parameters together. One that is not active has its middle value there,
and what they suggest for it is dropped."""

MODELS: Final = (SamplerType.TPE, SamplerType.GP)
"""Samplers that learn where to look, for which the first trials are spread evenly."""

NEEDS: Final = {SamplerType.GP: ("torch", "scipy")}

SMALLEST_POPULATION, LARGEST_POPULATION = 20, 50
"""Trials of a generation: with few, results count early; with many, more of the space is kept."""

GENERATION: Final = NSGAIISampler._get_generation_key()
"""Attribute by which Optuna knows a trial's generation."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


def told(trial: Trial) -> TrialState:
    """Return a trial's state as Optuna is told it.

    A suggestion that was never trained teaches nothing: with many of them TPE would count more and
    more of the others as good ones.
    """
    if stops.refused(trial):
        return TrialState.FAIL
    return OPTUNA_STATE[trial.state]


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
    if spec.sampler.type is SamplerType.NSGAII:
        return NSGAIISampler(seed=seed, population_size=population(spec))
    if spec.sampler.type is SamplerType.GP:
        return GPSampler(seed=seed, n_startup_trials=1, warn_independent_sampling=False)
    # Several parameters are modelled together only where all trials have all of them.
    multivariate = False if space.conditional(spec) else None
    return TPESampler(seed=seed, n_startup_trials=1, multivariate=multivariate)


def population(spec: Spec) -> int:
    """Return the trials of one generation of NSGA-II."""
    return min(max(2 * spec.parallelism, SMALLEST_POPULATION), LARGEST_POPULATION)


def generations(spec: Spec, trials: Sequence[Trial]) -> dict[int, int]:
    """Return the generation of each trial that NSGA-II may breed from, by its position.

    Optuna numbers a trial when it is suggested and forgets that with the process. Here a
    generation is as many trials as ended one after the other, which the trials alone tell.
    """
    ended = [
        position
        for position, t in enumerate(trials)
        if told(t) is TrialState.COMPLETE
        and (t.baseline is None or space.filled(spec, t.parameters))
    ]
    ended.sort(key=lambda position: (trials[position].ended or 0.0, position))
    size = population(spec)
    return {position: place // size for place, position in enumerate(ended)}


def lacking(spec: Spec) -> list[Fault]:
    """Return the fault of a spec whose sampler needs what is not installed here."""
    missing = [n for n in NEEDS.get(spec.sampler.type, ()) if importlib.util.find_spec(n) is None]
    if not missing:
        return []
    sentence = sentences.LACKING.format(type=spec.sampler.type, packages=" and ".join(missing))
    return [Fault("spec.sampler.type", sentence)]


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
        self._bred: Mapping[int, int] = {}

    def suggest(
        self,
        spec: Spec,
        own: Sequence[Trial],
        size: crossing.Size,
        warm: Sequence[Trial] = (),
    ) -> Mapping[str, Value] | None:
        """Return the searched parameters of the trial that comes after an experiment's own.

        None if there is nothing left to suggest.

        Args:
            spec: of the experiment.
            own: its trials, in their order.
            size: of the student that hyperparameters describe.
            warm: trials of other experiments.
        """
        if spec.sampler.type in designs.DESIGNS:
            return designs.suggest(spec, own)
        trials = [*warm, *own]
        ended = sum(told(trial) is TrialState.COMPLETE for trial in trials)
        if spec.sampler.type in MODELS and ended < spec.sampler.startup_trials:
            return designs.even(spec, own)
        bred = generations(spec, trials) if spec.sampler.type is SamplerType.NSGAII else {}
        if not self._follow(spec, trials, bred):
            self._storage = optuna.storages.InMemoryStorage()
            self._study = optuna.create_study(storage=self._storage, directions=directions(spec))
            self._spec, self._space, self._seen, self._bred = spec, distributions(spec), [], {}
            self._parents = 0
            self._follow(spec, trials, bred)
        self._study.sampler = sampler(spec, len(own))
        if spec.sampler.type in TOGETHER:
            self._breed(spec, len(bred))
            trial = self._study.ask(self._space)
            whole = {p.name: space.nearest(p, trial.params[p.name]) for p in spec.parameters}
            self._keep(trial.number, whole)
            return space.reduced(spec, whole)
        trial, drawn = self._study.ask(), dict[str, Value]()
        for parameter in spec.parameters:
            if space.active(parameter, drawn):
                value = _suggest(trial, parameter.name, self._space[parameter.name])
                drawn[parameter.name] = space.nearest(parameter, value)
        chosen = crossing.crossed(spec, own, drawn, size)
        self._keep(trial.number, chosen)
        return chosen

    def _keep(self, number: int, chosen: Mapping[str, Value]) -> None:
        """Let the study go on with what is trained, which may differ from what it drew."""
        for name, value in chosen.items():
            kind = self._space[name]  # one object for all trials: each would keep its own
            self._storage.set_trial_param(number, name, kind.to_internal_repr(value), kind)

    def _breed(self, spec: Spec, ended: int) -> None:
        """Choose the parents of every generation once: later they are found in another order."""
        breeder = self._study.sampler
        while isinstance(breeder, NSGAIISampler) and self._parents < ended // population(spec):
            self._parents += 1
            # A study that was asked still has the trials of then.
            fresh = optuna.load_study(study_name=self._study.study_name, storage=self._storage)
            breeder.get_parent_population(fresh, self._parents)

    def _follow(self, spec: Spec, trials: Sequence[Trial], bred: Mapping[int, int]) -> bool:
        """Do to the study what was done to the trials; False if it cannot be done."""
        if self._spec is None or spec != self._spec:
            return False
        held = self._study.get_trials(deepcopy=False)
        if len(held) > len(trials):  # what was suggested last was never stored
            return False
        if any(bred.get(number) != generation for number, generation in self._bred.items()):
            return False
        for number, trial in enumerate(trials):
            if number < len(self._seen) and _alike(self._seen[number], trial):
                continue
            made = _seen(spec, trial)
            if number in bred:
                made.system_attrs[GENERATION] = bred[number]
            if number >= len(held):
                self._study.add_trial(made)
            elif held[number].state is TrialState.RUNNING and held[number].params == made.params:
                self._end(number, made)
            else:
                return False
        self._seen, self._bred = list(trials), bred
        return True

    def _end(self, number: int, made: optuna.trial.FrozenTrial) -> None:
        if made.state is not TrialState.RUNNING:
            for key, value in made.system_attrs.items():  # constraints, generation
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
    told = [t for t in told if space.whole(spec, space.reduced(spec, t.parameters))]
    if len(told) < max(4, len(spec.parameters)):
        return {}
    study, found = in_memory(spec, told), {}
    for column, objective in enumerate(spec.objectives):
        sign = objective.direction.sign  # PED-ANOVA takes low for good

        def target(frozen: optuna.trial.FrozenTrial, c: int = column, s: int = sign) -> float:
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


def frozen(
    spec: Spec,
    trial: Trial,
    user_attrs: dict[str, Any] | None = None,
    params: Mapping[str, Value] | None = None,
) -> optuna.trial.FrozenTrial:
    """Return a trial as Optuna keeps it, its constraints judged by the spec of today.

    ``params`` are those of the trial that belong to the search space, unless given.
    """
    inside = space.reduced(spec, trial.parameters) if params is None else params
    known, state = distributions(spec), told(trial)
    complete = state is TrialState.COMPLETE
    return create_trial(
        state=state,
        params=dict(inside),
        distributions={name: known[name] for name in inside},
        values=values(spec, trial) if complete else None,
        constraints=dict(sorted(judge.violations(spec, trial).items())) if complete else None,
        user_attrs=user_attrs,
    )


def _seen(spec: Spec, trial: Trial) -> optuna.trial.FrozenTrial:
    """Return a trial as the sampler sees it: one that was stopped has the end expected of it.

    With what it had reached, one that nearly led would teach no other than the worst.
    Those that model all parameters together need a value of each; a baseline without one in the
    space would hide that parameter from them, so it is hidden itself.
    """
    if trial.expected:
        known = {n: v for n, v in trial.metrics.items() if n in judge.KNOWN}
        trial = replace(trial, state=State.COMPLETED, metrics={**known, **trial.expected})
    if spec.sampler.type not in TOGETHER:
        return frozen(spec, trial)
    whole = space.filled(spec, trial.parameters)
    if whole is None:
        return frozen(spec, replace(trial, state=State.FAILED), params={})
    return frozen(spec, trial, params=whole)


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Value:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(name, low, high, log=log, step=step)
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case CategoricalDistribution(choices=choices):
            return cast(Value, trial.suggest_categorical(name, choices))
    raise TypeError(f"no such distribution: {distribution}")
