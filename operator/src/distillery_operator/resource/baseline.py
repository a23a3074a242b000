"""``spec.baselines``."""

from pydantic import Field

from distillery_operator.resource.fields import Hyperparameters, Model, Name


class Baseline(Model):
    """A trial with known hyperparameters. Baselines run first and are drawn in every picture."""

    name: Name = Field(description="Name of the baseline in the status and in the report.")
    parameters: Hyperparameters = Field(
        default_factory=dict,
        description="Hyperparameters of the baseline. A missing one has its value from training, or"
        " else its default.",
    )
