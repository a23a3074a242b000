"""The stages describe and prepare, with real small models and files."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file

from distillery_contract import metrics, request, wire
from distillery_trainer import tiny
from distillery_trainer.data import dataset, prepared, questions, windows
from distillery_trainer.data.faults import DataError
from distillery_trainer.data.questions import SPLITS, Answer, Question, Split
from distillery_trainer.evaluation import evaluate
from distillery_trainer.preparation import cache_key, models, pinned, prepare, teaching
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.stop import StoppedError
from distillery_trainer.students import sources

Files = tuple[Path, Path]


@pytest.fixture
def asked(tmp_path: Path, tiny_teacher: Path, tiny_squad_files: Files) -> request.Request:
    train, validation = map(str, tiny_squad_files)
    return request.Request(
        experiment="tiny",
        stage=request.Stage.PREPARE,
        data=request.Data(
            train=train, validation=validation, max_length=32, stride=8, max_query_length=12
        ),
        teacher=request.Teacher(str(tiny_teacher)),
        student=request.Student(),
        cache=str(tmp_path / "cache"),
        output=str(tmp_path / "output"),
    )


def changed(asked: request.Request, **changes: Any) -> request.Request:
    """Return a request with other fields of its data or, named ``teacher_…``, of its teacher."""
    assert asked.teacher
    teacher = {k.removeprefix("teacher_"): v for k, v in changes.items() if k.startswith("teacher")}
    fields = {k: v for k, v in changes.items() if not k.startswith("teacher")}
    return dataclasses.replace(
        asked,
        data=dataclasses.replace(asked.data, **fields),
        teacher=dataclasses.replace(asked.teacher, **teacher),
    )


def faults(asked: request.Request) -> str:
    with pytest.raises(DataError) as caught:
        prepare.prepare(asked, Telemetry())
    return "\n".join(caught.value.faults)


def key_of(asked: request.Request) -> str:
    """Return the key of a request whose models are folders."""
    folders = {s: models.folder(s, model) for s, model in models.named(asked).items()}
    return cache_key.of(cache_key.shaped_by(asked, folders))


def exposed(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


def test_the_teachers_logits_and_metrics_are_kept(
    asked: request.Request, tiny_teacher: Path
) -> None:
    made = prepare.prepare(asked, Telemetry())
    teacher = sources.load(str(tiny_teacher))
    start, end = evaluate.logits(teacher, made.train, 32, made.pad, torch.device("cpu"))
    assert made.start is not None
    assert made.end is not None
    assert made.start.dtype == made.end.dtype == np.float16
    np.testing.assert_allclose(made.start, start, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(made.end, end, rtol=1e-3, atol=1e-3)
    assert not made.start.flags.writeable
    again = evaluate.evaluate(teacher, made, 32, torch.device("cpu"))
    assert {**again, "inference_seconds": 0} == {**made.teacher_metrics, "inference_seconds": 0}


def test_trials_open_what_was_prepared(asked: request.Request, tiny_questions: Any) -> None:
    made = prepare.prepare(asked, Telemetry())
    trial = dataclasses.replace(
        asked,
        stage=request.Stage.TRAIN,
        trial=7,
        parameters={"n_layers": 2},
        output=f"{asked.output}/trials/7",
    )
    opened = prepare.open_prepared(trial)
    assert (opened.key, opened.folder, opened.pad) == (made.key, made.folder, made.pad)
    assert opened.questions == tiny.make_questions(30, seed=2)
    np.testing.assert_array_equal(opened.train.input_ids, made.train.input_ids)
    assert windows.lost(opened.train, tiny_questions) == []


def test_a_trial_that_names_its_prepared_folder_reads_no_data(asked: request.Request) -> None:
    made = prepare.prepare(asked, Telemetry())
    elsewhere = changed(asked, train="gone.json", validation="gone.json")
    opened = prepare.open_prepared(dataclasses.replace(elsewhere, prepared=made.key))
    assert (opened.key, opened.questions) == (made.key, made.questions)
    with pytest.raises(prepared.PreparedMissing):
        prepare.open_prepared(dataclasses.replace(asked, prepared="another"))


def test_without_a_prepared_folder_trials_are_told_so(asked: request.Request) -> None:
    with pytest.raises(prepared.PreparedMissing, match="the stage prepare must have pinned"):
        prepare.open_prepared(asked)
    made = prepare.prepare(asked, Telemetry())
    shutil.rmtree(made.folder)
    with pytest.raises(prepared.PreparedMissing, match="the stage prepare must have made"):
        prepare.open_prepared(asked)


def test_a_second_experiment_reuses_the_folder(asked: request.Request) -> None:
    first = prepare.prepare(asked, Telemetry())
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    telemetry = Telemetry()
    second = prepare.prepare(dataclasses.replace(asked, experiment="other"), telemetry)
    assert second.folder == first.folder
    assert stamps == {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    assert exposed(telemetry, "distillery_prepared_info", key=first.key) == 1


def test_a_half_written_folder_is_made_again(asked: request.Request) -> None:
    first = prepare.prepare(asked, Telemetry())
    (first.folder / "start.npy").write_bytes(b"half")
    with pytest.raises(prepared.PreparedMissing):
        prepare.open_prepared(asked)
    second = prepare.prepare(asked, Telemetry())
    assert second.start is not None
    assert len(second.start) == len(second.train.input_ids)


OTHER_SETTINGS = {
    "unanswerable": False,
    "max_length": 33,
    "stride": 9,
    "max_query_length": 13,
    "max_answer_length": 29,
    "n_best": 19,
    "null_threshold": 0.5,
    "faults": request.FaultPolicy.DROP,
    "max_dropped_percent": 3.0,
    "max_unknown_percent": 3.0,
    "max_long_answer_percent": 3.0,
    "max_shared_percent": 3.0,
    "test_share": 0.3,
    "interim_share": 0.3,
}


def test_every_setting_has_its_part_in_the_key(asked: request.Request) -> None:
    settings = {field.name for field in dataclasses.fields(request.Data)}
    assert settings == {*OTHER_SETTINGS, "name", "train", "validation", "test"}
    keys = [key_of(changed(asked, **{n: v})) for n, v in OTHER_SETTINGS.items()]
    assert len({key_of(asked), *keys}) == len(OTHER_SETTINGS) + 1


@pytest.mark.parametrize(
    "file", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
def test_every_file_of_the_teacher_has_its_part_in_the_key(
    asked: request.Request, tmp_path: Path, tiny_teacher: Path, file: str
) -> None:
    copy = shutil.copytree(tiny_teacher, tmp_path / "copy")
    other = changed(asked, teacher_model=str(copy))
    assert key_of(other) == key_of(asked)  # contents count, not places
    with (copy / file).open("a") as opened:
        opened.write(" ")
    assert key_of(other) != key_of(asked)


@pytest.mark.parametrize("split", SPLITS)
def test_the_contents_of_the_data_have_their_part_in_the_key(
    asked: request.Request, tmp_path: Path, split: Split
) -> None:
    path = Path(getattr(asked.data, split))
    copy = tmp_path / "copy.json"
    shutil.copy(path, copy)
    other = changed(asked, **{split: str(copy)})
    assert key_of(other) == key_of(asked)
    copy.write_text(copy.read_text().replace("Lima", "Rima"))
    assert key_of(other) != key_of(asked)


def test_the_students_tokenizer_has_its_part_in_the_key_its_weights_have_none(
    asked: request.Request, tmp_path: Path, tiny_distilbert: Path
) -> None:
    copy = shutil.copytree(tiny_distilbert, tmp_path / "student")
    other = dataclasses.replace(asked, student=request.Student(str(copy)))
    before = key_of(other)
    assert before != key_of(asked)
    (copy / "model.safetensors").write_bytes(b"other")
    assert key_of(other) == before
    (copy / "tokenizer_config.json").write_text("{}")
    assert key_of(other) != before


def test_the_floor_and_the_trial_have_no_part_in_the_key(asked: request.Request) -> None:
    other = dataclasses.replace(changed(asked, teacher_floor={"exact": 50.0}), trial=3)
    assert key_of(other) == key_of(asked)


def test_a_teacher_below_its_floor_is_refused_even_if_prepared(asked: request.Request) -> None:
    prepare.prepare(asked, Telemetry())
    assert "teacher.floor: exact >= 99 must hold" in faults(
        changed(asked, teacher_floor={"exact": 99.0})
    )


def test_every_fault_is_told_at_once(
    asked: request.Request, tmp_path: Path, tiny_questions: list[Question]
) -> None:
    answerable = [q for q in tiny_questions if q.answers]
    stray = dataclasses.replace(answerable[0], answers=(Answer("nowhere", 3),))
    context = answerable[1].context
    long = dataclasses.replace(answerable[1], answers=(Answer(context, 0),))
    train = tiny.write_squad(
        tmp_path / "t.json", [stray, long, answerable[2], answerable[2], answerable[3]]
    )
    validation = tiny.write_squad(tmp_path / "v.json", [answerable[3]])
    said = faults(changed(asked, train=str(train), validation=str(validation), max_length=24))
    assert "train: some questions must have no answer" in said
    assert "validation: some questions must have no answer" in said
    assert "train: an answer must stand in its context at its answer_start" in said
    assert "train: ids must be unique" in said
    assert "an id must not be in two splits" in said
    assert f"at least one window of its question, but 1 broke this: {long.id!r}" in said
    assert not list(Path(asked.cache).glob("*/manifest.json"))


def test_faults_of_both_files_are_told_at_once(asked: request.Request, tmp_path: Path) -> None:
    for name in ("t.json", "v.json"):
        (tmp_path / name).write_text("{")
    said = faults(
        changed(asked, train=str(tmp_path / "t.json"), validation=str(tmp_path / "v.json"))
    )
    assert "t.json must be JSON" in said
    assert "v.json must be JSON" in said


def test_models_that_cannot_be_read_are_told_at_once(asked: request.Request) -> None:
    other = dataclasses.replace(
        changed(asked, teacher_model="./no/teacher"), student=request.Student("no/student")
    )
    said = faults(other)
    assert "teacher.model" in said
    assert "student.model" in said


def test_another_tokenizer_of_the_student_is_refused(
    asked: request.Request, tmp_path: Path
) -> None:
    student = tiny.make_model(tmp_path / "s", "distilbert", tiny.make_tokenizer(["other words"]))
    other = dataclasses.replace(asked, student=request.Student(str(student)))
    assert "student.model must have the teacher's vocabulary" in faults(other)


def test_lengths_beyond_the_models_positions_are_refused(asked: request.Request) -> None:
    assert "data.max_length <= 128 must hold" in faults(changed(asked, max_length=129))


def test_a_teacher_beyond_half_precision_is_refused(
    asked: request.Request, tmp_path: Path, tiny_teacher: Path
) -> None:
    teacher = sources.load(str(tiny_teacher))
    teacher.get_parameter("qa_outputs.bias").data += 1e6
    copy = shutil.copytree(tiny_teacher, tmp_path / "copy")
    teacher.save_pretrained(copy)
    said = faults(changed(asked, teacher_model=str(copy)))
    assert "the teacher's logits must lie within ±65504" in said


def test_without_a_teacher_there_are_no_logits(
    asked: request.Request, tiny_distilbert: Path
) -> None:
    alone = dataclasses.replace(asked, teacher=None, student=request.Student(str(tiny_distilbert)))
    made = prepare.prepare(alone, Telemetry())
    assert made.start is None
    assert made.end is None
    assert made.teacher_metrics == {}
    assert prepare.open_prepared(alone).start is None


def test_without_any_model_nothing_can_be_prepared(asked: request.Request) -> None:
    assert "must be named" in faults(dataclasses.replace(asked, teacher=None))


def test_prepare_tells_what_it_found(asked: request.Request, tiny_distilbert: Path) -> None:
    telemetry = Telemetry()
    both = dataclasses.replace(asked, student=request.Student(str(tiny_distilbert)))
    made = prepare.prepare(both, telemetry)
    assert exposed(telemetry, "distillery_prepared_info", key=made.key) == 1
    counted = "distillery_data_questions"
    assert exposed(telemetry, counted, split="train", answerable="true") == 60
    assert exposed(telemetry, counted, split="train", answerable="false") == 30
    assert exposed(telemetry, "distillery_data_features", split="validation") == len(
        made.validation
    )
    for metric, value in made.teacher_metrics.items():
        assert exposed(telemetry, "distillery_teacher_metric", metric=metric) == value
    layers = {"dimension": "n_layers"}
    assert exposed(telemetry, "distillery_architecture", source="teacher", **layers) == 3
    assert exposed(telemetry, "distillery_architecture", source="student", **layers) == 2


def test_describe_reads_configurations_only(
    asked: request.Request, tmp_path: Path, tiny_teacher: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(tiny_teacher / "config.json", bare)
    telemetry = Telemetry()
    prepare.describe(changed(asked, teacher_model=str(bare)), telemetry)
    width = {"source": "teacher", "dimension": "hidden_size"}
    assert exposed(telemetry, "distillery_architecture", **width) == 32


def test_a_teacher_that_was_never_taught_is_refused_at_once(
    asked: request.Request, tmp_path: Path, tiny_teacher: Path
) -> None:
    copy = shutil.copytree(tiny_teacher, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    with pytest.raises(DataError, match="trained to answer questions"):
        prepare.describe(changed(asked, teacher_model=str(copy)), Telemetry())


def told(asked: request.Request) -> str:
    """Prepare; return the sentence that the process ends with."""
    telemetry = Telemetry()
    prepare.prepare(asked, telemetry)
    telemetry.outcome(wire.Reason.COMPLETED, "prepare is done")
    ((_, message),) = telemetry._values[metrics.OUTCOME]
    return message


def test_sound_data_are_prepared_without_a_note(asked: request.Request) -> None:
    assert told(asked) == "prepare is done"


def test_queries_that_are_cut_are_told_with_examples(asked: request.Request) -> None:
    shorter = changed(asked, max_query_length=2)
    said = "train: 90 of 90 (100 %) questions are cut to 2 tokens: '1-0', '1-1', '1-2', …"
    assert said in told(shorter)
    assert (prepare.open_prepared(shorter).train.context[:, 0] == 4).all()
    assert said in told(shorter)  # also of a folder that is there already


def files_of(folder: Path, **splits: list[Question]) -> dict[str, str]:
    return {s: str(tiny.write_squad(folder / f"{s}-x.json", q)) for s, q in splits.items()}


def test_a_tokenizer_that_does_not_fit_the_text_is_refused(
    asked: request.Request, tmp_path: Path, tiny_questions: list[Question]
) -> None:
    """A cased tokenizer over an uncased vocabulary, or a text of another alphabet."""
    foreign = [
        dataclasses.replace(q, context=f"{q.context} 利马是秘鲁的首都 {'秘鲁 ' * 9}")
        for q in tiny_questions
    ]
    other = changed(asked, **files_of(tmp_path, train=foreign), max_length=96)
    said = faults(other)
    assert "the tokenizer must know the words of the text, data.max_unknown_percent <= 2" in said
    assert "tokens are unknown to the tokenizer, most often '" in said
    assert "train: " in told(changed(other, max_unknown_percent=80.0))

    copy = shutil.copytree(str(asked.teacher.model), tmp_path / "cased")  # type: ignore[union-attr]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (copy / name).read_text().replace('"lowercase": true', '"lowercase": false')
        (copy / name).write_text(text.replace('"do_lower_case": true', '"do_lower_case": false'))
    said = faults(changed(asked, teacher_model=str(copy)))
    assert "data.max_unknown_percent <= 2, but train: 630 of 2815 (22.4 %) tokens" in said
    assert "'People', 'The'" in said


def test_answers_that_no_student_can_give_are_told_and_limited(asked: request.Request) -> None:
    short = changed(asked, max_answer_length=1, max_long_answer_percent=100.0)
    assert "questions have only answers of more than 1 tokens: '1-0'" in told(short)
    said = faults(changed(short, max_long_answer_percent=50.0))
    assert "a student must be able to give the answers, data.max_long_answer_percent <= 50" in said


def test_questions_that_validation_or_test_share_are_told_and_limited(
    asked: request.Request, tmp_path: Path, tiny_questions: list[Question]
) -> None:
    own = tiny.make_questions(30, seed=2)
    copies = [dataclasses.replace(q, id=f"copy {q.id}") for q in tiny_questions[:3]]
    leaking = changed(asked, **files_of(tmp_path, validation=[*own, *copies]))
    said = faults(leaking)
    assert "what is measured must not be learnt by heart, data.max_shared_percent <= 1" in said
    assert "validation: 3 of 33 (9.09 %) questions stand with their context in train" in said
    assert "'copy 1-0', 'copy 1-1', 'copy 1-2'" in said
    assert "3 of 33" in told(changed(leaking, max_shared_percent=10.0))
    held = [dataclasses.replace(q, id=f"test {q.id}") for q in own]
    test = changed(asked, **files_of(tmp_path, test=held))
    assert "test: 30 of 30 (100 %) questions stand with their context in train or val" in faults(
        test
    )


def test_a_question_that_stands_there_twice_is_told(
    asked: request.Request, tmp_path: Path, tiny_questions: list[Question]
) -> None:
    again = dataclasses.replace(tiny_questions[0], id="again", answers=())
    other = changed(asked, **files_of(tmp_path, train=[*tiny_questions, again]))
    assert "train: 1 of 91 (1.1 %) questions stand there before" in told(other)


def test_questions_that_cannot_serve_are_dropped_up_to_a_limit(
    asked: request.Request, tmp_path: Path, tiny_questions: list[Question]
) -> None:
    """One of each kind: a field of another type, a wrong offset, an id again, a lost answer."""
    answerable = [q for q in tiny_questions if q.answers]
    stray = dataclasses.replace(answerable[0], id="stray", answers=(Answer("nowhere", 3),))
    whole = answerable[1].context
    lost = dataclasses.replace(answerable[1], id="lost", answers=(Answer(whole, 0),))
    files = files_of(tmp_path, train=[*tiny_questions, stray, tiny_questions[0], lost])
    document = json.loads(Path(files["train"]).read_text())
    document["data"][0]["paragraphs"].append({"context": "x", "qas": [{"id": "untyped"}]})
    Path(files["train"]).write_text(json.dumps(document))
    refused = changed(asked, **files, max_length=24)
    said = faults(refused)
    for part in (
        "paragraphs[93].qas[0].question is None",
        "'stray'",
        "ids must be unique",
        "'lost'",
    ):
        assert part in said

    dropping = changed(refused, faults=request.FaultPolicy.DROP, max_dropped_percent=5.0)
    message, plain = told(dropping), prepare.prepare(changed(asked, max_length=24), Telemetry())
    assert "train: 4 of 94 questions are dropped: " in message
    assert "'stray'" in message
    made = prepare.open_prepared(dropping)
    np.testing.assert_array_equal(made.train.input_ids, plain.train.input_ids)
    np.testing.assert_array_equal(made.train.span, plain.train.span)
    said = faults(changed(dropping, max_dropped_percent=4.0))
    assert "train: at most 4 % of the questions may be dropped" in said
    assert "but 4 of 94 break a rule" in said


def test_what_is_left_after_dropping_must_serve(
    asked: request.Request, tmp_path: Path, tiny_questions: list[Question]
) -> None:
    strays = [
        dataclasses.replace(q, answers=(Answer("no", 0),)) if q.answers else q
        for q in tiny_questions
    ]
    policy = {"faults": request.FaultPolicy.DROP, "max_dropped_percent": 100.0}
    other = changed(asked, **files_of(tmp_path, train=strays), **policy)
    assert "train: some questions must have an answer, but none of 30 has" in faults(other)


def test_a_third_file_is_checked_and_prepared_like_the_others(
    asked: request.Request, tmp_path: Path
) -> None:
    held = tiny.make_questions(12, seed=5)
    third = changed(asked, **files_of(tmp_path, test=held))
    telemetry = Telemetry()
    made = prepare.prepare(third, telemetry)
    assert key_of(third) != key_of(asked)
    stored = windows.load(made.folder / "test")
    assert questions.read(made.folder / "test.json") == held
    assert exposed(telemetry, "distillery_data_features", split="test") == len(stored)
    labels = {"split": "test", "answerable": "false"}
    assert exposed(telemetry, "distillery_data_questions", **labels) == 4
    stray = dataclasses.replace(held[0], answers=(Answer("nowhere", 3),))
    broken = changed(asked, **files_of(tmp_path, test=[stray, *held[1:]]))
    assert "test: an answer must stand in its context" in faults(broken)


def test_nothing_that_decides_reads_the_third_file(asked: request.Request, tmp_path: Path) -> None:
    """What trials open is the same with and without it, and no metric differs."""
    third = changed(asked, **files_of(tmp_path, test=tiny.make_questions(12, seed=5)))
    plain, made = prepare.prepare(asked, Telemetry()), prepare.prepare(third, Telemetry())
    assert made.questions == plain.questions
    for name in ("start", "end"):
        np.testing.assert_array_equal(getattr(made, name), getattr(plain, name))
    timed = {"inference_seconds": 0}
    assert {**made.teacher_metrics, **timed} == {**plain.teacher_metrics, **timed}


def test_the_key_of_a_spec_without_later_fields_is_that_of_earlier_releases(
    asked: request.Request,
) -> None:
    document = json.loads(asked.to_json())
    later = {"test", "faults"} | {f"max_{n}_percent" for n in ("dropped", "unknown", "shared")}
    assert not later & document["data"].keys()
    places = ["name", "train", "validation"]
    first = [*places, "unanswerable", "max_length", "stride", "max_query_length"]
    first += ["max_answer_length", "n_best", "null_threshold"]
    assert document["data"].keys() == set(first)
    teacher = Path(str(asked.teacher.model))  # type: ignore[union-attr]
    known = {
        "format": 1,
        "libraries": [transformers.__version__, tokenizers.__version__],
        "data": {name: getattr(asked.data, name) for name in first if name not in places},
        "train": dataset.digest(Path(str(asked.data.train))),
        "validation": dataset.digest(Path(str(asked.data.validation))),
        "teacher": {path.name: dataset.digest(path) for path in teacher.iterdir()},
    }
    expected = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]
    assert key_of(asked) == expected


def test_the_manifest_can_be_read_by_a_person(asked: request.Request) -> None:
    made = prepare.prepare(asked, Telemetry())
    document = json.loads((made.folder / "manifest.json").read_text())
    assert document["about"]["questions"]["train"] == {"answerable": 60, "unanswerable": 30}


def overwritten(folder: Path) -> None:
    """Train a model further in place, as its owner may do at any moment."""
    model = sources.load(str(folder))
    model.get_parameter("qa_outputs.weight").data += 1.0
    model.save_pretrained(folder)


@pytest.fixture
def named(asked: request.Request, tmp_path: Path, tiny_distilbert: Path) -> request.Request:
    """A request whose teacher and student are folders of this test."""
    teacher = shutil.copytree(str(asked.teacher.model), tmp_path / "teacher")  # type: ignore[union-attr]
    student = shutil.copytree(tiny_distilbert, tmp_path / "student")
    return dataclasses.replace(
        asked, teacher=request.Teacher(str(teacher)), student=request.Student(str(student))
    )


def test_trials_read_the_copies_of_what_was_prepared(
    named: request.Request, tmp_path: Path
) -> None:
    made = prepare.prepare(named, Telemetry())
    trial = dataclasses.replace(named, output=f"{named.output}/trials/1", prepared=made.key)
    before = {source: pin.digests for source, pin in pinned.of_trial(trial).models.items()}
    assert pinned.of_trial(trial).changes() == []
    for name in ("teacher", "student"):
        overwritten(tmp_path / name)
    pins = pinned.of_trial(trial)
    assert [said.split(".")[0] for said in pins.changes()] == ["teacher", "student"]
    copies = pinned.applied(trial, pins.folders(trial.cache))
    assert copies.teacher
    for source, folder in (("teacher", copies.teacher.model), ("student", copies.student.model)):
        assert Path(str(folder)).is_relative_to(named.cache)
        assert {n: dataset.digest(Path(str(folder), n)) for n in before[source]} == before[source]
    for name in ("teacher", "student"):
        shutil.rmtree(tmp_path / name)
    assert pinned.applied(trial, pinned.of_trial(trial).folders(trial.cache)) == copies


def test_the_file_of_pins_names_data_and_models_with_their_digests(named: request.Request) -> None:
    prepare.prepare(named, Telemetry())
    document = json.loads((Path(named.output) / "pinned.json").read_text())
    assert document["data"]["train"] == dataset.digest(Path(str(named.data.train)))
    teacher = document["models"]["teacher"]
    assert (teacher["model"], teacher["commit"]) == (named.teacher.model, None)  # type: ignore[union-attr]
    weights = Path(teacher["model"]) / "model.safetensors"
    assert teacher["digests"]["model.safetensors"] == dataset.digest(weights)


def test_a_model_of_the_hub_is_pinned_by_its_commit(
    named: request.Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot's folder has the name of the commit; after that the hub is not asked again."""
    commit, asked_for = "0" * 39 + "7", list[object]()
    snapshot = shutil.copytree(tmp_path / "teacher", tmp_path / "hub" / commit)

    def fetch(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked_for.append((name, revision, "model.safetensors" in str(allow_patterns)))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.setattr(prepare, "describe", lambda *_: None)  # it reads the hub by name
    hub = dataclasses.replace(named, teacher=request.Teacher("org/teacher"))
    made = prepare.prepare(hub, Telemetry())
    assert len(asked_for) == 1
    trial = dataclasses.replace(hub, output=f"{hub.output}/trials/1", prepared=made.key)
    pins = pinned.of_trial(trial)
    assert pins.models["teacher"].commit == commit
    again = prepare.prepare(dataclasses.replace(hub, prepared=made.key), Telemetry())
    assert (again.key, len(asked_for)) == (made.key, 1)


def test_weights_of_a_student_are_fetched_and_checked_before_any_trial(
    named: request.Request, tmp_path: Path
) -> None:
    file = tmp_path / "student" / "model.safetensors"
    kept = {n: w for n, w in load_file(file).items() if ".layer.1." not in n}
    save_file(kept, file, {"format": "pt"})
    stray = dataclasses.replace(tiny.make_questions(1, 1)[0], answers=(Answer("nowhere", 3),))
    said = faults(changed(named, **files_of(tmp_path, train=[stray])))
    assert f"student.model: {tmp_path}/student must have all weights" in said
    assert "an answer must stand in its context" in said
    file.unlink()  # the shape alone is enough for students from Scratch
    prepare.prepare(named, Telemetry())


def test_a_search_that_is_prepared_again_keeps_its_models(
    named: request.Request, tmp_path: Path
) -> None:
    made = prepare.prepare(named, Telemetry())
    metrics_ = made.teacher_metrics
    overwritten(tmp_path / "teacher")
    shutil.rmtree(made.folder)  # the cache was cleaned, but for the copies
    again, telemetry = dataclasses.replace(named, prepared=made.key), Telemetry()
    found = prepare.prepare(again, telemetry)
    assert found.key == made.key
    timed = {"inference_seconds": 0}
    assert {**found.teacher_metrics, **timed} == {**metrics_, **timed}
    telemetry.outcome(wire.Reason.COMPLETED, "prepare is done")
    assert "teacher.model: " in telemetry.exposition()
    assert "has changed since the experiment was prepared" in telemetry.exposition()

    shutil.rmtree(named.cache)
    said = faults(again)
    assert "teacher.model must be what it was when the search was prepared" in said
    fresh = prepare.prepare(named, Telemetry())  # another experiment may have the new teacher
    assert fresh.key != made.key


def test_a_search_whose_data_have_changed_is_not_prepared_with_others(
    named: request.Request, tmp_path: Path
) -> None:
    files = files_of(tmp_path, train=tiny.make_questions(90, seed=1))
    made = prepare.prepare(changed(named, **files), Telemetry())
    again = dataclasses.replace(changed(named, **files), prepared=made.key)
    files_of(tmp_path, train=tiny.make_questions(90, seed=9))
    assert prepare.prepare(again, Telemetry()).key == made.key  # it is there
    shutil.rmtree(made.folder)
    assert "what a search was prepared with must be there, or be made again as it was" in faults(
        again
    )


def test_a_search_of_an_earlier_release_gets_its_pins(named: request.Request) -> None:
    made = prepare.prepare(named, Telemetry())
    place = Path(named.output) / "pinned.json"
    place.unlink()
    trial = dataclasses.replace(named, output=f"{named.output}/trials/1", prepared=made.key)
    with pytest.raises(prepared.PreparedMissing, match="must have pinned the models"):
        pinned.of_trial(trial)
    again = prepare.prepare(dataclasses.replace(named, prepared=made.key), Telemetry())
    assert again.key == made.key
    assert pinned.of_trial(trial).prepared == made.key


def test_pins_of_other_models_are_none(named: request.Request) -> None:
    prepare.prepare(named, Telemetry())
    trial = dataclasses.replace(named, output=f"{named.output}/trials/1")
    assert pinned.read(trial)
    assert pinned.read(dataclasses.replace(trial, student=request.Student())) is None
    assert pinned.read(dataclasses.replace(trial, teacher=request.Teacher("other"))) is None


def test_a_preparation_that_was_stopped_continues_where_it_was(
    asked: request.Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped within the teacher's pass: no window that is done is done again."""
    unbroken = prepare.prepare(
        dataclasses.replace(asked, cache=str(tmp_path / "other")), Telemetry()
    )
    small = dataclasses.replace(asked, parameters={"per_device_eval_batch_size": 4})
    monkeypatch.setattr(teaching, "PART_BATCHES", 2)
    seen: list[int] = []
    each, measure, evaluations = evaluate.each, evaluate.measure, list[str]()

    def stopping(model: Any, windows_: Any, groups: Any, *rest: Any) -> Any:
        for number, found in each(model, windows_, groups, *rest):
            if len(windows_) == len(unbroken.train):
                seen.append(number)
                if len(seen) == 21:
                    raise StoppedError("stopped by a signal")
            yield number, found

    def counting(*given: Any) -> Any:
        evaluations.append("one")
        return measure(*given)

    monkeypatch.setattr(evaluate, "each", stopping)
    monkeypatch.setattr(evaluate, "measure", counting)
    with pytest.raises(StoppedError):
        prepare.prepare(small, Telemetry())
    assert not list(Path(asked.cache).glob("*/start.npy"))
    made = prepare.prepare(small, Telemetry())
    assert len(evaluations) == 1
    assert sorted(seen[:16] + seen[21:]) == list(range(len(made.train)))  # two parts of 8 were kept
    for name in ("start", "end"):
        np.testing.assert_allclose(
            getattr(made, name), getattr(unbroken, name), rtol=1e-2, atol=1e-2
        )
    assert not list(Path(asked.cache).glob("*.teacher"))
