"""The stage ``test`` on a tiny real model: what it measures, and that it does so once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distillery_contract import metrics
from distillery_contract import request as requests
from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.measurements import exposition
from distillery_operator.trials.attempt import Report
from distillery_trainer import stages
from distillery_trainer.data.prepared import PreparedMissing
from distillery_trainer.evaluation import evaluate
from distillery_trainer.preparation import prepare
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.stop import Stop
from distillery_trainer.students import model_folder
from distillery_trainer.training import held_out, history, train


@pytest.fixture(scope="module")
def trained(
    tiny_teacher: Path,
    tiny_squad_files: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> requests.Request:
    """A request to test a trained student; the test questions are those of the validation set."""
    training, validation = map(str, tiny_squad_files)
    experiment = tmp_path_factory.mktemp("experiment")
    test = experiment / "test.json"  # no id may be in two splits
    test.write_text(Path(validation).read_text().replace('"id": "', '"id": "test '))
    data = requests.Data(
        train=training,
        validation=validation,
        test=str(test),
        max_length=96,
        stride=16,
        max_query_length=24,
        max_shared_percent=100.0,
    )
    request = requests.Request(
        "test",
        Stage.TRAIN,
        data,
        requests.Teacher(str(tiny_teacher)),
        requests.Student(),
        cache=str(tmp_path_factory.mktemp("cache")),
        output=str(experiment),
        parameters={"epochs": 1.0, "per_device_train_batch_size": 16, "n_layers": 2, "n_heads": 2},
    )
    prepare.prepare(request, Telemetry())
    request = replace(request, output=str(experiment / "trials" / "00000"))
    train.train(request, Telemetry(), Stop())
    return replace(request, stage=Stage.TEST)


def measured(values: dict[str, Any]) -> dict[str, float]:
    """Return what is the same in each evaluation.

    The official best_* of a model that had better answer nothing is at no threshold that it names.
    """
    return {
        n: v for n, v in values.items() if n not in ("inference_seconds", "best_exact", "best_f1")
    }


def run(request: requests.Request) -> Report:
    """Test a model; return what an operator reads of it."""
    told = Telemetry()
    code, message = stages.run(request, told, Stop())
    assert code is Exit.OK, message
    report = exposition.parse(told.exposition(), "x")
    assert report is not None
    return report


def test_on_the_validation_questions_a_test_measures_what_the_training_did(
    trained: requests.Request,
) -> None:
    report = run(trained)
    record = json.loads((Path(trained.output) / history.NAME).read_text())
    assert measured(dict(report.test)) == measured(record["evaluations"][-1]["metrics"])
    teacher = prepare.open_prepared(trained).teacher_metrics
    assert measured(dict(report.teacher_test)) == measured(dict(teacher))
    assert not report.metrics
    assert not report.final
    assert set(report.test) == set(metrics.EVALUATIONS)


def test_a_model_and_the_teacher_are_evaluated_once(
    trained: requests.Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(trained)
    calls: list[str] = []
    measure = evaluate.measure

    def counted(*args: Any) -> Any:
        calls.append("measured")
        return measure(*args)

    monkeypatch.setattr(evaluate, "measure", counted)
    again = run(replace(trained, attempt=2))
    assert (again.test, again.teacher_test) == (first.test, first.teacher_test)
    assert not calls
    (Path(trained.output) / held_out.NAME).unlink()
    run(trained)
    assert len(calls) == 1  # the teacher's stays


def test_the_thresholds_are_those_of_the_validation_set(trained: requests.Request) -> None:
    prepared = prepare.open_prepared(trained).on_test()
    report = run(trained)
    record = json.loads((Path(trained.output) / history.NAME).read_text())
    before = dict(record["evaluations"][-1]["metrics"])
    before["best_exact_thresh"] = -1e6  # nothing is answered
    model = model_folder.load(Path(trained.output) / "model")
    found = held_out._measured(model, prepared, trained, before)
    silent = 100 * sum(not q.answers for q in prepared.questions) / len(prepared.questions)
    assert found["best_exact"] == pytest.approx(silent)
    assert found["best_exact_thresh"] == -1e6
    assert found["exact"] == report.test["exact"]


def test_what_is_not_trained_to_its_end_is_not_tested(
    trained: requests.Request, tmp_path: Path
) -> None:
    other = replace(trained, output=str(Path(trained.output).with_name("00001")))
    code, message = stages.run(other, Telemetry(), Stop())
    assert (code, "must be trained to its end" in message) == (Exit.BAD_REQUEST, True)
    foreign = replace(trained, parameters={**trained.parameters, "seed": 5})
    code, message = stages.run(foreign, Telemetry(), Stop())
    assert (code, "must hold the same request only" in message) == (Exit.BAD_REQUEST, True)


def test_data_that_were_prepared_without_test_questions_have_none(
    trained: requests.Request, tmp_path: Path
) -> None:
    without = replace(prepare.open_prepared(trained), folder=tmp_path)
    with pytest.raises(PreparedMissing, match=r"must have prepared test questions"):
        without.on_test()
