"""What a user may write into ``spec.parameters``: the dimensions of the search space."""

from typing import Final

from pydantic import Field, StrictBool

from distillery_contract.parameters import Kind
from distillery_operator.resource.fields import Hyperparameter, Model, Number, Positive, Value

STEPS: Final = 10_000_000
"""Most steps from 0 to a Float's upper bound: with 45 million, rounding hides which is meant."""


class When(Model):
    """Where a parameter is searched: only with such values of another one."""

    parameter: Hyperparameter = Field(
        description="Name of the other parameter. It must stand earlier in the list."
    )
    values: list[Value] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="The values of the other parameter for which this one is searched.",
    )
    minimum: Number | None = Field(
        None,
        description="The least value of the other parameter for which this one is searched. Only if"
        " that is Float or Int.",
    )
    maximum: Number | None = Field(
        None,
        description="The greatest value of the other parameter for which this one is searched. Only"
        " if that is Float or Int.",
    )


class Parameter(Model):
    """One dimension of the search space."""

    name: Hyperparameter = Field(
        description="A hyperparameter of the trainer. The fields of training say what each one is."
    )
    type: Kind = Field(
        description="Float and Int are searched between low and high, Categorical among choices."
    )
    low: Number | None = Field(
        None, description="Lower bound, inclusive. Required for Float and Int."
    )
    high: Number | None = Field(
        None, description="Upper bound, inclusive. Required for Float and Int."
    )
    log: StrictBool = Field(
        False,
        description="Whether to search on a logarithmic scale. Then low must be above 0. Float and"
        " Int only.",
    )
    step: Positive | None = Field(
        None,
        description="Distance between two neighbouring values. Only for Float and Int without log."
        " The high of a Float is at most 10,000,000 times as large.",
    )
    choices: list[Value] | None = Field(
        None,
        max_length=100,
        description="The values. Each is a number, true, false or a text of at most 256 characters."
        " Required for Categorical.",
    )
    when: When | None = Field(
        None,
        description="Search this parameter only where another parameter has certain values."
        " Elsewhere it has its value from training, or else its default.",
    )
