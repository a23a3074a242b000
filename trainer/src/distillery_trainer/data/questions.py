"""Questions and their answers, as SQuAD 2.0 has them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from distillery_contract import request
from distillery_trainer.data.faults import Broken

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation")
"""The splits that each data set has."""

Records = Sequence[tuple[str, dict[str, Any]]]
"""Raw questions, each with its place in the source; ``context`` is one of the keys."""


@dataclass(frozen=True)
class Answer:
    """A labelled answer, and the character of the context that it starts at."""

    text: str
    start: int


@dataclass(frozen=True)
class Question:
    """A question on a context; without answers it is unanswerable."""

    id: str
    context: str
    question: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Read:
    """What a source has.

    Attributes:
        questions: those that keep the rules of the format.
        broken: the rules of the format that others break.
    """

    questions: list[Question]
    broken: list[Broken]


def splits(data: request.Data) -> tuple[Split, ...]:
    """Return the splits of a data set."""
    return (*SPLITS, "test") if data.has_test else SPLITS


def parse(records: Records, source: str) -> Read:
    """Build the questions of a source."""
    found: list[Question] = []
    untyped: dict[int, str] = {}
    contradictory: dict[int, str] = {}
    contexts: dict[str, str] = {}  # rows repeat their context; one copy is enough
    for number, (where, record) in enumerate(records):
        if wrong := list(_wrong(record, where)):
            untyped[number] = ", ".join(wrong)
        elif record.get("is_impossible") not in (None, not record["answers"]):
            contradictory[number] = where
        else:
            context = contexts.setdefault(record["context"], record["context"])
            answers = tuple(Answer(a["text"], a["answer_start"]) for a in record["answers"])
            found.append(Question(str(record["id"]), context, record["question"], answers))
    broken = [
        Broken(f"{source}: SQuAD's fields must be there with their types", untyped),
        Broken(
            f"{source}: is_impossible must be true exactly where answers is empty", contradictory
        ),
    ]
    return Read(found, [rule for rule in broken if rule.questions])


def members(record: dict[str, Any], name: str, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a list in a record, each with its place.

    An empty one stands for the list, or for a member, if it is missing or of another type.
    """
    found = record.get(name)
    if not isinstance(found, list):
        yield f"{place}.{name}", {}
        return
    for i, member in enumerate(found):
        yield f"{place}.{name}[{i}]", member if isinstance(member, dict) else {}


def write(path: Path, questions: list[Question]) -> None:
    """Write questions into a file that :func:`read` reads."""
    records = [asdict(question) for question in questions]
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")


def read(path: Path) -> list[Question]:
    """Read what :func:`write` wrote."""
    return [
        Question(**{**record, "answers": tuple(Answer(**a) for a in record["answers"])})
        for record in json.loads(path.read_text(encoding="utf-8"))
    ]


def _wrong(record: dict[str, Any], where: str) -> Iterator[str]:
    """Yield each field of a raw question that is missing or of another type."""
    wanted: Mapping[str, type | tuple[type, ...]] = {
        "id": (str, int),
        "context": str,
        "question": str,
        "answers": list,
    }
    yield from _untyped(record, wanted, where)
    if isinstance(record.get("answers"), list):
        for place, answer in members(record, "answers", where):
            yield from _untyped(answer, {"text": str, "answer_start": int}, place)


def _untyped(
    record: dict[str, Any], wanted: Mapping[str, type | tuple[type, ...]], where: str
) -> Iterator[str]:
    for name, kind in wanted.items():
        value = record.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            names = " or ".join(one.__name__ for one in kinds)
            yield f"{where}.{name} is {value!r}, not {names}"
