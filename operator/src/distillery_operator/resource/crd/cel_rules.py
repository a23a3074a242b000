"""PURE: the rules between an experiment's fields that stand in its definition, in CEL.

The API server evaluates them, and :mod:`distillery_operator.resource.crd.checking` does so for
files and in the operator: they stand nowhere else. A test compares both on a real API server.

Three kinds of rules stand elsewhere. That no metric, parameter, baseline, suggestion or source is
listed twice is no CEL: the lists are maps by a key, ``_keyed`` in
:mod:`distillery_operator.resource.crd.definition`. What binds one field stands on the field, in
:mod:`distillery_operator.resource.spec` and its parts. And
:mod:`distillery_operator.resource.python_rules` has what CEL cannot say: what hangs on a value
that has no type in the schema, for CEL does not see it (whether the values in ``choices`` suit the
hyperparameter, whether a baseline's value is among them, whether a condition can hold, what follows
if ``initialization`` is searched), and what a baseline gives without effect or a suggestion outside
the space, since CEL cannot name the baseline or the suggestion.
"""

from collections.abc import Mapping
from typing import Final

from pydantic.alias_generators import to_camel

from distillery_contract import metrics, parameters
from distillery_contract.metrics import Direction
from distillery_contract.parameters import Kind
from distillery_operator.resource import sentences
from distillery_operator.resource.crd.cel import (
    FORBIDDEN,
    REQUIRED,
    Rule,
    mapping,
    only,
    rule,
    text,
    texts,
)
from distillery_operator.resource.data import Data
from distillery_operator.resource.early_stopping import EarlyStopping
from distillery_operator.resource.fields import NAME, NAME_RULE, SAME
from distillery_operator.resource.parameter import STEPS
from distillery_operator.resource.sampler import DESIGNS, GP_TRIALS, Sampler, SamplerType
from distillery_operator.resource.spec import Spec


def _of_kind(kind: Kind) -> str:
    return texts(n for n, known in parameters.PARAMETERS.items() if known.kind is kind)


def _or_default(model: type[Data] | type[Spec], field: str) -> str:
    """Return an expression for a field that may be absent; defaults are not in the schema."""
    known = model.model_fields[field]
    return f"(has(self.{known.alias}) ? self.{known.alias} : {known.default})"


def _ordered() -> Rule:
    """Return the rule of two bounds, a new one: what stands twice is an alias in YAML."""
    return rule(
        "self.minimum <= self.maximum",
        sentences.MINIMUM,
        when="has(self.minimum) && has(self.maximum)",
        minimum="self.minimum",
        maximum="self.maximum",
    )


MINIMIZED: Final = texts(
    n for n, known in metrics.EVALUATIONS.items() if known.direction is Direction.MINIMIZE
)
BETTER: Final = f"(self.metric in {MINIMIZED} ? 'Minimize' : 'Maximize')"
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
OBJECTIVES: Final = [
    *(
        rule(
            f"!self.exists(o, o.metric == {text(second)})",
            sentences.SAME.format(first=first, second=second),
            when=f"self.exists(o, o.metric == {text(first)})",
        )
        for first, second in SAME
    ),
    rule(
        "self.map(o, [o.metric, o.direction]) == oldSelf.map(o, [o.metric, o.direction])",
        sentences.OBJECTIVES,
    ),
]
CONSTRAINT: Final = [
    rule("has(self.minimum) || has(self.maximum)", sentences.UNBOUNDED),
    _ordered(),
]

CATEGORICAL, NUMERIC = "self.type == 'Categorical'", "self.type != 'Categorical'"
LOG: Final = "has(self.log) && self.log"
RANGED: Final = texts(
    n for n, known in parameters.PARAMETERS.items() if known.kind is not Kind.CATEGORICAL
)
RANGES: Final = mapping(
    (name, f"[{float(known.low)!r}, {float(known.high)!r}]")
    for name, known in parameters.PARAMETERS.items()
    if known.kind is not Kind.CATEGORICAL
)
SHOWN_RANGES: Final = mapping(
    (name, text(f"[{sentences.number(known.low)}, {sentences.number(known.high)}]"))
    for name, known in parameters.PARAMETERS.items()
    if known.kind is not Kind.CATEGORICAL
)


