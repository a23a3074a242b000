"""What a user may write into ``spec.earlyStopping``."""

from enum import StrEnum
from typing import Annotated

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
        description="FrontAware: those that can no longer beat the best feasible trial that is not"
        " larger. ASHA: those that are not among the best at a rung. None: none.",
    )
    rungs: list[Annotated[Number, Field(ge=0.01, le=0.99)]] = Field(
        [0.11, 0.33],
        min_length=1,
        max_length=8,
        description="Shares of a training's steps, ascending, after which it is measured and may"
        " be stopped.",
    )
    confidence: Annotated[Number, Field(ge=0, le=10)] = Field(
        2.0,
        description="Standard deviations above the expected end that a training is given the"
        " benefit of. FrontAware only; lower is bolder.",
    )
    min_trials: Integer = Field(
        6,
        ge=3,
        le=1000,
        description="Completed trials from which FrontAware learns how trainings end, before which"
        " it stops none; at least four of them must be feasible.",
    )
    reduction_factor: Integer = Field(
        3,
        ge=2,
        le=100,
        description="Of so many trials at a rung one goes on. ASHA only.",
    )
    pause: StrictBool = Field(
        False,
        description="Whether every training pauses at each rung, and is continued from its"
        " checkpoint once it is among the best there. ASHA only.",
    )
    collapse: StrictBool = Field(
        True,
        description="Whether a training whose model answers nothing, or everything, after three"
        " tenths of its steps is stopped, whatever the type; at the first rung, where ten that had"
        " collapsed there stayed so. Where some questions have no answer.",
    )
