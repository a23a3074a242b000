"""What a user may write into ``spec.earlyStopping``."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StrictBool

from distillery_operator.resource.fields import (
    Integer,
    Model,
    Number,
)


class StoppingType(StrEnum):
    """How trainings are chosen that end early."""

    FRONT_AWARE = "FrontAware"
    ASHA = "ASHA"
    NONE = "None"


class EarlyStopping(Model):
    """When a training ends before all its steps are done. Editable."""

    type: StoppingType = Field(
        StoppingType.FRONT_AWARE,
        description="Which trainings stop early. FrontAware: those that can no longer beat the best"
        " feasible trial that is not larger. ASHA: those that are not among the best at a rung."
        " None: none of them.",
    )
    rungs: list[Annotated[Number, Field(ge=0.01, le=0.99)]] = Field(
        [0.11, 0.33],
        min_length=1,
        max_length=8,
        description="Where a training is measured and may be stopped: shares of its steps, in"
        " ascending order. Unless they are named here, trials are measured at these two only where"
        " an evaluation takes at most 5 % of a training, as far as the numbers of windows tell."
        " ASHA always measures.",
    )
    confidence: Annotated[Number, Field(ge=0, le=10)] = Field(
        2.0,
        description="By how many standard deviations a training may still end better than expected."
        " A training that cannot improve the front even then is stopped. A lower value stops more"
        " trainings, and more of them wrongly. FrontAware only.",
    )
    min_trials: Integer = Field(
        6,
        ge=3,
        le=1000,
        description="How many trials must be completed before FrontAware stops any. It learns from"
        " them how trainings end. At least four of them must be feasible. FrontAware only.",
    )
    reduction_factor: Integer = Field(
        3, ge=2, le=100, description="Of this many trials at a rung, one continues. ASHA only."
    )
    pause: StrictBool = Field(
        False,
        description="Whether every training pauses at each rung. It resumes from its checkpoint"
        " once it is among the best at that rung. ASHA only.",
    )
    collapse: StrictBool = Field(
        True,
        description="Whether to stop a training whose model answers no question, or every question,"
        " after three tenths of its steps. It stops at the first rung already, if ten trials had"
        " collapsed at that rung and none of them recovered. Every type does this. Only where some"
        " questions have no answer.",
    )

    READ_BY: ClassVar[Mapping[str, Sequence[StoppingType]]] = {
        "confidence": (StoppingType.FRONT_AWARE,),
        "min_trials": (StoppingType.FRONT_AWARE,),
        "reduction_factor": (StoppingType.ASHA,),
        "pause": (StoppingType.ASHA,),
    }
    """Fields that some types alone consume."""
