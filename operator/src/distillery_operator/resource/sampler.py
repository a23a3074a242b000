"""What a user may write into ``spec.sampler``."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, Final

from pydantic import Field, model_validator

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
    EHVI = "EHVI"
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
        SamplerType.EHVI,
        description="EHVI, TPE and GP model the results, with the constraints and the running"
        " trials. TPE models each parameter on its own. EHVI trains what promises most of what TPE"
        " draws, its crossings with the best trials, and these changed a little: by the expected"
        " gain of hypervolume. It does so where a training tells one objective, and is plain TPE"
        " elsewhere. A search goes on with the default that it began with, and crossover without a"
        " type means TPE. GP uses Optuna's Gaussian processes: it is slow with many trials, allows"
        " at most 500, and needs torch. NSGAII breeds generations of trials, each of twice the"
        " parallelism, from 20 to 50. Random, QMC (evenly spread) and Grid (every combination, so"
        " every Float needs a step) look at no result.",
    )
    seed: Integer = Field(
        42,
        ge=0,
        le=2**31 - 1,
        description="Seed of all suggestions. The same seed and the same results give the same"
        " suggestions.",
    )
    startup_trials: Integer = Field(
        10,
        ge=1,
        le=1000,
        description="How many trials must have ended before TPE, EHVI or GP model their results."
        " Until then, suggestions are spread evenly over the search space. TPE, EHVI and GP only.",
    )
    crossover: Number = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the suggestions of TPE that are crossed with a point of the front:"
        " each value comes either from the draw of TPE or from that point. TPE draws each parameter"
        " on its own and so misses values that belong together. Of several crossings, the first is"
        " taken of which a forecast, with an error drawn by chance, promises to improve the front."
        " TPE only.",
    )

    @model_validator(mode="before")
    @classmethod
    def _crossed(cls, value: object) -> object:
        """Let a spec of the time when TPE was the default mean what it meant."""
        if not isinstance(value, dict) or value.get("crossover") is None:
            return value
        return value if value.get("type") is not None else {**value, "type": SamplerType.TPE}

    READ_BY: ClassVar[Mapping[str, Sequence[SamplerType]]] = {
        "startup_trials": (SamplerType.TPE, SamplerType.EHVI, SamplerType.GP),
        "crossover": (SamplerType.TPE,),
    }
    """Fields that some types alone consume."""


GRID_LIMIT: Final = 100_000
"""Combinations of values in a grid at most: as many as an experiment may have trials."""
