"""Questions in SQuAD 2.0's format, from local JSON files or from the hub, for ``prepare``."""

import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from distillery_contract import request

Split = Literal["train", "validation"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation")

Records = Iterable[tuple[str, dict[str, Any]]]
"""Raw questions, each with its place in the source; ``context`` is one of the keys."""

_EXAMPLES: Final = 3


class DataError(Exception):
    """Data or teacher cannot serve the experiment; ``faults`` has every reason found."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True)
class Answer:
    """A gold answer and the character of the context that it starts at."""

    text: str
    start: int


@dataclass(frozen=True)
class Question:
    """A question on a context; without answers it is unanswerable."""

    id: str
    context: str
    question: str
    answers: tuple[Answer, ...]


def load(data: request.Data, split: Split) -> list[Question]:
    """Read the questions of one split, from its file or else from the hub.

    Raises:
        DataError: no source is named, the source is unreachable, or it breaks the format.
    """
    path, name = _source(data, split)
    if path:
        return _questions(_records_of_file(path), path)
    return _questions(_records_of_hub(name, split), f"{name}[{split}]")


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


def fault(rule: str, examples: Sequence[str]) -> list[str]:
    """Return the sentence on a broken rule, with its count and first examples, if it is broken."""
    if not examples:
        return []
    shown = ", ".join(examples[:_EXAMPLES]) + (", …" if len(examples) > _EXAMPLES else "")
    return [f"{rule}, but {len(examples)} broke this: {shown}"]


def unreachable(field: str, name: str, error: Exception) -> str:
    """Return the sentence on a name that is neither local nor to be had from the hub."""
    why = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"{field} must be local or a name that a reachable hub or its local cache has, "
        f"but {name!r} cannot be loaded: {why}; without a network, give local files: "
        "data.train and data.validation, or a model's folder"
    )


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
        for place, paragraph in _members(article, "paragraphs", f"data[{i}]")
        for where, question in _members(paragraph, "qas", place)
    ]


def _members(record: dict[str, Any], name: str, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a list with their places; {} stands for what is missing."""
    members = record.get(name)
    if not isinstance(members, list):
        yield f"{place}.{name}", {}
        return
    for i, member in enumerate(members):
        yield f"{place}.{name}[{i}]", member if isinstance(member, dict) else {}


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


def _questions(records: Records, source: str) -> list[Question]:
    """Build the questions of a source.

    Raises:
        DataError: the format's broken rules, each with its count and examples.
    """
    wrong = [fault for where, record in records for fault in _wrong(record, where)]
    if wrong:
        raise DataError(fault(f"{source}: SQuAD's fields must be there with their types", wrong))
    contradictory = [
        where
        for where, record in records
        if record.get("is_impossible") not in (None, not record["answers"])
    ]
    if contradictory:
        rule = "is_impossible must be true exactly where answers is empty"
        raise DataError(fault(f"{source}: {rule}", contradictory))
    contexts: dict[str, str] = {}  # the hub repeats a context in each row; one copy is enough
    return [
        Question(
            id=record["id"],
            context=contexts.setdefault(record["context"], record["context"]),
            question=record["question"],
            answers=tuple(Answer(a["text"], a["answer_start"]) for a in record["answers"]),
        )
        for _, record in records
    ]


def _wrong(record: dict[str, Any], where: str) -> Iterator[str]:
    """Yield each field of a raw question that is missing or of another type."""
    wanted = {"id": str, "context": str, "question": str, "answers": list}
    yield from _untyped(record, wanted, where)
    if isinstance(record.get("answers"), list):
        for place, answer in _members(record, "answers", where):
            yield from _untyped(answer, {"text": str, "answer_start": int}, place)


def _untyped(record: dict[str, Any], wanted: Mapping[str, type], where: str) -> Iterator[str]:
    for name, kind in wanted.items():
        value = record.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            yield f"{where}.{name} is {value!r}, not {kind.__name__}"
