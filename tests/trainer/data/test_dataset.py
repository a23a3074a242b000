"""Reading SQuAD's format, and what is said where it is broken."""

import json
import os
from pathlib import Path
from typing import Any

import datasets  # type: ignore[import-untyped]
import pytest

from distillery_contract import request
from distillery_trainer import tiny
from distillery_trainer.data import dataset
from distillery_trainer.data.faults import DataError
from distillery_trainer.data.questions import SPLITS, Answer, Question, Read


def file_of(folder: Path, document: object) -> request.Data:
    path = folder / "squad.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    return request.Data(train=str(path), validation=str(path))


def article(**changes: Any) -> dict[str, Any]:
    answers = [{"text": "Lima", "answer_start": 0}]
    question = {"id": "1", "question": "Where?", "answers": answers, "is_impossible": False}
    return {"paragraphs": [{"context": "Lima is here.", "qas": [{**question, **changes}]}]}


def faults_of(folder: Path, document: object) -> str:
    with pytest.raises(DataError) as caught:
        dataset.load(file_of(folder, document), "train")
    return "\n".join(caught.value.faults)


def broken_in(folder: Path, document: object) -> str:
    read = dataset.load(file_of(folder, document), "train")
    return "\n".join(sentence for rule in read.broken for sentence in rule.sentences())


def test_official_files_are_read_as_they_were_written(
    tiny_squad_files: tuple[Path, Path], tiny_questions: list[Question]
) -> None:
    train, validation = map(str, tiny_squad_files)
    settings = request.Data(train=train, validation=validation)
    assert dataset.load(settings, "train") == Read(tiny_questions, [])
    assert dataset.load(settings, "validation").questions == tiny.make_questions(30, seed=2)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    settings = file_of(tmp_path, {"data": [article(id="a")]})
    stamp = os.stat(str(settings.train))
    assert dataset.load(settings, "train").questions[0].id == "a"
    before = dataset.fingerprint(settings, "train")
    file_of(tmp_path, {"data": [article(id="b")]})
    os.utime(str(settings.train), ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert dataset.load(settings, "train").questions[0].id == "b"
    assert dataset.fingerprint(settings, "train") != before


def test_plausible_answers_answer_nothing(tmp_path: Path) -> None:
    plausible = [{"text": "Lima", "answer_start": 0}]
    silent = article(answers=[], is_impossible=True, plausible_answers=plausible)
    (question,) = dataset.load(file_of(tmp_path, {"data": [silent]}), "train").questions
    assert question.answers == ()


@pytest.mark.parametrize(
    "document",
    ["{nope", "", "[1, 2]", {"data": "abc"}, {"version": "v2.0"}, {"data": []}],
    ids=["no JSON", "nothing", "a list", "no articles", "no data", "empty"],
)
def test_a_file_of_another_format_is_refused_by_name(tmp_path: Path, document: object) -> None:
    fault = faults_of(tmp_path, document)
    assert f"{tmp_path}/squad.json must be JSON with a list of articles" in fault


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (article(answers=[{"text": "Lima", "answer_start": "0"}]), "answer_start is '0', not int"),
        (article(answers=[{"text": "Lima", "answer_start": 0.5}]), "answer_start is 0.5, not int"),
        (article(answers=[{"text": "Lima"}]), "answers[0].answer_start is None, not int"),
        (article(id=True), "qas[0].id is True, not str or int"),
        (article(answers={"text": ["Lima"]}), "qas[0].answers is None, not list"),
        (article(answers=None), "qas[0].answers is None, not list"),
        ({"paragraphs": [{"qas": article()["paragraphs"][0]["qas"]}]}, "context is None, not str"),
        ({"title": "x"}, "data[0].paragraphs"),
        (article(is_impossible=True), "is_impossible must be true exactly where answers is empty"),
    ],
)
def test_a_broken_field_is_named_with_its_place(
    tmp_path: Path, broken: dict[str, Any], said: str
) -> None:
    assert said in broken_in(tmp_path, {"data": [broken]})


