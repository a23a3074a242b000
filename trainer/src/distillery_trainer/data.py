"""Questions in SQuAD 2.0's format, from local JSON files or from the hub, for ``prepare``."""

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import datasets  # type: ignore[import-untyped]

from distillery_contract import request

Split = Literal["train", "validation"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation")

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
    datasets.disable_progress_bars()
    path = getattr(data, split)
    if path is not None:
        return _questions(_records_of_file(path), path)
    if data.name is None or data.train or data.validation:
        rule = (
            f"data.{split} must be a JSON file's path, or data.name alone the hub's name of a set"
        )
        raise DataError([f"{rule}, but got {data.name=}, {data.train=}, {data.validation=}"])
    return _questions(_records_of_hub(data.name, split), f"{data.name}[{split}]")


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
        f"{field} must be a local path or a name that the hub or its local cache has, "
        f"but {name!r} is neither, or the hub is unreachable ({why}); without a network, "
        "give local files: data.train and data.validation, or a model's folder"
    )


Records = Iterable[tuple[str, dict[str, Any]]]
"""Raw questions, each with its place in the source; ``context`` is one of the keys."""


def _records_of_file(path: str) -> Records:
    rule = f"{path} must be a JSON file with a list of articles of one structure under 'data'"
    if not Path(path).is_file():
        raise DataError([f"{rule}, but there is no such file"])
    # A cache of its own: the library's shared one knows a file by its time stamp, not its contents.
    with tempfile.TemporaryDirectory() as cache:
        try:
            articles = datasets.load_dataset(
                "json",
                data_files=path,
                field="data",
                split="train",
                cache_dir=cache,
                keep_in_memory=True,
            ).to_list()
        except (datasets.exceptions.DatasetsError, ValueError) as error:
            raise DataError([f"{rule}, but reading it says: {error.__cause__ or error}"]) from error
    return [
        (where, {**question, "context": paragraph.get("context")})
        for i, article in enumerate(articles)
        for place, paragraph in _members(article, "paragraphs", f"data[{i}]")
        for where, question in _members(paragraph, "qas", place)
    ]


def _members(record: dict[str, Any], name: str, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a list with their places, and {} in place of what is none."""
    members = record.get(name)
    if not isinstance(members, list):
        yield f"{place}.{name}", {}
        return
    for i, member in enumerate(members):
        yield f"{place}.{name}[{i}]", member if isinstance(member, dict) else {}


def _records_of_hub(name: str, split: Split) -> Records:
    try:
        rows = datasets.load_dataset(name, split=split).to_list()
    except (ConnectionError, FileNotFoundError) as error:
        raise DataError([unreachable("data.name", name, error)]) from error
    except ValueError as error:
        raise DataError([f"data.name must have a split {split}, but {name!r}: {error}"]) from error
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
    wrong: list[str] = []
    contradictory: list[str] = []
    contexts: dict[str, str] = {}  # the hub repeats a context in each row; one copy is enough
    questions = []
    for where, record in records:
        question = _question(record, where, contexts, wrong)
        questions.append(question)
        if record.get("is_impossible") not in (None, not question.answers):
            contradictory.append(where)
    rule = "is_impossible must be true exactly where answers is empty"
    found = fault(f"{source}: every field of SQuAD's format must be there, with its type", wrong)
    if not found:
        found = fault(f"{source}: {rule}", contradictory)
    if found:
        raise DataError(found)
    return questions


def _question(
    record: dict[str, Any], where: str, contexts: dict[str, str], wrong: list[str]
) -> Question:
    def get(record: dict[str, Any], name: str, kind: type, place: str) -> Any:
        value = record.get(name)
        if isinstance(value, kind) and not isinstance(value, bool):
            return value
        wrong.append(f"{place}.{name} is {value!r}, no {kind.__name__}")
        return kind()

    context = get(record, "context", str, where)
    get(record, "answers", list, where)
    answers = tuple(
        Answer(get(answer, "text", str, place), get(answer, "answer_start", int, place))
        for place, answer in _members({"answers": [], **record}, "answers", where)
    )
    return Question(
        id=get(record, "id", str, where),
        context=contexts.setdefault(context, context),
        question=get(record, "question", str, where),
        answers=answers,
    )
