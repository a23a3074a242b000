"""Every hyperparameter that a trainer consumes: the one table for operator, trainer and docs.

A hyperparameter is searched (``spec.parameters``), fixed (``spec.training``) or at its default
here, never two of these.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from enum import StrEnum
from math import inf, isfinite
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

Value = float | int | str | bool


class Kind(StrEnum):
    """The type of a hyperparameter's values, named as in an experiment's ``parameters``."""

    FLOAT = "Float"
    INT = "Int"
    CATEGORICAL = "Categorical"


class Initialization(StrEnum):
    """Where a student's weights come from."""

    TEACHER = "Teacher"  # layers of the teacher, chosen by layer_selection
    PRETRAINED = "Pretrained"  # the model named by spec.student.model
    SCRATCH = "Scratch"  # random


class LayerSelection(StrEnum):
    """Which of the source's layers a student with fewer layers keeps."""

    FIRST = "First"  # 0, 1, 2, …
    EVENLY_SPACED = "EvenlySpaced"  # always with the first and the last


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter. Bounds are inclusive; ``default`` None means "as in the source model"."""

    kind: Kind
    default: Value | None
    help: str
    low: float = -inf
    high: float = inf
    choices: tuple[Value, ...] = ()

    def fault(self, value: object) -> str | None:
        """Return the rule that a value breaks, then the value, or None if it breaks none."""
        if self.kind is Kind.CATEGORICAL:
            if value in self.choices and isinstance(value, bool) == isinstance(
                self.choices[0], bool
            ):
                return None
            return f"must be one of {', '.join(map(str, self.choices))}, but got {value!r}"
        number = "an integer" if self.kind is Kind.INT else "a number"
        allowed = int if self.kind is Kind.INT else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed) or not isfinite(value):
            return f"must be {number}, but got {value!r}"
        if not self.low <= value <= self.high:
            return f"must lie in [{self.low:g}, {self.high:g}], but got {value!r}"
        return None


def _number(default: float | None, low: float, high: float, text: str) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high})


@dataclass(frozen=True)
class Hyperparameters:
    """All hyperparameters of a training, each with its type, default, bounds and meaning.

    None means "as in the source model".
    """

    # The student's shape and first weights.
    initialization: Initialization = field(
        default=Initialization.TEACHER,
        metadata={"help": "where the student's first weights come from"},
    )
    n_layers: int | None = _number(None, 1, 48, "transformer layers of the student")
    layer_selection: LayerSelection = field(
        default=LayerSelection.EVENLY_SPACED,
        metadata={"help": "which layers of the source model a student with fewer layers keeps"},
    )
    n_heads: int | None = _number(
        None,
        1,
        64,
        "attention heads that each layer keeps; pruning the others makes the model smaller",
    )
    pruning_seed: int = _number(42, 0, 2**31 - 1, "seed by which the pruned heads are chosen")
    hidden_size: int | None = _number(None, 8, 4096, "width of a student built from scratch")
    initializer_range: float = _number(
        0.02,
        0.0,
        1.0,
        "standard deviation of weights that start at random: answer head, added layers, Scratch",
    )
    # Regularisation.
    dropout: float = _number(0.1, 0.0, 1.0, "dropout of embeddings and feed-forward layers")
    attention_dropout: float = _number(0.1, 0.0, 1.0, "dropout of attention probabilities")
    qa_dropout: float = _number(0.1, 0.0, 1.0, "dropout before the answer head")
    # The losses: alpha_ce * soft + (1 - alpha_ce) * hard + alpha_relation * relation.
    alpha_ce: float = _number(
        0.5,
        0.0,
        1.0,
        "weight of the loss against the teacher's logits; the loss against labels has 1 - alpha_ce",
    )
    temperature: float = _number(
        2.0, 0.1, 100.0, "temperature of the loss against the teacher's logits"
    )
    alpha_relation: float = _number(
        0.0,
        0.0,
        100.0,
        "weight of the loss between self-attention relations (MiniLMv2); above 0 loads the teacher",
    )
    # The optimiser.
    learning_rate: float = _number(
        5e-5, 0.0, 1.0, "peak learning rate: reached after the warm-up, then it falls linearly to 0"
    )
    warm_up_steps: int = _number(0, 0, 10**6, "steps over which the learning rate rises from 0")
    beta_1: float = _number(0.9, 0.0, 0.99999, "AdamW: decay of the mean of gradients")
    beta_2: float = _number(0.999, 0.0, 0.9999999, "AdamW: decay of the mean of squared gradients")
    adam_epsilon: float = _number(1e-8, 1e-16, 1.0, "AdamW: added to the denominator")
    weight_decay: float = _number(0.0, 0.0, 1.0, "AdamW: decoupled weight decay, on matrices only")
    max_grad_norm: float = _number(
        1.0, 0.0, 1e6, "gradients are scaled down to this norm; 0 leaves them as they are"
    )
    # The loop.
    epochs: float = _number(
        3.0, 1e-3, 1000.0, "how often the training sees every window; fractions are allowed"
    )
    per_device_train_batch_size: int = _number(
        8, 1, 4096, "windows in a training batch on one device"
    )
    gradient_accumulation_steps: int = _number(
        1, 1, 4096, "batches that make one step of the optimiser"
    )
    per_device_eval_batch_size: int = _number(
        32, 1, 4096, "windows in an evaluation batch on one device"
    )
    evaluations: int = _number(
        8, 1, 200, "evaluations on the validation set, evenly spread, the last at the end"
    )
    seed: int = _number(42, 0, 2**31 - 1, "seed of data order, dropout and random weights")
    compile: bool = field(
        default=False,
        metadata={"help": "compile the student by torch.compile; pays off on GPUs only"},
    )

    @classmethod
    def of(cls, parameters: Mapping[str, Value]) -> "Hyperparameters":
        """Return the given hyperparameters over the defaults, each in the type of its field."""
        return cls(**{name: _TYPES[name](value) for name, value in parameters.items()})


def _type(hint: Any) -> Any:
    """Return the type of a field whose hint may allow None besides."""
    return next(kind for kind in get_args(hint) or (hint,) if kind is not NoneType)


def _parameter(field_: Field[Any], kind: type) -> Parameter:
    choices: tuple[Value, ...] = (False, True) if kind is bool else ()
    default: Any = field_.default
    if issubclass(kind, StrEnum):
        choices, default = tuple(member.value for member in kind), kind(default).value
    return Parameter(
        _KINDS.get(kind, Kind.CATEGORICAL), default, choices=choices, **field_.metadata
    )


_KINDS: Final[Mapping[type, Kind]] = {float: Kind.FLOAT, int: Kind.INT}
_TYPES: Final = {name: _type(hint) for name, hint in get_type_hints(Hyperparameters).items()}

PARAMETERS: Final[Mapping[str, Parameter]] = {
    f.name: _parameter(f, _TYPES[f.name]) for f in fields(Hyperparameters)
}
"""What operator and docs read off :class:`Hyperparameters`, by name."""


def faults(parameters: Mapping[str, object]) -> list[str]:
    """Return every rule that single hyperparameters break, each with name and value.

    Names that no trainer knows are refused, too: nothing would consume them.
    """
    found = [
        f"{n}: no trainer consumes this parameter; known are {', '.join(PARAMETERS)}"
        for n in parameters
        if n not in PARAMETERS
    ]
    for name, value in parameters.items():
        if name in PARAMETERS and (fault := PARAMETERS[name].fault(value)):
            found.append(f"{name}: {fault}")
    return found


def unused(parameters: Mapping[str, object]) -> list[str]:
    """Return a fault for each hyperparameter that another one leaves without effect."""
    return [f"{name}: {reason}" for name, reason in idle(parameters).items()]


def idle(parameters: Mapping[str, object]) -> dict[str, str]:
    """Return the hyperparameters that another one leaves without effect, and why for each."""
    values = {**{n: p.default for n, p in PARAMETERS.items()}, **parameters}
    found = {}
    if "hidden_size" in parameters and values["initialization"] != Initialization.SCRATCH:
        found["hidden_size"] = (
            f"is consumed only if initialization is Scratch, but it is {values['initialization']}"
        )
    return found


def effective(parameters: Mapping[str, Value]) -> dict[str, Value]:
    """Return the hyperparameters that have an effect: a trainer is sent these.

    A hyperparameter that all trials of an experiment share may have no effect on some of them.
    """
    without = idle(parameters)
    return {name: value for name, value in parameters.items() if name not in without}


def resolve(parameters: Mapping[str, Value]) -> dict[str, Value | None]:
    """Return all hyperparameters: the given ones over the defaults."""
    return {**{name: parameter.default for name, parameter in PARAMETERS.items()}, **parameters}
