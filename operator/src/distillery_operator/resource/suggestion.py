"""``spec.suggestions``; :mod:`distillery_operator.resource.suggestion_rules` says which may run."""

from pydantic import Field

from distillery_operator.resource.fields import Hyperparameters, Model, Name


class Suggestion(Model):
    """A point of the search space that a person wants to see tried."""

    name: Name = Field(description="Name of the suggestion in the status and in the report.")
    parameters: Hyperparameters = Field(
        default_factory=dict,
        description="Values of hyperparameters that are searched. The sampler chooses the missing"
        " ones.",
    )
