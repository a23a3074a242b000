"""EDGE: Optuna's samplers, as a spec asks for them."""

import hashlib
import importlib.util
from collections.abc import Sequence
from typing import Final

from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState

from distillery_operator.errors import Fault
from distillery_operator.resource import sentences, space
from distillery_operator.resource.sampler import SamplerType
from distillery_operator.resource.spec import Spec
from distillery_operator.search import optuna_trials
from distillery_operator.trials import pareto
from distillery_operator.trials.trial import Trial

MODELS: Final = (SamplerType.EHVI, SamplerType.TPE, SamplerType.GP)
"""Samplers that learn where to look, for which the first trials are spread evenly."""

DRAWN_BY_TPE: Final = (SamplerType.EHVI, SamplerType.TPE)

NEEDS: Final = {SamplerType.GP: ("torch", "scipy")}

SMALLEST_POPULATION, LARGEST_POPULATION = 20, 50
"""Trials of a generation: with few, results count early; with many, more of the space is kept."""


MOST: Final = 1000
"""Trials of which the sampler gets all; each makes every suggestion slower."""
SAMPLED: Final = 500
"""Trials that it gets of more than that, and all since."""
STEP: Final = 250
"""Trials after which they are chosen anew, so that a study in memory can go on meanwhile."""


def learnt_from(spec: Spec, trials: Sequence[Trial]) -> Sequence[Trial]:
    """Return the trials that the sampler gets, in their order.

    TPE takes the best 25 of however many for good ones: of thousands these are near the front, and
    some of all the others tell as well where not to look. Other samplers get all: GP never has so
    many, and NSGA-II breeds from the last generation alone.
    """
    if spec.sampler.type not in DRAWN_BY_TPE or len(trials) <= MOST:
        return trials
    settled = len(trials) // STEP * STEP - STEP
    return [*pareto.sample(spec, trials[:settled], SAMPLED), *trials[settled:]]


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
        if optuna_trials.told(t) is TrialState.COMPLETE
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
