"""PURE: the rules between an experiment's fields as the API server checks them, in CEL.

They are those of :mod:`distillery_operator.rules` and say the same sentences; a test compares both
on a real API server. Three things are left to the operator, for CEL does not see a value that has
no type in the schema: whether the values in ``choices`` suit the hyperparameter, whether a
baseline's value is among them, and what follows if ``initialization`` is searched.
"""

from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any, Final

from distillery_contract import metrics, parameters
from distillery_contract.metrics import Direction
from distillery_contract.parameters import Kind
from distillery_operator import sentences, values
from distillery_operator.resources import Data, Spec

Rule = dict[str, Any]


def rule(holds: str, sentence: str, field: str = "", reason: str = "", **filled: str) -> Rule:
    """Return an entry of ``x-kubernetes-validations``.

    Args:
        holds: the expression that must be true.
        sentence: what is said otherwise, a template.
        field: below this node, to which the sentence belongs.
        reason: what the server calls it instead of FieldValueInvalid.
        filled: expressions for the template's places.
    """
    made = {"rule": holds, **(_formatted(sentence, filled) if filled else {"message": sentence})}
    if field:
        made["fieldPath"] = f".{field}"
    if reason:
        made["reason"] = reason
    return made


def bounds(low: float | None, high: float | None) -> list[Rule]:
    """Return the bounds of a number where one is a fraction.

    The server's own check cuts the bounds to whole numbers where the value is whole, and would take
    0 for something that is at least 0.001.
    """
    found = []
    for name, key, sign, bound in (
        ("greater_than_equal", "ge", ">=", low),
        ("less_than_equal", "le", "<=", high),
    ):
        if bound is not None:
            said = sentences.OF_FIELD[name].format(**{key: sentences.number(bound)})
            found.append(
                rule(f"self {sign} {float(bound)!r}", f"{said}, but got {{value}}", value="self")
            )
    return found


def _formatted(sentence: str, filled: Mapping[str, str]) -> dict[str, str]:
    """Fill a template in CEL. format: the server reckons that joined texts cost too much."""
    names = [name for _, name, _, _ in Formatter().parse(sentence) if name]
    template = sentence.replace("%", "%%").format(**dict.fromkeys(names, "%s"))
    places = ", ".join(filled[name] for name in names)
    return {"messageExpression": f"{_text(template)}.format([{places}])"}


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _texts(names: Iterable[str]) -> str:
    return f"[{', '.join(_text(name) for name in names)}]"


def _known(names: Iterable[str], sentence: str) -> Rule:
    """Refuse unknown names in an object whose schema lists the known ones and keeps the others.

    CEL neither sees nor names a field that the schema does not list, but it counts it.
    """
    listed = ", ".join(f"has(self.{name})" for name in names)
    return rule(f"size(dyn(self)) == [{listed}].filter(known, known).size()", sentence)


def _of_kind(kind: Kind) -> str:
    return _texts(n for n, known in parameters.PARAMETERS.items() if known.kind is kind)


def _or_default(model: type[Data] | type[Spec], field: str) -> str:
    """Return an expression for a field that may be absent; defaults are not in the schema."""
    known = model.model_fields[field]
    return f"(has(self.{known.alias}) ? self.{known.alias} : {known.default})"


TYPE_INT, TYPE_CATEGORICAL = "self.type == 'Int'", "self.type == 'Categorical'"
MINIMIZED: Final = _texts(
    n for n, known in metrics.EVALUATIONS.items() if known.direction is Direction.MINIMIZE
)
BETTER: Final = f"(self.metric in {MINIMIZED} ? 'Minimize' : 'Maximize')"
RANGES: Final = "{" + ", ".join(
    f"{_text(n)}: [{float(known.low)!r}, {float(known.high)!r}]"
    for n, known in parameters.PARAMETERS.items()
    if known.kind is not Kind.CATEGORICAL
) + "}"  # fmt: skip

