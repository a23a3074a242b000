"""PURE: what is said of a broken rule, by the command line and by the API server alike.

Rules between fields fill the templates here, those in CEL
(:mod:`distillery_operator.resource.crd.cel_rules`) and those in Python
(:mod:`distillery_operator.resource.python_rules`). For a rule that binds one field the API server
has words of its own, which :func:`of_field` repeats.
"""

import json
import re
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from distillery_contract import metrics, parameters
from distillery_operator.errors import Fault
from distillery_operator.resource.fields import whole

UNKNOWN: Final = "unknown {kind}; known are {names}"
UNKNOWN_HYPERPARAMETER: Final = UNKNOWN.format(
    kind="hyperparameter", names=", ".join(parameters.PARAMETERS)
)
UNKNOWN_METRIC: Final = UNKNOWN.format(kind="metric", names=", ".join(metrics.EVALUATIONS))
DUPLICATE: Final = "Duplicate value: {value}"

DIRECTION: Final = "must be {better} for {metric}, but got {direction}"
SAME: Final = "{first} and {second} measure the same, so they trade off nothing"
UNBOUNDED: Final = "must have a minimum or a maximum, but got neither"
MINIMUM: Final = "minimum <= maximum must hold, but got ({minimum}, {maximum})"

KIND: Final = "must be {kind} for {name}, but got {type}"
ABSENT: Final = "must be absent for type {type}"
IDLE: Final = f"{ABSENT}, but got {{value}}"
GIVEN: Final = "must be given for type {type}"
EMPTY: Final = "must list at least one value for type Categorical"
RANGE: Final = "must lie in {range} for {name}, but got {value}"
INTEGER: Final = "must be an integer for type Int, but got {value}"
LOW: Final = "low <= high must hold, but got ({low}, {high})"
LOG: Final = "must be above 0 if log is true, but got {low}"
STEP: Final = "must be absent if log is true"
FINE: Final = (
    "high / step <= {limit} must hold for type Float, but got ({high}, {step}): finer values cannot"
    " be told apart"
)
CHOICE: Final = "must be one of the search space's choices {choices}, but got {value}"

UNSEARCHED: Final = "is not in the search space, which has {names}"
OUTSIDE: Final = "must be a value of the search space, {range}, but got {value}"
INACTIVE: Final = (
    "is searched only with certain values of {parent}, so one of them must be given as well"
)

SEARCHED: Final = "must be absent, because the search space has it in spec.parameters"
HIDDEN_SIZE: Final = (
    "hidden_size is consumed only if initialization can be Scratch, but it never is"
)
SCRATCH: Final = (
    "must be {{parameter: initialization, values: [Scratch]}}, because hidden_size is consumed only"
    " there, but initialization can be {others}"
)
PRETRAINED: Final = "must be given if initialization can be Pretrained"

RUNGS: Final = "must ascend, but got {rungs}"

SOURCES: Final = "must have either name or train and validation, but got both"
NO_SOURCE: Final = "must have name, or both train and validation"
NAMED_TEST: Final = "must be absent if name is given; it needs train and validation"
TWO_TESTS: Final = "must be absent if test is given: test questions come from one of them"
NOTHING_DROPPED: Final = "must be absent unless faults is Drop"
WINDOW: Final = "maxLength - maxQueryLength - 3 >= 1 must hold, but got ({length}, {query})"
STRIDE: Final = "stride < maxLength - maxQueryLength - 3 = {room} must hold, but got {stride}"
PARALLELISM: Final = "parallelism <= maxTrials must hold, but got ({parallelism}, {trials})"
BASELINES: Final = "at most maxTrials must be listed, but got {baselines} of {trials}"
GRID: Final = "must not be Grid where a Float has no step, as {name} has none"
GRID_SIZE: Final = "must not be Grid with more than {limit} combinations, but got {size}"
GP: Final = "must not be GP with maxTrials above {limit}, but got {trials}"
LACKING: Final = (
    "must not be {type} where {packages} cannot be imported; the operator's image has them if it is"
    " built with --build-arg GP=true"
)
WHEN: Final = "{name} must depend on a parameter that is listed before it, but got {parent}"
CONDITION: Final = "must have either values or a bound, minimum or maximum"
CATEGORICAL_BOUND: Final = "must be absent where {parent} is Categorical"
NEVER: Final = "must be a value of {parent}, but got {value}"
NOWHERE: Final = "must hold for a value of {parent}, but got {bounds}"
NO_STEP: Final = (
    "must be a minimum and a maximum where {parent} is a Float without step, which hardly ever has"
    " a value twice, but got {values}"
)