def test_faults_are_counted_and_three_are_shown(tmp_path: Path) -> None:
    fault = broken_in(tmp_path, {"data": [article(id=[i]) for i in range(5)]})
    assert "but 5 broke this" in fault
    assert fault.count("not str or int") == 3


FLAT: list[dict[str, Any]] = [
    {
        "id": 7,
        "context": "Lima is here.",
        "question": "Where?",
        "answers": {"text": ["Lima"], "answer_start": [0]},
    },
    {
        "id": "8",
        "context": "Lima is here.",
        "question": "Who\u2028?",
        "answers": {"text": [], "answer_start": []},
    },
]
EXPECTED = [
    Question("7", "Lima is here.", "Where?", (Answer("Lima", 0),)),
    Question("8", "Lima is here.", "Who\u2028?", ()),
]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in FLAT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps({"version": "x", "data": FLAT}), EXPECTED),
        (LINES, EXPECTED),
        (LINES + "\n\n", EXPECTED),
        (json.dumps(FLAT[0]), EXPECTED[:1]),
        ("\ufeff" + json.dumps({"data": FLAT}), EXPECTED),
        ("\ufeff" + LINES, EXPECTED),
    ],
    ids=["flat", "lines", "blank lines", "one line", "flat with BOM", "lines with BOM"],
)
def test_other_formats_are_read_like_squads(
    tmp_path: Path, text: str, expected: list[Question]
) -> None:
    assert dataset.load(file_of(tmp_path, text), "train") == Read(expected, [])


def test_a_parquet_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    rows = [{**row, "id": str(row["id"])} for row in FLAT]
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "rows.json")
    settings = request.Data(train=str(tmp_path / "rows.json"), validation="x")
    assert dataset.load(settings, "train") == Read(EXPECTED, [])


def test_a_line_or_an_encoding_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "line 3 must be JSON" in faults_of(tmp_path, LINES + '\n{"id": ')
    settings = file_of(tmp_path, "{}")
    Path(str(settings.train)).write_bytes(json.dumps({"data": FLAT}).encode("utf-16"))
    with pytest.raises(DataError, match="must be UTF-8 or Parquet"):
        dataset.load(settings, "train")
    Path(str(settings.train)).write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="must be Parquet, as it begins"):
        dataset.load(settings, "train")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    settings = request.Data(train=str(tmp_path / "none.json"), validation="x.json")
    for act in (dataset.load, dataset.fingerprint):
        with pytest.raises(DataError, match="there is no file"):
            act(settings, "train")


@pytest.mark.parametrize(
    "settings", [request.Data(), request.Data(validation="x.json", name="squad_v2")]
)
def test_a_split_without_source_is_refused(settings: request.Data) -> None:
    with pytest.raises(DataError, match="the paths train and validation, or the name"):
        dataset.load(settings, "train")


def test_without_the_hub_a_name_is_refused_with_a_way_out() -> None:
    for act in (dataset.load, dataset.fingerprint):
        with pytest.raises(DataError) as caught:
            act(request.Data(name="squad_v2"), "train")
        assert "data.name must be local or a name that a reachable hub" in caught.value.faults[0]
        assert "give local files: data.train and data.validation" in caught.value.faults[0]


def test_a_named_set_is_read_like_the_file(tmp_path: Path, tiny_questions: list[Question]) -> None:
    """A set as the hub has squad_v2, columns of answers and Parquet files, in a local folder."""
    rows = [
        {
            "id": q.id,
            "title": "Cities",
            "context": q.context,
            "question": q.question,
            "answers": {
                "text": [a.text for a in q.answers],
                "answer_start": [a.start for a in q.answers],
            },
        }
        for q in tiny_questions
    ]
    for split in SPLITS:
        datasets.Dataset.from_list(rows).to_parquet(tmp_path / f"{split}-00000-of-00001.parquet")
    settings = request.Data(name=str(tmp_path))
    assert dataset.load(settings, "train") == Read(tiny_questions, [])
    assert dataset.fingerprint(settings, "train") == dataset.fingerprint(settings, "validation")
