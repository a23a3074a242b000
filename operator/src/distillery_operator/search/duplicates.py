"""PURE: which suggestions repeat an earlier one, whose result is then theirs. ``decide`` asks.

A training is reproducible: the same hyperparameters, seed included, give the same student.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Final

from distillery_contract import parameters, size
from distillery_contract.size import Architecture
from distillery_operator.stopping import reasons
from distillery_operator.trials.trial import State, Trial

Key = tuple[tuple[str, object], ...]

SHAPE: Final = (
    *("n_layers", "n_heads", "hidden_size"),
    *("temperature", "pruning_seed", "layer_selection"),
)
"""Hyperparameters that may have no effect, or that others decide."""

LASTING: Final = [(n, p.default) for n, p in parameters.PARAMETERS.items() if n not in SHAPE]
"""The others, with their defaults: equal suggestions are equal in these."""


def earlier(
    trials: Sequence[Trial], sources: Mapping[str, Architecture], fresh: Set[int]
) -> dict[int, Trial]:
    """Return the trial whose result each repeated suggestion gets, by the suggestion's number.

    The result is the one of the first equal trial, or of the trial that continues it. Failed trials
    and refused suggestions have no result to repeat. Baselines always run.

    Args:
        trials: all, in their order.
        sources: architectures of the models.
        fresh: numbers of the suggestions to look at.
    """
    sound = [t for t in trials if t.state is not State.FAILED and not reasons.refused(t)]
    goes_on = {t.continues: t for t in sound if t.continues is not None}
    rates = {_rate(trial) for trial in sound if trial.number in fresh}
    sound = [trial for trial in sound if _rate(trial) in rates]
    near = {_lasting(trial) for trial in sound if trial.number in fresh}
    first: dict[Key, Trial] = {}
    found = {}
    for trial in sound:
        if trial.continues is None and _lasting(trial) in near:
            twin = first.setdefault(key(trial, sources), trial)
            if twin is not trial and trial.baseline is None and trial.number in fresh:
                found[trial.number] = _latest(twin, goes_on)
    return found


def _rate(trial: Trial) -> object:
    """Return what is compared before all else, for of thousands of trials few have the same."""
    return trial.parameters.get("learning_rate", parameters.PARAMETERS["learning_rate"].default)


def _lasting(trial: Trial) -> tuple[object, ...]:
    """Return what is compared next, for a key takes much longer."""
    return tuple([trial.parameters.get(name, default) for name, default in LASTING])


def _latest(trial: Trial, goes_on: Mapping[int, Trial]) -> Trial:
    while trial.number in goes_on:
        trial = goes_on[trial.number]
    return trial


def key(trial: Trial, sources: Mapping[str, Architecture]) -> Key:
    """Return what decides a training: every hyperparameter that has an effect."""
    values = parameters.resolve(trial.parameters)
    try:
        shape = size.shape(sources, trial.parameters)
    except ValueError:  # no such student
        return tuple(sorted(values.items()))
    source = size.source_of(sources, trial.parameters)
    values |= {"n_layers": shape.n_layers, "n_heads": shape.n_heads, "hidden_size": None}
    if values["initialization"] == parameters.Initialization.SCRATCH:
        values["hidden_size"] = shape.hidden_size
    without_effect = {
        "temperature": values["alpha_ce"] == 0,
        "pruning_seed": shape.n_heads == size.offered_heads(sources, trial.parameters)
        and (shape.n_layers <= source.n_layers or shape.n_heads == source.n_heads),
        "layer_selection": shape.n_layers == source.n_layers
        or values["initialization"] == parameters.Initialization.SCRATCH,
    }
    dropped = [name for name, useless in without_effect.items() if useless]
    return tuple(sorted((n, v) for n, v in values.items() if n not in dropped))