LOOKS_AT_NONE: Final = "must be absent for sampler {type}, which looks at no result"
ITSELF: Final = "must not name the experiment itself"
PRICE: Final = "must be given if maxCost is"

SPACE: Final = "the search space is immutable, so give the experiment another name"
MEANING: Final = (
    "{part} is immutable, for results must stay comparable: give the experiment another name"
)
OBJECTIVES: Final = (
    "objectives are immutable but for their thresholds, so give the experiment another name"
)

OF_FIELD: Final = {
    "missing": "Required value",
    "extra_forbidden": "unknown field",
    "unknown_name": UNKNOWN,
    "int_type": "must be of type integer",
    "float_type": "must be of type number",
    "string_type": "must be of type string",
    "bool_type": "must be of type boolean",
    "list_type": "must be of type array",
    "dict_type": "must be of type object",
    "model_type": "must be of type object",
    "greater_than": "should be greater than {gt}",
    "greater_than_equal": "should be greater than or equal to {ge}",
    "less_than_equal": "should be less than or equal to {le}",
    "string_too_short": "should be at least {min_length} chars long",
    "string_too_long": "may not be more than {max_length} bytes",
    "string_pattern_mismatch": "should match '{pattern}'",
    "too_short": "should have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
}
"""The API server's words, by pydantic's names for what is wrong."""

Path = tuple[str | int, ...]
"""The steps to a part of a document: names of fields, places in lists."""

MAX_SHOWN: Final = 80
"""Characters of a wrong value that a message repeats."""


def of_field(error: Any) -> Fault:
    """Return one of pydantic's errors as a fault: the field as in YAML, the rule, the value."""
    field, value = place(error["loc"]) or "the document", error["input"]
    if error["type"] in ("enum", "literal_error"):
        allowed = ", ".join(f'"{name}"' for name in re.findall("'(.*?)'", error["ctx"]["expected"]))
        return Fault(field, f"Unsupported value: {shown(value)}: supported values: {allowed}")
    rule = error["msg"]
    if error["type"] in OF_FIELD:
        places = {name: _limit(part, value) for name, part in error.get("ctx", {}).items()}
        rule = OF_FIELD[error["type"]].format(**places)
    valueless = error["type"] in ("missing", "extra_forbidden", "unknown_name")
    return Fault(field, rule if valueless else f"{rule}, but got {shown(value)}")


def place(path: Path) -> str:
    """Write where in a document something is, as in ``spec.parameters[0].low``."""
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path)[1:]


def _limit(limit: object, value: object) -> object:
    """Write a bound in the form of the API server, which depends on the value that breaks it."""
    if not isinstance(limit, float):
        return limit
    return int(limit) if isinstance(whole(value), int) and limit.is_integer() else number(limit)


def number(value: float) -> str:
    """Write a number with the digits that tell it apart, in the form of the API server's CEL."""
    digits = Decimal(repr(float(value))).normalize()
    if -4 <= digits.adjusted() < 6:
        return f"{digits:f}"
    return f"{value:.{len(digits.as_tuple().digits) - 1}e}"


def shown(value: object) -> str:
    """Write a wrong value, or its beginning."""
    value = whole(value)
    if isinstance(value, float) and isfinite(value):
        return number(value)
    try:
        text = json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text)} characters)"
