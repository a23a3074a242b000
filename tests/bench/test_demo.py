"""What `make demo` shows of the exported model."""

from pathlib import Path

import transformers
from ruamel.yaml import YAML

import demo
from distillery_contract import request as requests
from distillery_contract import size
from distillery_trainer import tiny
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.evaluation import evaluate
from distillery_trainer.preparation import prepare
from distillery_trainer.reporting.telemetry import Telemetry


def test_the_demos_answers_are_those_that_are_measured(
    tmp_path: Path, tiny_teacher: Path, tiny_squad_files: tuple[Path, Path]
) -> None:
    training, validation = map(str, tiny_squad_files)
    data = requests.Data(
        train=training,
        validation=validation,
        max_length=96,
        stride=16,
        max_query_length=24,
        n_best=100,
        max_answer_length=100,
        null_threshold=0.0,
    )
    request = requests.Request(
        "test",
        requests.Stage.PREPARE,
        data,
        requests.Teacher(str(tiny_teacher)),
        requests.Student(),
        cache=str(tmp_path / "cache"),
        output=str(tmp_path / "output"),
    )
    prepare.prepare(request, Telemetry())
    prepared: Prepared = prepare.open_prepared(request)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(tiny_teacher)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_teacher)
    measured = evaluate.answer(model, prepared, 8, "cpu").given(0.0)
    questions = tiny.make_questions(30, seed=2)
    answers = [demo.answer(model, tokenizer, q.question, q.context) for q in questions]
    assert answers == [text or "(no answer)" for text in measured]
    assert any(" " in answer or "," in answer for answer in answers)


def test_the_quickstarts_front_has_sizes_that_no_suggestion_can_take_away() -> None:
    """Of its suggestions those with four layers learn; those with three collapse."""
    spec = YAML(typ="safe").load(demo.EXPERIMENT)["spec"]
    teacher = size.Architecture(
        size.Family.BERT,
        vocab_size=3285,
        max_position_embeddings=512,
        hidden_size=384,
        intermediate_size=1536,
        n_layers=6,
        n_heads=12,
        type_vocab_size=2,
    )
    learning = [b["parameters"] for b in spec["baselines"] if b["parameters"]["n_layers"] >= 4]
    sizes = {size.student_size({"teacher": teacher}, parameters) for parameters in learning}
    (fewest,) = (p["low"] for p in spec["parameters"] if p["name"] == "n_heads")
    least = size.student_size({"teacher": teacher}, {"n_layers": 4, "n_heads": fewest})
    assert len(sizes) == len(learning) == 5
    assert len([count for count in sizes if count < least]) == 2
