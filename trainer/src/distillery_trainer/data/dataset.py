"""A data set in SQuAD 2.0's format, from local files or from the hub, for ``prepare``."""

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery_contract import request
from distillery_trainer.data import files, questions, test_share
from distillery_trainer.data.faults import DataError, unreachable
from distillery_trainer.data.questions import Read, Records, Split


def load(data: request.Data, split: Split) -> Read:
    """Read the questions of one split, from its file or else from the hub.

    Raises:
        DataError: no source is named, the source is unreachable, or it is of another format.
    """
    path, name = _source(data, split)
    records = files.records(_existing(path)) if path else _records_of_hub(name, _whole(data, split))
    source = path or f"{name}[{_whole(data, split)}]"
    if data.test_share is not None and split != "train":
        records = test_share.part(records, data.test_share, split == "test", source)
    return questions.parse(_columns(records), source)


def fingerprint(data: request.Data, split: Split) -> str:
    """Return what changes when the questions of a split do: a file's hash, or the hub's revision.

    Raises:
        DataError: no source is named, or it is unreachable.
    """
    path, name = _source(data, split)
    if path:
        return digest(_existing(path))
    builder = _from_hub(name, lambda: files.library().load_dataset_builder(name))
    return f"{name}/{builder.config.name}@{builder.hash}"


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _source(data: request.Data, split: Split) -> tuple[str | None, str]:
    """Return the path of a split's file, or else None and the hub's name of the set."""
    path: str | None = getattr(data, _whole(data, split))
    if path or (data.name and not data.train and not data.validation):
        return path, data.name or ""
    rule = "data must have the paths train and validation, or the name of a set on the hub alone"
    given = f"name={data.name!r}, train={data.train!r}, validation={data.validation!r}"
    raise DataError([f"{rule}, but got {given}"])


def _whole(data: request.Data, split: Split) -> Split:
    """Return the split whose source has the questions of a split."""
    return "validation" if split == "test" and data.test_share is not None else split


def _existing(path: str) -> Path:
    if not Path(path).is_file():
        raise DataError([f"{path} must be a file in SQuAD's format, but there is no file"])
    return Path(path)


def _from_hub(name: str, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except (ConnectionError, FileNotFoundError) as error:
        raise DataError([unreachable("data.name", name, error)]) from error
    except ValueError as error:
        raise DataError([f"data.name: {name!r} must have train and validation: {error}"]) from error


def _records_of_hub(name: str, split: Split) -> Records:
    rows = _from_hub(name, lambda: files.library().load_dataset(name, split=split)).to_list()
    return [(f"[{i}]", row) for i, row in enumerate(rows)]


def _columns(records: Records) -> Records:
    """Turn answers in columns, as the hub and flat files have them, into a list of answers."""
    return [(where, {**row, "answers": _rows(row.get("answers"))}) for where, row in records]


def _rows(answers: object) -> object:
    if not isinstance(answers, dict):
        return answers
    texts, starts = (answers.get(name) for name in ("text", "answer_start"))
    if not isinstance(texts, list) or not isinstance(starts, list):
        return None
    pairs = itertools.zip_longest(texts, starts)
    return [{"text": text, "answer_start": start} for text, start in pairs]
