"""What a user may write into ``spec.confirm``."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from distillery_operator.resource.fields import Integer, Model, Number


class FrontValues(StrEnum):
    """What the values of the front are those of."""

    EXPECTATION = "Expectation"
    CHECKPOINT = "Checkpoint"


class Confirm(Model):
    """Further trainings of points of the front, with other seeds. Editable, also after the end."""

    share: Annotated[Number, Field(gt=0, le=0.5)] = Field(
        0.1,
        description="Share of the experiment's GPU-hours that these trainings may take. Where"
        " trials have no GPU, hours of run time count instead. The search leaves this share of"
        " maxGpuHours, maxCost and maxDurationSeconds to them.",
    )
    runs: Integer = Field(
        3, ge=2, le=20, description="How many further trainings one point gets at most."
    )
    report: FrontValues = Field(
        FrontValues.EXPECTATION,
        description="What the values of the front are. Expectation: what a training of the same"
        " hyperparameters comes to with any seed, by all its trainings and what the other trials"
        " teach. Checkpoint: what was measured of the one checkpoint that the search has trained,"
        " the luck of its seed included.",
    )