def _absent(field: str, given: str) -> Rule:
    """Refuse what only numbers have."""
    return rule(
        f"!({given})",
        sentences.IDLE,
        field,
        FORBIDDEN,
        when=CATEGORICAL,
        type=text(Kind.CATEGORICAL),
        value=f"self.{field}",
    )


def _whole(field: str) -> Rule:
    """Refuse a fraction for type Int. Beyond the range of integers, _ranged refuses it."""
    value = f"self.{field}"
    return rule(
        f"{value} < -1e18 || {value} > 1e18 || double(int({value})) == {value}",
        sentences.INTEGER,
        field,
        when=f"self.type == 'Int' && has({value})",
        value=value,
    )


def _ranged(field: str) -> Rule:
    """Refuse a bound outside the hyperparameter's range; one of another kind has no range."""
    value = f"self.{field}"
    return rule(
        f"[{RANGES}[self.name]].all(range, range[0] <= {value} && {value} <= range[1])",
        sentences.RANGE,
        field,
        when=f"{NUMERIC} && has({value}) && self.name in {RANGED}",
        range=f"{SHOWN_RANGES}[self.name]",
        name="self.name",
        value=value,
    )


def _needed(field: str) -> Rule:
    given = f"has(self.{field})"
    return rule(given, sentences.GIVEN, field, REQUIRED, when=NUMERIC, type="self.type")


PARAMETER: Final = [
    rule(
        f"!(self.name in {_of_kind(Kind.CATEGORICAL)})"
        f" && (self.type == 'Int' || !(self.name in {_of_kind(Kind.INT)}))",
        sentences.KIND,
        field="type",
        when=NUMERIC,
        kind=f"self.name in {_of_kind(Kind.INT)} ? 'Int' : 'Categorical'",
        name="self.name",
        type="self.type",
    ),
    *(check(field) for field in ("low", "high") for check in (_needed, _whole, _ranged)),
    *(_absent(field, f"has(self.{field})") for field in ("low", "high", "step")),
    _absent("log", LOG),
    rule(
        "self.low <= self.high",
        sentences.LOW,
        when="has(self.low) && has(self.high)",
        low="self.low",
        high="self.high",
    ),
    rule("self.low > 0.0", sentences.LOG, "low", when=f"{LOG} && has(self.low)", low="self.low"),
    _whole("step"),
    rule("!has(self.step)", sentences.STEP, "step", FORBIDDEN, when=f"{NUMERIC} && {LOG}"),
    rule(
        f"self.high <= {float(STEPS)!r} * self.step",
        sentences.FINE,
        "step",
        when="self.type == 'Float' && has(self.high) && has(self.step)",
        limit=str(STEPS),
        high="self.high",
        step="self.step",
    ),
    # The values in choices have no type, which hides choices from all but dyn.
    rule(
        "has(dyn(self).choices) && size(dyn(self).choices) > 0",
        sentences.EMPTY,
        "choices",
        REQUIRED,
        when=CATEGORICAL,
    ),
    rule(
        "!has(dyn(self).choices)",
        sentences.ABSENT,
        "choices",
        FORBIDDEN,
        when=NUMERIC,
        type="self.type",
    ),
]
WHEN: Final = [
    rule("has(dyn(self).values) != (has(self.minimum) || has(self.maximum))", sentences.CONDITION),
    _ordered(),
]
NAMES: Final = "self.map(q, q.name)"
MISPLACED: Final = (
    f"has(p.when) && !([{NAMES}].exists(names, names.indexOf(p.when.parameter) >= 0"
    " && names.indexOf(p.when.parameter) < names.indexOf(p.name)))"
)
SPACE: Final = [
    rule(
        f"!self.exists(p, {MISPLACED})",
        sentences.WHEN,
        name=f"self.filter(p, {MISPLACED})[0].name",
        parent=f"self.filter(p, {MISPLACED})[0].when.parameter",
    ),
    # Lists with keys are equal in any order, but the study relies on the order.
    rule("self == oldSelf && self.map(p, p.name) == oldSelf.map(p, p.name)", sentences.SPACE),
]

