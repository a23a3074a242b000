"""EDGE: experiment and status files as YAML 1.2, as Kubernetes reads it. Only it imports ruamel."""

import io
import warnings
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError, YAMLWarning
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from distillery_operator.errors import Fault, InvalidExperiment, NotFound, Unusable
from distillery_operator.resource import files, parsing
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status

SIZE_LIMIT: Final = 1_000_000
"""Bytes of an experiment file; the API server refuses larger objects too."""

STATUS_LIMIT: Final = 2_000_000
"""Bytes of a status file, several times what a status can have."""

ALIAS_LIMIT: Final = 20_000
"""Values, and bytes within them, that a document's aliases may repeat: nine lines in which each
line repeats the one before nine times would be a billion values."""

BROKEN: Final = (
    YAMLError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What ruamel raises where a text is no YAML, or has a tag that does not fit its value."""


def read_experiment(path: Path) -> Experiment:
    """Read and check an experiment file.

    Raises:
        NotFound: there is no such file.
        Unusable: it cannot be read.
        InvalidExperiment: the file breaks rules; the error has every fault.
    """
    return parse_experiment(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read the text of an experiment; raises the same as :func:`read_experiment`."""
    try:
        data = files.read(path, SIZE_LIMIT + 1)
        return decoded(data, str(path), path.stat().st_size)
    except (NotFound, FileNotFoundError) as error:
        raise NotFound(f"there is no experiment file {path}") from error


def decoded(data: bytes, origin: str, size: int = 0) -> str:
    """Return the text of an experiment from its bytes.

    Args:
        data: all bytes, or more than ``SIZE_LIMIT`` of them.
        origin: where they come from, for messages.
        size: how many there are in all, for messages; 0 where only the end of them would tell.

    Raises:
        InvalidExperiment: they are too many, or no UTF-8.
    """
    if len(data) > SIZE_LIMIT:
        rule = f"must have at most {SIZE_LIMIT} bytes, but got {size or 'more'}"
        raise InvalidExperiment([Fault(origin, rule)], origin)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidExperiment(
            [Fault(origin, f"must be UTF-8 text, but {error}")], origin
        ) from error


def parse_experiment(text: str, origin: str) -> Experiment:
    """Check the YAML text of one experiment; ``origin`` is where it came from, for messages.

    Raises:
        InvalidExperiment: it breaks rules; the error has every fault.
    """
    try:
        documents = _load(text)
    except BROKEN as error:
        raise InvalidExperiment(
            [Fault(origin, f"must be YAML, but {_short(error)}")], origin
        ) from error
    if len(documents) != 1:
        many = "; split the file at its --- lines" if documents else ""
        rule = f"must hold one document, but got {len(documents)}{many}"
        raise InvalidExperiment([Fault(origin, rule)], origin)
    try:
        return parsing.parse(documents[0])
    except InvalidExperiment as error:
        error.origin = origin
        raise


def write_status(path: Path, experiment: Experiment, status: Status) -> None:
    """Write the resource with its status as the cluster would show it, whole or not at all."""
    document = {
        "apiVersion": experiment.api_version,
        "kind": experiment.kind,
        "metadata": {"name": experiment.metadata.name, "namespace": experiment.metadata.namespace},
        "status": to_document(status),
    }
    files.write(path, dump(document))


def to_document(status: Status) -> dict[str, Any]:
    """Return a status as plain values, the way the API server takes it."""
    document: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return document


def read_status(path: Path) -> Status:
    """Read back what :func:`write_status` wrote.

    Raises:
        NotFound: there is no such file.
        Unusable: it holds something else.
    """
    if not path.exists():
        raise NotFound(
            f"there is no status yet at {path}; start the experiment by: distillery run FILE"
        )
    try:
        data = files.read(path, STATUS_LIMIT + 1)
        documents = _load(data.decode()) if len(data) <= STATUS_LIMIT else []
        return Status.model_validate(documents[0]["status"])
    except (*BROKEN, NotFound) as error:  # a pydantic.ValidationError is a ValueError
        raise Unusable(
            f"{path} must hold a status that this release of distillery has written, but does not;"
            " the same `distillery run` writes it anew"
        ) from error


def dump(document: dict[str, Any]) -> str:
    """Write plain values as block-style YAML, keys in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    return buffer.getvalue()


def _load(text: str) -> list[Any]:
    """Return the documents of a text, but for empty ones where there are others: a --- too many.

    Raises:
        ValueError: aliases repeat too much. And what else is in BROKEN.
    """
    yaml = YAML(typ="safe", pure=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", YAMLWarning)
        nodes = list(yaml.compose_all(text))
    for node in nodes:
        if _repeated(node) > ALIAS_LIMIT:
            raise ValueError(f"its aliases repeat more than {ALIAS_LIMIT} values and bytes")
    documents = [yaml.constructor.construct_document(node) for node in nodes]
    return [document for document in documents if document is not None] or documents[:1]


def _repeated(document: Node) -> int:
    """Return how much larger a document is once its aliases are written out, in values and bytes.

    Raises:
        ValueError: an alias stands within what it repeats.
    """
    sizes: dict[int, int | None] = {}
    own = 0

    def size(node: Node) -> int:
        nonlocal own
        if id(node) in sizes:
            if (known := sizes[id(node)]) is None:
                raise ValueError("an alias stands within what it repeats")
            return known
        sizes[id(node)] = None
        here = 1 + (len(node.value.encode()) if isinstance(node, ScalarNode) else 0)
        own += here
        total = here + sum(size(part) for part in _parts(node))
        sizes[id(node)] = total
        return total

    return size(document) - own


def _parts(node: Node) -> list[Node]:
    if isinstance(node, ScalarNode):
        return []
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
