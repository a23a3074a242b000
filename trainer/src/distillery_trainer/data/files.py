"""Local files of questions: SQuAD's nested JSON, flat JSON, JSON Lines, Parquet.

``dataset`` reads them. The format is told from the contents, whatever the name of the file.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, Final

from distillery_trainer.data.faults import DataError
from distillery_trainer.data.questions import Records, members

_PARQUET: Final = b"PAR1"
"""The first bytes of a Parquet file."""


def records(path: Path) -> Records:
    """Read the raw questions of a file.

    Raises:
        DataError: it is of no known format.
    """
    with path.open("rb") as file:
        if file.read(len(_PARQUET)) == _PARQUET:
            return _parquet(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # some programs begin with a byte order mark
    except UnicodeDecodeError as error:
        raise DataError([f"{path} must be UTF-8 or Parquet, but: {error}"]) from error
    try:
        document = json.loads(text)
    except ValueError as error:
        return _lines(path, text, error)
    if isinstance(document, dict) and "data" not in document and "question" in document:
        return [("line 1", document)]
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, list) or not data or not all(isinstance(d, dict) for d in data):
        raise _unknown(path, "there is no such list")
    return [found for i, entry in enumerate(data) for found in _entry(entry, f"data[{i}]")]


def library() -> Any:
    """Return the library ``datasets``."""
    import datasets  # type: ignore[import-untyped]  # only now: trials, which read none, save 1.6 s

    datasets.disable_progress_bars()
    return datasets


def _entry(entry: dict[str, Any], where: str) -> Records:
    """Return the questions of an article, or the one that a flat entry is."""
    if "question" in entry:
        return [(where, entry)]
    return [
        (place, {"title": entry.get("title"), **question, "context": paragraph.get("context")})
        for part, paragraph in members(entry, "paragraphs", where)
        for place, question in members(paragraph, "qas", part)
    ]


def _lines(path: Path, text: str, error: ValueError) -> Records:
    """Return the questions of JSON Lines; ``error`` says why the whole is no JSON."""
    found: list[tuple[str, dict[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as reason:
            if not found:  # then it was not meant to be lines
                raise _unknown(path, str(error)) from error
            raise DataError([f"{path}: line {number} must be JSON, but: {reason}"]) from reason
        if not isinstance(row, dict):
            raise _unknown(path, f"line {number} is no object")
        found.append((f"line {number}", row))
    if not found:
        raise _unknown(path, "it is empty")
    return found


def _parquet(path: Path) -> Records:
    datasets = library()
    # A cache of its own: the library's shared one knows a file by its time stamp, not its contents.
    with tempfile.TemporaryDirectory() as cache:
        options = {"split": "train", "cache_dir": cache, "keep_in_memory": True}
        try:
            rows = datasets.load_dataset("parquet", data_files=str(path), **options).to_list()
        except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
            why = error.__cause__ or error
            raise DataError([f"{path} must be Parquet, as it begins, but: {why}"]) from error
    return [(f"row {i}", row) for i, row in enumerate(rows)]


def _unknown(path: Path, why: str) -> DataError:
    rule = f"{path} must be JSON with a list of articles or of questions under 'data', JSON Lines"
    return DataError([f"{rule} with a question each, or Parquet, but: {why}"])
