"""The parameter count of a student, known before any of its weights exist.

The operator asks for it when it makes a suggestion, so a student that is too large costs no GPU.
The trainer's tests hold it equal to the count of the real models.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from distillery_contract.parameters import Initialization


class Family(StrEnum):
    """Model families that a student can have."""

    BERT = "bert"
    DISTILBERT = "distilbert"


FAMILY_CODES: Mapping[Family, int] = {Family.BERT: 1, Family.DISTILBERT: 2}
"""A metric's value is a number, so a family is exposed as its code."""


DECIDING = ("initialization", "hidden_size", "n_layers", "n_heads")
"""The hyperparameters that decide a student's size."""


@dataclass(frozen=True)
class Architecture:
    """The dimensions of a model that decide how many parameters it has.

    ``n_heads`` times the width of a head is ``hidden_size``, also where heads were pruned.
    """

    family: Family
    vocab_size: int
    max_position_embeddings: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    type_vocab_size: int = 0  # DistilBERT has no segment embeddings
    kept_heads: int = 0  # of each layer of a model whose heads were pruned; else 0

    def dimensions(self) -> dict[str, int]:
        """Return the numbers that a trainer exposes as ``distillery_architecture``.

        Earlier releases do not know ``kept_heads``, so only pruned models have it.
        """
        found = {**asdict(self), "family": FAMILY_CODES[self.family]}
        return {name: n for name, n in found.items() if n or name != "kept_heads"}

    @classmethod
    def of_dimensions(cls, dimensions: Mapping[str, float]) -> "Architecture":
        """Read back what :meth:`dimensions` wrote."""
        family = {code: family for family, code in FAMILY_CODES.items()}[int(dimensions["family"])]
        return cls(family, **{k: int(v) for k, v in dimensions.items() if k != "family"})


def source_of(
    sources: Mapping[str, Architecture], parameters: Mapping[str, object]
) -> Architecture:
    """Return the architecture that a student starts from; the arguments are those of shape."""
    teacher = sources["teacher"]
    return teacher if _from_teacher(parameters) else sources.get("student", teacher)


def offered_heads(sources: Mapping[str, Architecture], parameters: Mapping[str, object]) -> int:
    """Return how many heads a layer of a student can have; the arguments are those of shape.

    What was pruned of a source is gone, but a student from Scratch takes its shape alone.
    """
    source = source_of(sources, parameters)
    scratch = parameters.get("initialization") == Initialization.SCRATCH
    return source.n_heads if scratch else source.kept_heads or source.n_heads


def _from_teacher(parameters: Mapping[str, object]) -> bool:
    initialization = parameters.get("initialization") or Initialization.TEACHER
    return initialization == Initialization.TEACHER


def shape(sources: Mapping[str, Architecture], parameters: Mapping[str, object]) -> Architecture:
    """Return the architecture of the student that hyperparameters describe.

    Args:
        sources: "teacher" and, where the experiment names one, "student": the architectures to
            start from.
        parameters: hyperparameters, complete or not; what is missing is as in the source.

    Raises:
        ValueError: no such student exists; the message names the rule and the values.
    """
    source = source_of(sources, parameters)
    width = parameters.get("hidden_size") or source.hidden_size
    offered = offered_heads(sources, parameters)
    layers, heads = (
        parameters.get("n_layers") or source.n_layers,
        parameters.get("n_heads") or offered,
    )
    assert isinstance(width, int)
    assert isinstance(layers, int)
    assert isinstance(heads, int)
    if heads > offered:
        raise ValueError(
            f"n_heads <= {offered} must hold, the heads of the source model, but got {heads}"
        )
    if width % source.n_heads:
        raise ValueError(
            f"hidden_size must be a multiple of {source.n_heads}, the heads of the source model,"
            f" but got {width}"
        )
    if _from_teacher(parameters) and layers > source.n_layers:
        raise ValueError(
            f"n_layers <= {source.n_layers} must hold, the layers of the teacher, but got {layers}"
        )
    inner = source.intermediate_size * width // source.hidden_size
    return Architecture(
        source.family,
        source.vocab_size,
        source.max_position_embeddings,
        width,
        inner,
        layers,
        heads,
        source.type_vocab_size,
    )


def parameter_count(student: Architecture, head_size: int) -> int:
    """Return how many parameters a student has, embeddings and answer head included.

    Args:
        student: its dimensions; ``n_heads`` counts the heads that are kept.
        head_size: width of one head, which pruning leaves as it is: source width over source heads.
    """
    d, inner, kept = student.hidden_size, student.intermediate_size, student.n_heads * head_size
    embeddings = (
        student.vocab_size + student.max_position_embeddings + student.type_vocab_size
    ) * d + 2 * d
    attention = 3 * (d * kept + kept) + kept * d + d
    feed_forward = d * inner + inner + inner * d + d
    norms = 2 * 2 * d
    answer_head = 2 * d + 2
    return embeddings + student.n_layers * (attention + feed_forward + norms) + answer_head


def student_size(sources: Mapping[str, Architecture], parameters: Mapping[str, object]) -> int:
    """Return the parameter count of the student that hyperparameters describe.

    Raises:
        ValueError: as :func:`shape` does.
    """
    student, source = shape(sources, parameters), source_of(sources, parameters)
    return parameter_count(student, student.hidden_size // source.n_heads)
