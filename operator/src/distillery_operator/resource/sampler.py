"""What a user may write into ``spec.sampler``."""

from enum import StrEnum
from typing import Final

from pydantic import Field

from distillery_operator.resource.fields import (
    Integer,
    Model,
    Number,
)

GP_TRIALS: Final = 500
"""Trials up to which Gaussian processes suggest in seconds; the time grows with the cube."""


class SamplerType(StrEnum):
    """How suggestions are made."""

    TPE = "TPE"
    NSGAII = "NSGAII"
    GP = "GP"
    RANDOM = "Random"
    QMC = "QMC"
    GRID = "Grid"


DESIGNS: Final = (SamplerType.RANDOM, SamplerType.QMC, SamplerType.GRID)
"""Samplers that look at no result."""


class Sampler(Model):
    """The search strategy."""

    type: SamplerType = Field(
        SamplerType.TPE,
        description="TPE models the results, constraints and running trials included. GP does so"
        " by Gaussian processes: better with few trials, slow with many; 500 at most, and it needs"
        " torch. NSGAII breeds generations of twice the parallelism, from 20 to 50 trials."
        " Random, QMC (evenly spread) and Grid (every combination, so every Float needs a step)"
        " look at no result.",
    )
    seed: Integer = Field(42, ge=0, le=2**31 - 1, description="Seed of all suggestions.")
    startup_trials: Integer = Field(
        10,
        ge=1,
        le=1000,
        description="Trials that must have ended before TPE or GP models them; until then"
        " suggestions are spread evenly. TPE and GP only.",
    )
    crossover: Number = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of TPE's suggestions that are crossed with a point of the front: each"
        " value is from either. TPE draws each parameter by itself, and misses what belongs"
        " together. Of several crossings one is taken that improves the front by a forecast, whose"
        " error is drawn by chance.",
    )


GRID_LIMIT: Final = 100_000
"""Combinations of values in a grid at most: as many as an experiment may have trials."""