NAMED, LENGTH = "has(self.name)", _or_default(Data, "max_length")
QUERY, STRIDE = _or_default(Data, "max_query_length"), _or_default(Data, "stride")
ROOM: Final = f"{LENGTH} - {QUERY} - 3"
DATA: Final = [
    rule("!has(self.train) && !has(self.validation)", sentences.SOURCES, when=NAMED),
    rule("has(self.train) && has(self.validation)", sentences.NO_SOURCE, when=f"!{NAMED}"),
    rule("!has(self.test)", sentences.NAMED_TEST, "test", FORBIDDEN, when=NAMED),
    rule(
        "!has(self.testShare)", sentences.TWO_TESTS, "testShare", FORBIDDEN, when="has(self.test)"
    ),
    rule(
        "has(self.faults) && self.faults == 'Drop'",
        sentences.NOTHING_DROPPED,
        "maxDroppedPercent",
        FORBIDDEN,
        when="has(self.maxDroppedPercent)",
    ),
    rule(f"{ROOM} >= 1", sentences.WINDOW, "maxLength", length=LENGTH, query=QUERY),
    rule(
        f"{STRIDE} < {ROOM}",
        sentences.STRIDE,
        "stride",
        when=f"{ROOM} >= 1",
        room=ROOM,
        stride=STRIDE,
    ),
    rule("self == oldSelf", sentences.MEANING.format(part="data")),
]


def _unread(part: type[Sampler | EarlyStopping], default: str) -> list[Rule]:
    """Refuse what is given though the type, which is chosen or by default, does not read it."""
    chosen = f"(has(self.type) ? self.type : {default})"
    return [
        rule(
            f"{chosen} in {texts(types)}",
            sentences.IDLE,
            alias,
            FORBIDDEN,
            when=f"has(self.{alias})",
            type=chosen,
            value=f"self.{alias}",
        )
        for alias, types in ((to_camel(name), types) for name, types in part.READ_BY.items())
    ]


EARLY_STOPPING: Final = [
    *_unread(EarlyStopping, text(EarlyStopping.model_fields["type"].default)),
    rule(
        "self.rungs.isSorted() && self.rungs.all(r, self.rungs.exists_one(o, o == r))",
        sentences.RUNGS,
        "rungs",
        when="has(self.rungs)",
        rungs="self.rungs",
    ),
]

