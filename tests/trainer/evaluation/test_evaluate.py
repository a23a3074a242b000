"""Logits, answers and metrics of real small models."""

from pathlib import Path

import numpy as np
import pytest
import torch

from distillery_contract import metrics, request
from distillery_trainer.data import batches
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.data.questions import Question
from distillery_trainer.data.windows import Windows
from distillery_trainer.evaluation import evaluate
from distillery_trainer.preparation import prepare
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.students import sources

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def prepared(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_teacher: Path,
    tiny_squad_files: tuple[Path, Path],
) -> Prepared:
    train, validation = map(str, tiny_squad_files)
    asked = request.Request(
        experiment="tiny",
        stage=request.Stage.PREPARE,
        data=request.Data(
            train=train, validation=validation, max_length=32, stride=8, max_query_length=12
        ),
        teacher=request.Teacher(str(tiny_teacher)),
        student=request.Student(),
        cache=str(tmp_path_factory.mktemp("cache")),
        output=str(tmp_path_factory.mktemp("output")),
    )
    return prepare.prepare(asked, Telemetry())


@pytest.mark.parametrize("family", ["tiny_teacher", "tiny_distilbert"])
def test_logits_are_those_of_each_window_alone(
    family: str, request: pytest.FixtureRequest, prepared: Prepared
) -> None:
    reader = sources.load(str(request.getfixturevalue(family)))
    made = prepared.validation
    start, end = evaluate.logits(reader, made, 7, prepared.pad, CPU)
    for row in range(len(made)):
        batch = batches.collate(made, [row], prepared.pad)
        with torch.inference_mode():
            output = reader(**batch.inputs(reader))
        window = slice(made.rows[row], made.rows[row + 1])
        np.testing.assert_allclose(start[window], output.start_logits[0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(end[window], output.end_logits[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_keeps_its_mode_and_its_dropout_stays_out(
    prepared: Prepared, tiny_teacher: Path, training: bool
) -> None:
    reader = sources.load(str(tiny_teacher)).train(training)
    once, again = (evaluate.logits(reader, prepared.validation, 8, 0, CPU) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert reader.training is training


def test_an_evaluation_has_every_metric_of_the_contract(
    prepared: Prepared, tiny_teacher: Path
) -> None:
    reader = sources.load(str(tiny_teacher))
    found = evaluate.evaluate(reader, prepared, 8, CPU)
    assert set(found) == set(metrics.EVALUATIONS)
    assert found["parameter_count"] == sum(p.numel() for p in reader.parameters())
    assert found["inference_seconds"] > 0


def test_the_batch_size_changes_no_answer(prepared: Prepared, tiny_teacher: Path) -> None:
    reader = sources.load(str(tiny_teacher))
    alone, together = (evaluate.answer(reader, prepared, size, CPU) for size in (1, 64))
    assert alone.text == together.text


class Oracle(torch.nn.Module):
    """A model that knows the spans of windows by their tokens."""

    def __init__(self, made: Windows) -> None:
        super().__init__()
        self.config = type("Config", (), {"_attn_implementation": "sdpa"})
        self.spans = {
            tuple(made.input_ids[made.rows[i] : made.rows[i + 1]].tolist()): made.span[i].tolist()
            for i in range(len(made))
        }

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> object:
        start, end = torch.zeros(2, *input_ids.shape)
        for i, ids in enumerate(input_ids.tolist()):
            length = int(attention_mask[i].sum())
            first, last = self.spans[tuple(ids[:length])]
            start[i, first] = end[i, last] = 10
        return type("Output", (), {"start_logits": start, "end_logits": end})


def test_a_model_that_knows_all_answers_scores_100(
    prepared: Prepared, tiny_questions: list[Question]
) -> None:
    knowing = Oracle(prepared.validation)
    found = evaluate.evaluate(knowing, prepared, 8, CPU)
    assert (found["exact"], found["f1"], found["parameter_count"]) == (100, 100, 0)


def test_length_sorted_batches_have_every_window_once(prepared: Prepared) -> None:
    made: Windows = prepared.train
    rows = [row for batch in made.by_length(7) for row in batch]
    assert sorted(rows) == list(range(len(made)))
    assert (np.diff(made.lengths()[rows]) <= 0).all()
