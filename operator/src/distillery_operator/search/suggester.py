"""EDGE: suggestions, one after the other. :mod:`distillery_operator.study.asking` asks for them."""

import sys
from collections.abc import Mapping, Sequence
from typing import cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import NSGAIISampler
from optuna.trial import TrialState

from distillery_contract.parameters import Value
from distillery_operator.internals import of_optuna
from distillery_operator.resource import space
from distillery_operator.resource.sampler import DESIGNS, SamplerType
from distillery_operator.resource.spec import Spec
from distillery_operator.search import (
    choice,
    crossover,
    grid_and_random,
    optuna_samplers,
    optuna_trials,
)
from distillery_operator.search.optuna_samplers import MODELS
from distillery_operator.search.optuna_trials import TOGETHER
from distillery_operator.trials.trial import Trial
from distillery_operator.trials.verdicts import Verdicts


class Suggester:
    """Suggests, and keeps its study in memory from one suggestion to the next.

    Most of the work is to build that study: 0.3 s of 0.4 s for 2,000 trials. What is suggested is
    the same as if it were built anew each time, so that a restart suggests the same.
    """

    def __init__(self) -> None:
        self._spec: Spec | None = None
        self._seen: list[Trial] = []
        self._bred: Mapping[int, int] = {}
        self._verdicts: Verdicts | None = None

    def suggest(
        self,
        spec: Spec,
        own: Sequence[Trial],
        size: crossover.Size,
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
        if spec.sampler.type in DESIGNS:
            return grid_and_random.suggest(spec, own)
        trials: Sequence[Trial] = [*warm, *own]
        ended = sum(optuna_trials.told(trial) is TrialState.COMPLETE for trial in trials)
        if spec.sampler.type in MODELS and ended < spec.sampler.startup_trials:
            return grid_and_random.even(spec, own)
        trials = optuna_samplers.learnt_from(spec, trials)
        bred = (
            optuna_samplers.generations(spec, trials)
            if spec.sampler.type is SamplerType.NSGAII
            else {}
        )
        if not self._follow(spec, trials, bred):
            self._storage = optuna.storages.InMemoryStorage()
            self._study = optuna.create_study(
                storage=self._storage, directions=optuna_trials.directions(spec)
            )
            self._spec, self._space, self._seen, self._bred = (
                spec,
                optuna_trials.distributions(spec),
                [],
                {},
            )
            self._kinds: dict[tuple[str, ...], dict[str, BaseDistribution]] = {}
            self._parents = 0
            self._follow(spec, trials, bred)
        self._study.sampler = optuna_samplers.sampler(spec, len(own))
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
        wanted = self._instead(spec, own, drawn, size)
        self._keep(trial.number, wanted)
        return wanted

    def _instead(
        self, spec: Spec, own: Sequence[Trial], drawn: Mapping[str, Value], size: crossover.Size
    ) -> Mapping[str, Value]:
        """Return what is trained instead of what was drawn."""
        if spec.sampler.type is SamplerType.EHVI:
            return choice.chosen(spec, own, drawn, size)
        verdicts = Verdicts.of(spec, own, self._verdicts)
        self._verdicts = verdicts.bare()
        return crossover.crossed(spec, own, drawn, size, verdicts)

    def _keep(self, number: int, wanted: Mapping[str, Value]) -> None:
        """Let the study go on with what is trained, which may differ from what it drew.

        Other parameters may be active there, which the storage's own methods cannot undo.
        """
        trial = self._study.get_trials(deepcopy=False)[number]
        trial.params, trial.distributions = dict(wanted), {n: self._space[n] for n in wanted}

    def _breed(self, spec: Spec, ended: int) -> None:
        """Choose the parents of every generation once: later they are found in another order."""
        breeder = self._study.sampler
        while isinstance(
            breeder, NSGAIISampler
        ) and self._parents < ended // optuna_samplers.population(spec):
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
            made = optuna_trials.as_sampled(spec, trial, self._space)
            if number in bred:
                made.system_attrs[of_optuna.GENERATION] = bred[number]
            if number >= len(held):
                self._study.add_trial(made)
            elif held[number].state is TrialState.RUNNING and held[number].params == made.params:
                self._end(number, made)
            else:
                return False
        self._share(len(held))
        self._seen, self._bred = list(trials), bred
        return True

    def _share(self, first: int) -> None:
        """Let later trials share what is the same in all: Optuna copies it for each, which is most.

        Distributions, and the names of constraints.
        """
        for trial in self._study.get_trials(deepcopy=False)[first:]:
            kinds = tuple(trial.params)
            trial.distributions = self._kinds.setdefault(kinds, {n: self._space[n] for n in kinds})
            trial.system_attrs = {sys.intern(n): v for n, v in trial.system_attrs.items()}

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


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Value:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(name, low, high, log=log, step=step)
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case CategoricalDistribution(choices=choices):
            return cast(Value, trial.suggest_categorical(name, choices))
    raise TypeError(f"no such distribution: {distribution}")