OBJECTIVES: Final = [
    *(
        rule(
            f"!({' && '.join(f'self.exists(o, o.metric == {_text(m)})' for m in pair)})",
            sentences.SAME.format(first=pair[0], second=pair[1]),
        )
        for pair in values.TWINS
    ),
    rule(
        "self.map(o, [o.metric, o.direction]) == oldSelf.map(o, [o.metric, o.direction])",
        sentences.OBJECTIVES,
    ),
]
OBJECTIVE: Final = [
    rule(
        f"self.direction == {BETTER}",
        sentences.DIRECTION,
        field="direction",
        better=BETTER,
        metric="self.metric",
        direction="self.direction",
    )
]
CONSTRAINT: Final = [
    rule("has(self.minimum) || has(self.maximum)", sentences.UNBOUNDED),
    rule(
        "!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum",
        sentences.MINIMUM,
        minimum="self.minimum",
        maximum="self.maximum",
    ),
]


def _absent(field: str) -> Rule:
    return rule(
        f"{TYPE_CATEGORICAL} ? !has(self.{field}) : true",
        sentences.ABSENT.format(type=Kind.CATEGORICAL),
        field,
        "FieldValueForbidden",
    )


def _bound(field: str) -> list[Rule]:
    """Return the rules of ``low`` or ``high``."""
    numeric = f"!({TYPE_CATEGORICAL})"
    given, value = f"has(self.{field})", f"self.{field}"
    ranged = f"{numeric} && {given} && self.name in {RANGES}"
    low, high = f"{RANGES}[self.name][0]", f"{RANGES}[self.name][1]"
    return [
        _absent(field),
        rule(
            f"{numeric} ? {given} : true",
            sentences.GIVEN,
            field,
            "FieldValueRequired",
            type="self.type",
        ),
        _whole(field),
        rule(
            f"{ranged} ? {low} <= {value} && {value} <= {high} : true",
            sentences.RANGE,
            field,
            low=low,
            high=high,
            name="self.name",
            value=value,
        ),
    ]


def _whole(field: str) -> Rule:
    value = f"self.{field}"
    # What exceeds the range of integers is refused by the rule on the hyperparameter's range.
    whole = f"{value} < -1e18 || {value} > 1e18 || double(int({value})) == {value}"
    return rule(
        f"{TYPE_INT} && has({value}) ? {whole} : true",
        sentences.INTEGER,
        field,
        value=value,
    )


PARAMETER: Final = [
    rule(
        f"!({TYPE_CATEGORICAL}) && self.name in {_of_kind(Kind.CATEGORICAL)} ? false"
        f" : !(self.type == 'Float' && self.name in {_of_kind(Kind.INT)})",
        sentences.KIND,
        field="type",
        kind=f"(self.name in {_of_kind(Kind.INT)} ? 'Int' : 'Categorical')",
        name="self.name",
        type="self.type",
    ),
    *_bound("low"),
    *_bound("high"),
    rule(
        "has(self.low) && has(self.high) ? self.low <= self.high : true",
        sentences.LOW,
        low="self.low",
        high="self.high",
    ),
    rule(
        f"{TYPE_CATEGORICAL} ? !(has(self.log) && self.log) : true",
        sentences.ABSENT.format(type=Kind.CATEGORICAL),
        field="log",
        reason="FieldValueForbidden",
    ),
    rule(
        "has(self.log) && self.log && has(self.low) ? self.low > 0.0 : true",
        sentences.LOG,
        field="low",
        low="self.low",
    ),
    _absent("step"),
    _whole("step"),
    rule(
        f"!({TYPE_CATEGORICAL}) && has(self.log) && self.log ? !has(self.step) : true",
        sentences.STEP,
        field="step",
        reason="FieldValueForbidden",
    ),
    # The values in choices have no type, so choices is known to CEL at run time alone: dyn.
    rule(
        f"{TYPE_CATEGORICAL} ? has(dyn(self).choices) && size(dyn(self).choices) > 0 : true",
        sentences.EMPTY,
        field="choices",
        reason="FieldValueRequired",
    ),
    rule(
        f"{TYPE_CATEGORICAL} ? true : !has(dyn(self).choices)",
        sentences.ABSENT,
        field="choices",
        reason="FieldValueForbidden",
        type="self.type",
    ),
]
# A list with keys is compared whatever its order, which matters to the study.
SPACE: Final = [
    rule("self == oldSelf && self.map(p, p.name) == oldSelf.map(p, p.name)", sentences.SPACE)
]

