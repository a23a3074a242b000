"""EDGE: experiment and status files as YAML 1.2, as Kubernetes reads it. Only it imports ruamel."""

import io
import os
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from distillery_operator.errors import Fault, InvalidExperiment, NotFound
from distillery_operator.resource import parsing
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status

SIZE_LIMIT: Final = 1_000_000
"""Bytes of an experiment file; the API server refuses larger objects too."""


def read_experiment(path: Path) -> Experiment:
    """Read and check an experiment file.

    Raises:
        NotFound: there is no such file.
        InvalidExperiment: the file breaks rules; the error has every fault.
    """
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= SIZE_LIMIT else ""
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound(f"there is no experiment file {path}") from error
    except UnicodeDecodeError as error:
        raise InvalidExperiment([Fault(str(path), f"must be UTF-8 text, but {error}")]) from error
    if size > SIZE_LIMIT:
        raise InvalidExperiment(
            [Fault(str(path), f"must have at most {SIZE_LIMIT} bytes, but got {size}")]
        )
    return parse_experiment(text, str(path))


def parse_experiment(text: str, origin: str) -> Experiment:
    """Check the YAML text of one experiment; ``origin`` is where it came from, for messages."""
    try:
        documents = list(YAML(typ="safe", pure=True).load_all(text))
    except (YAMLError, ValueError, RecursionError) as error:
        raise InvalidExperiment([Fault(origin, f"must be YAML, but {_short(error)}")]) from error
    if len(documents) != 1:
        raise InvalidExperiment(
            [Fault(origin, f"must hold one document, but got {len(documents)}")]
        )
    return parsing.parse(documents[0])


def write_status(path: Path, experiment: Experiment, status: Status) -> None:
    """Write the resource with its status as the cluster would show it, whole or not at all."""
    document = {
        "apiVersion": experiment.api_version,
        "kind": experiment.kind,
        "metadata": {"name": experiment.metadata.name, "namespace": experiment.metadata.namespace},
        "status": to_document(status),
    }
    part = path.with_suffix(".part")
    part.write_text(dump(document), encoding="utf-8")
    os.replace(part, path)


def to_document(status: Status) -> dict[str, Any]:
    """Return a status as plain values, the way the API server takes it."""
    document: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return document


def read_status(path: Path) -> Status:
    """Read back what :func:`write_status` wrote."""
    if not path.exists():
        raise NotFound(
            f"there is no status yet at {path}; start the experiment by: distillery run FILE"
        )
    document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    return Status.model_validate(document["status"])


def dump(document: dict[str, Any]) -> str:
    """Write plain values as block-style YAML, keys in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    return buffer.getvalue()


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
