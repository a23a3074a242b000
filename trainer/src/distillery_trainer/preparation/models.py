"""The models that a request names, and the folders that they lie in. ``prepare`` calls it."""

from pathlib import Path
from typing import Final

import huggingface_hub

from distillery_contract import request as requests
from distillery_trainer.data.faults import DataError, unreachable

TOKENIZER: Final = ("tokenizer*.json", "vocab.txt", "special_tokens_map.json", "added_tokens.json")
MODEL: Final = ("config.json", "*.safetensors", "*.safetensors.index.json", "*.bin")
"""Patterns of the files that make a tokenizer, and of those that make a model."""
FILES: Final = (*TOKENIZER, *MODEL, "*.bin.index.json")
"""Patterns of all files that are read of a model."""


def named(request: requests.Request) -> dict[str, requests.Teacher | requests.Student]:
    """Return the models that a request names, as ``teacher`` and ``student``.

    Raises:
        DataError: it names none, so that there is no tokenizer either.
    """
    found: dict[str, requests.Teacher | requests.Student] = {}
    if request.teacher:
        found["teacher"] = request.teacher
    if request.student.model:
        found["student"] = request.student
    if not found:
        raise DataError(["teacher or student.model must be named, but both are absent"])
    return found


def folder(source: str, model: requests.Teacher | requests.Student) -> Path:
    """Return the folder of a model, fetched from the hub where it is no local one.

    Args:
        source: ``teacher`` or ``student``.
        model: which one.

    Raises:
        DataError: it is neither here nor on a reachable hub.
    """
    name = str(model.model)
    if Path(name).is_dir():
        return Path(name)
    try:
        fetch = huggingface_hub.snapshot_download
        return Path(fetch(name, revision=model.revision, allow_patterns=list(FILES)))
    except (OSError, ValueError) as error:
        raise DataError([unreachable(f"{source}.model", name, error)]) from error