NAME, LENGTH = "has(self.name)", _or_default(Data, "max_length")
QUERY, STRIDE = _or_default(Data, "max_query_length"), _or_default(Data, "stride")
ROOM: Final = f"{LENGTH} - {QUERY} - 3"
DATA: Final = [
    rule(f"{NAME} ? !has(self.train) && !has(self.validation) : true", sentences.SOURCES),
    rule(f"{NAME} ? true : has(self.train) && has(self.validation)", sentences.NO_SOURCE),
    rule(
        f"{ROOM} >= 1",
        sentences.WINDOW,
        field="maxLength",
        length=LENGTH,
        query=QUERY,
    ),
    rule(
        f"{ROOM} >= 1 ? {STRIDE} < {ROOM} : true",
        sentences.STRIDE,
        field="stride",
        room=ROOM,
        stride=STRIDE,
    ),
]

TRIALS, PARALLELISM = _or_default(Spec, "max_trials"), _or_default(Spec, "parallelism")
FIXED: Final = (
    "(has(self.training) && has(self.training.initialization) ? self.training.initialization"
    f" : {_text(str(parameters.PARAMETERS['initialization'].default))})"
)
SPEC: Final = [
    rule(
        f"{PARALLELISM} <= {TRIALS}",
        sentences.PARALLELISM,
        field="parallelism",
        parallelism=PARALLELISM,
        trials=TRIALS,
    ),
    rule(
        f"has(self.baselines) ? size(self.baselines) <= {TRIALS} : true",
        sentences.BASELINES,
        field="baselines",
        baselines="size(self.baselines)",
        trials=TRIALS,
    ),
    *(
        rule(
            f"has(self.training) && has(self.training.{name})"
            f" ? self.parameters.all(p, p.name != {_text(name)}) : true",
            sentences.SEARCHED,
            field=f"training.{name}",
            reason="FieldValueForbidden",
        )
        for name in parameters.PARAMETERS
    ),
    rule(
        "has(self.training) && has(self.training.hidden_size)"
        " || self.parameters.exists(p, p.name == 'hidden_size')"
        " ? self.parameters.exists(p, p.name == 'initialization')"
        f" || {FIXED} == 'Scratch' : true",
        sentences.HIDDEN_SIZE,
        field="parameters",
    ),
    rule(
        f"!self.parameters.exists(p, p.name == 'initialization') && {FIXED} == 'Pretrained'"
        " || has(self.baselines) && self.baselines.exists(b, has(b.parameters)"
        " && has(b.parameters.initialization) && b.parameters.initialization == 'Pretrained')"
        " ? has(self.student) && has(self.student.model) : true",
        sentences.PRETRAINED,
        field="student.model",
        reason="FieldValueRequired",
    ),
]
HYPERPARAMETERS: Final = [_known(parameters.PARAMETERS, sentences.UNKNOWN_HYPERPARAMETER)]

RULES: Final[Mapping[str, list[Rule]]] = {
    "": [
        rule(f"self.metadata.name.matches('^{values.NAME}$')", f"metadata.name {values.NAME_RULE}")
    ],
    "spec": SPEC,
    "spec.objectives": OBJECTIVES,
    "spec.objectives[]": OBJECTIVE,
    "spec.constraints[]": CONSTRAINT,
    "spec.parameters": SPACE,
    "spec.parameters[]": PARAMETER,
    "spec.training": HYPERPARAMETERS,
    "spec.baselines[].parameters": HYPERPARAMETERS,
    "spec.data": DATA,
    "spec.teacher.floor": [_known(metrics.EVALUATIONS, sentences.UNKNOWN_METRIC)],
}
"""The rules of a node of the resource, by its path."""
