"""A data set in SQuAD 2.0's format, from local JSON files or from the hub, for ``prepare``."""

import hashlib
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery_contract import request
from distillery_trainer.data import questions
from distillery_trainer.data.faults import DataError, unreachable
from distillery_trainer.data.questions import Question, Records, Split, members


def load(data: request.Data, split: Split) -> list[Question]:
    """Read the questions of one split, from its file or else from the hub.

    Raises:
        DataError: no source is named, the source is unreachable, or it breaks the format.
    """
    path, name = _source(data, split)
    if path:
        return questions.parse(_records_of_file(path), path)
    return questions.parse(_records_of_hub(name, split), f"{name}[{split}]")


def fingerprint(data: request.Data, split: Split) -> str:
    """Return what changes when the questions of a split do: a file's hash, or the hub's revision.

    Raises:
        DataError: no source is named, or it is unreachable.
    """
    path, name = _source(data, split)
    if path:
        return digest(_existing(path))
    builder = _from_hub(name, lambda: _library().load_dataset_builder(name))
    return f"{name}/{builder.config.name}@{builder.hash}"


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _source(data: request.Data, split: Split) -> tuple[str | None, str]:
    """Return the path of a split's file, or else None and the hub's name of the set."""
    path = data.train if split == "train" else data.validation
    if path or (data.name and not data.train and not data.validation):
        return path, data.name or ""
    rule = "data must have the paths train and validation, or the name of a set on the hub alone"
    given = f"name={data.name!r}, train={data.train!r}, validation={data.validation!r}"
    raise DataError([f"{rule}, but got {given}"])


def _existing(path: str) -> Path:
    if not Path(path).is_file():
        raise DataError([f"{path} must be a JSON file in SQuAD's format, but there is no file"])
    return Path(path)


def _library() -> Any:
    import datasets  # type: ignore[import-untyped]  # only now: trials, which read none, save 1.6 s

    datasets.disable_progress_bars()
    return datasets


def _from_hub(name: str, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except (ConnectionError, FileNotFoundError) as error:
        raise DataError([unreachable("data.name", name, error)]) from error
    except ValueError as error:
        raise DataError([f"data.name: {name!r} must have train and validation: {error}"]) from error


def _records_of_file(path: str) -> Records:
    file, datasets = str(_existing(path)), _library()
    # A cache of its own: the library's shared one knows a file by its time stamp, not its contents.
    with tempfile.TemporaryDirectory() as cache:
        options = {"field": "data", "split": "train", "cache_dir": cache, "keep_in_memory": True}
        try:
            articles = datasets.load_dataset("json", data_files=file, **options).to_list()
        except (datasets.exceptions.DatasetsError, ValueError) as error:
            rule = f"{path} must be JSON with a list of articles of one structure under 'data'"
            raise DataError([f"{rule}, but: {error.__cause__ or error}"]) from error
    return [
        (where, {**question, "context": paragraph.get("context")})
        for i, article in enumerate(articles)
        for place, paragraph in members(article, "paragraphs", f"data[{i}]")
        for where, question in members(paragraph, "qas", place)
    ]


def _records_of_hub(name: str, split: Split) -> Records:
    rows = _from_hub(name, lambda: _library().load_dataset(name, split=split)).to_list()
    return [(f"[{i}]", {**row, "answers": _rows(row.get("answers"))}) for i, row in enumerate(rows)]


def _rows(answers: object) -> object:
    """Turn the hub's columns of answers into the list that files have."""
    if not isinstance(answers, dict):
        return answers
    names = ("text", "answer_start")
    columns = itertools.zip_longest(*(answers.get(name) or [] for name in names))
    return [dict(zip(names, values, strict=True)) for values in columns]
