"""The models that a request names, and the folders that they lie in. ``prepare`` calls it."""

from pathlib import Path
from typing import Final

import huggingface_hub

from distillery_contract import request as requests
from distillery_trainer.data.faults import DataError, unreachable

TOKENIZER: Final = ("tokenizer*.json", "vocab.txt", "special_tokens_map.json", "added_tokens.json")
MODEL: Final = ("config.json", "*.safetensors", "*.safetensors.index.json", "*.bin")
"""Patterns of the files that make a tokenizer, and of those that make a model."""


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


def folders(request: requests.Request) -> dict[str, Path]:
    """Return the folder of each named model, fetched from the hub where it is no local one.

    Raises:
        DataError: a model is neither here nor on a reachable hub.
    """
    found, faults = {}, []
    for source, model in named(request).items():
        try:
            # Of the student only the tokenizer shapes the windows; its weights can wait.
            files = (*TOKENIZER, *(MODEL if source == "teacher" else MODEL[:1]))
            found[source] = _folder(str(model.model), model.revision, files)
        except (OSError, ValueError) as error:
            faults.append(unreachable(f"{source}.model", str(model.model), error))
    if faults:
        raise DataError(faults)
    return found


def _folder(model: str, revision: str | None, files: tuple[str, ...]) -> Path:
    if Path(model).is_dir():
        return Path(model)
    return Path(
        huggingface_hub.snapshot_download(model, revision=revision, allow_patterns=list(files))
    )
