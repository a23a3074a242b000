"""What a user may write into ``spec.parameters``: the dimensions of the search space."""

from pydantic import Field, StrictBool

from distillery_contract.parameters import Kind
from distillery_operator.resource.fields import Hyperparameter, Model, Number, Positive, Value


class When(Model):
    """Where a parameter is searched: only with such values of another one."""

    parameter: Hyperparameter = Field(
        description="The parameter that decides, listed before the one that depends on it."
    )
    values: list[Value] | None = Field(
        None, min_length=1, max_length=100, description="Its values for which this one is searched."
    )
    minimum: Number | None = Field(
        None, description="The least of its values for which this one is searched. Numbers only."
    )
    maximum: Number | None = Field(
        None, description="The greatest of its values for which this one is searched. Numbers only."
    )


class Parameter(Model):
    """One dimension of the search space."""

    name: Hyperparameter = Field(
        description="A hyperparameter of the trainer; training tells what each is."
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
        False, description="Search on a logarithmic scale; low must be above 0. Float and Int only."
    )
    step: Positive | None = Field(
        None, description="Distance between neighbouring values. Float and Int without log only."
    )
    choices: list[Value] | None = Field(
        None,
        max_length=100,
        description="The values, each a number, true, false or a text of at most 256 characters."
        " Required for Categorical.",
    )
    when: When | None = Field(
        None,
        description="Search this parameter only with such values of another one. Elsewhere it is as"
        " in training, then at its default.",
    )