TRIALS: Final = _or_default(Spec, "max_trials")
SAMPLER_BY_DEFAULT: Final = (
    f"(has(self.crossover) ? {text(SamplerType.TPE)}"
    f" : {text(Sampler.model_fields['type'].default)})"
)
SAMPLER: Final = "(has(self.sampler) && has(self.sampler.type) ? self.sampler.type : '')"
CONTINUOUS: Final = "p.type == 'Float' && !has(p.step)"
FREE: Final = "self.parameters.exists(p, p.name == 'initialization')"
FIXED: Final = (
    "(has(self.training) && has(self.training.initialization) ? self.training.initialization"
    f" : {text(str(parameters.PARAMETERS['initialization'].default))})"
)
BASELINE_PRETRAINED: Final = (
    "has(self.baselines) && self.baselines.exists(b, has(b.parameters)"
    " && has(b.parameters.initialization) && b.parameters.initialization == 'Pretrained')"
)
SPEC: Final = [
    rule(
        "(has(self.student) ? [self.student] : [])"
        " == (has(oldSelf.student) ? [oldSelf.student] : [])",
        sentences.MEANING.format(part="student"),
        "student",
    ),
    rule(
        f"self.parallelism <= {TRIALS}",
        sentences.PARALLELISM,
        "parallelism",
        parallelism="self.parallelism",
        trials=TRIALS,
    ),
    rule(
        f"size(self.baselines) <= {TRIALS}",
        sentences.BASELINES,
        "baselines",
        when="has(self.baselines)",
        baselines="size(self.baselines)",
        trials=TRIALS,
    ),
    rule(
        f"{TRIALS} <= {GP_TRIALS}",
        sentences.GP,
        "sampler.type",
        when=f"{SAMPLER} == 'GP'",
        limit=str(GP_TRIALS),
        trials=TRIALS,
    ),
    rule(
        f"!({SAMPLER} in {texts(DESIGNS)})",
        sentences.LOOKS_AT_NONE,
        "warmStartFrom",
        FORBIDDEN,
        when="has(self.warmStartFrom) && size(self.warmStartFrom) > 0",
        type=SAMPLER,
    ),
    rule(
        f"!self.parameters.exists(p, {CONTINUOUS})",
        sentences.GRID,
        "sampler.type",
        when=f"{SAMPLER} == 'Grid'",
        name=f"self.parameters.filter(p, {CONTINUOUS}).map(p, p.name)[0]",
    ),
    rule(
        "has(self.costPerGpuHour)",
        sentences.PRICE,
        "costPerGpuHour",
        REQUIRED,
        when="has(self.maxCost)",
    ),
    *(
        rule(
            f"self.parameters.all(p, p.name != {text(name)} || has(p.when))",
            sentences.SEARCHED,
            f"training.{name}",
            FORBIDDEN,
            when=f"has(self.training) && has(self.training.{name})",
        )
        for name in parameters.PARAMETERS
    ),
    rule(
        f"{FREE} || {FIXED} == 'Scratch'",
        sentences.HIDDEN_SIZE,
        "parameters",
        when="has(self.training) && has(self.training.hidden_size)"
        " || self.parameters.exists(p, p.name == 'hidden_size')",
    ),
    rule(
        "has(self.student) && has(self.student.model)",
        sentences.PRETRAINED,
        "student.model",
        REQUIRED,
        when=f"!{FREE} && {FIXED} == 'Pretrained' || {BASELINE_PRETRAINED}",
    ),
]
HYPERPARAMETERS: Final = [only(parameters.PARAMETERS, sentences.UNKNOWN_HYPERPARAMETER)]

RULES: Final[Mapping[str, list[Rule]]] = {
    "": [
        rule(f"self.metadata.name.matches('^{NAME}$')", f"metadata.name {NAME_RULE}"),
        rule(
            "self.spec.warmStartFrom.all(w, w.experiment != self.metadata.name)",
            sentences.ITSELF,
            "spec.warmStartFrom",
            when="has(self.spec.warmStartFrom)",
        ),
    ],
    "spec": SPEC,
    "spec.objectives": OBJECTIVES,
    "spec.objectives[]": OBJECTIVE,
    "spec.constraints[]": CONSTRAINT,
    "spec.parameters": SPACE,
    "spec.parameters[]": PARAMETER,
    "spec.parameters[].when": WHEN,
    "spec.training": HYPERPARAMETERS,
    "spec.baselines[].parameters": HYPERPARAMETERS,
    "spec.suggestions[].parameters": HYPERPARAMETERS,
    "spec.sampler": _unread(Sampler, SAMPLER_BY_DEFAULT),
    "spec.earlyStopping": EARLY_STOPPING,
    "spec.data": DATA,
    "spec.teacher": [rule("self == oldSelf", sentences.MEANING.format(part="teacher"))],
    "spec.teacher.floor": [only(metrics.EVALUATIONS, sentences.UNKNOWN_METRIC)],
}
"""The rules of a node of the resource, by its path."""
