"""PURE: the types of an experiment's fields, and the base of its parts."""

import re
import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    StrictBool,
    StrictInt,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from distillery_contract import metrics, parameters
from distillery_contract.parameters import Kind

NAME: Final = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""What an experiment can be called: its name is a label of its Jobs and pods."""
NAME_RULE: Final = "must be 1 to 63 lower-case letters, digits and dashes, no dash at either end"


def given(value: object, names: Container[str]) -> object:
    """Take a known field that is null for one that is absent, as the API server does."""
    if isinstance(value, dict):
        return {n: part for n, part in value.items() if part is not None or n not in names}
    return value


def whole(value: object) -> object:
    """Take 8.0 for 8: on its way to a cluster it becomes 8, and both must read it alike."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value


def _finite(value: object) -> bool:
    """Tell whether something is a number that a double holds; an integer may be too large."""
    largest = sys.float_info.max
    return isinstance(value, int | float) and -largest <= value <= largest


def _number(value: object) -> object:
    """Raise one error for what pydantic would say once per member of a union."""
    if isinstance(value, bool) or not _finite(value):
        raise PydanticCustomError("float_type", "must be a finite number")
    return whole(value)


def _scalar(value: object) -> object:
    if isinstance(value, str) and len(value) <= 256:
        return value
    if _finite(value):
        return whole(value)
    raise PydanticCustomError(
        "scalar", "must be a number, true, false or a text of at most 256 characters"
    )


def _experiment_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise PydanticCustomError("name", NAME_RULE)
    return name


@dataclass(frozen=True)
class OneOf:
    """Marks a text that must be one of a table's names."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, _: object, __: GetCoreSchemaHandler) -> CoreSchema:
        """Make it a Literal for pydantic; Python's Literal cannot be written of a table's names."""
        return core_schema.literal_schema(list(self.names))


def _named(types: Mapping[str, Any], kind: str) -> GetPydanticSchema:
    """Check a mapping's values, each by its name. What has another name is an error there."""
    known = {"kind": kind, "names": ", ".join(types)}

    def refused(_: object) -> object:
        raise PydanticCustomError("unknown_name", "unknown name", known)

    def schema(_: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        fields = {
            name: core_schema.typed_dict_field(handler.generate_schema(type_), required=False)
            for name, type_ in types.items()
        }
        others = core_schema.no_info_after_validator_function(refused, core_schema.any_schema())
        return core_schema.no_info_before_validator_function(
            lambda value: given(value, fields),
            core_schema.typed_dict_schema(fields, extra_behavior="allow", extras_schema=others),
        )

    return GetPydanticSchema(schema)


Number = Annotated[int | float, BeforeValidator(_number, json_schema_input_type=float)]
Positive = Annotated[Number, Field(gt=0)]
Integer = Annotated[StrictInt, BeforeValidator(whole)]
Value = Annotated[
    bool | int | float | str,
    BeforeValidator(_scalar),
    WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True}),
]
ExperimentName = Annotated[str, AfterValidator(_experiment_name)]
Name = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
]
Text = Annotated[str, Field(min_length=1, max_length=1024)]


def _hyperparameter(known: parameters.Parameter) -> Any:
    """Return the type of a hyperparameter's values, with a description that teaches it."""
    about = Field(
        description=f"{known.help[0].upper()}{known.help[1:]}.",
        json_schema_extra={
            "default": "as in the source model" if known.default is None else known.default
        },
    )
    if known.kind is not Kind.CATEGORICAL:
        kind = Integer if known.kind is Kind.INT else Number
        return Annotated[kind, Field(ge=known.low, le=known.high), about]
    if isinstance(known.default, bool):
        return Annotated[StrictBool, about]
    return Annotated[str, OneOf(tuple(map(str, known.choices))), about]


SAME: Final = (("exact", "best_exact"), ("f1", "best_f1"))
"""Metrics that always move together."""
METRICS: Final = tuple(metrics.EVALUATIONS)
OBJECTIVES: Final = tuple(n for n, e in metrics.EVALUATIONS.items() if e.direction is not None)

Metric = Annotated[str, OneOf(METRICS)]
ObjectiveMetric = Annotated[str, OneOf(OBJECTIVES)]
Hyperparameter = Annotated[str, OneOf(tuple(parameters.PARAMETERS))]
Hyperparameters = Annotated[
    dict[str, Value],
    _named(
        {name: _hyperparameter(known) for name, known in parameters.PARAMETERS.items()},
        "hyperparameter",
    ),
]
Metrics = Annotated[
    dict[str, Number],
    _named(
        {
            name: Annotated[Number, Field(description=f"In {known.unit}: {known.help}.")]
            for name, known in metrics.EVALUATIONS.items()
        },
        "metric",
    ),
]


class Model(BaseModel):
    """Base: camelCase in YAML, null is absent, unknown fields refused, values frozen."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        return given(value, {field.alias for field in cls.model_fields.values() if field.alias})
