"""The stage ``test``: a trained student on questions that no decision has read, once.

``stages`` calls it. ``test.json`` in the trial's folder has the result, from which the same request
is answered again. The teacher's evaluation lies in the experiment's folder: whichever test is first
makes it, and the others wait for it.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from torch import nn

from distillery_contract.request import Request, RequestError, Stage
from distillery_trainer import atomic, devices, hyperparameters, sealed
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.evaluation import evaluate, squad
from distillery_trainer.preparation import pinned, prepare
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.students import model_folder, sources
from distillery_trainer.training import history

log = logging.getLogger(__name__)

NAME: Final = "test.json"

TEACHER: Final = "teacher-on-test"
"""Folder of the teacher's evaluation, in that of the experiment."""


def test(request: Request, telemetry: Telemetry) -> None:
    """Evaluate the model of a trial on the test questions, and expose the result.

    Raises:
        MismatchError: the trial's folder is of another request.
        PreparedMissing: windows, questions or the teacher's copy are not there.
        RequestError: the trial was not trained to its end, or its model is gone.
    """
    trained = replace(request, stage=Stage.TRAIN)
    place, model = Path(request.output) / NAME, Path(request.output) / "model"
    record = history.finished(trained)
    if record is None or not model.is_dir():
        rule = "a trial must be trained to its end, and have its model, before it is tested"
        raise RequestError([f"{rule}, but {request.output} has no such model"])
    prepared = prepare.open_prepared(request).on_test()
    whose = f"{history.identity(trained)} {prepared.key}"
    found = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    if found.get("request") == whose:
        log.info("this trial is tested: reporting its record")
    else:
        # Before it the teacher's, so that what ends in between is not evaluated twice.
        teacher = _teacher(request, prepared)
        student = model_folder.load(model)
        before = record["evaluations"][-1]["metrics"]
        found = {
            "request": whose,
            "metrics": _measured(student, prepared, request, before),
            "teacher": teacher,
        }
        atomic.file(place, json.dumps(found, indent=1) + "\n")
    told = ", ".join(f"{name} {value:.5g}" for name, value in found["metrics"].items())
    log.info("on the test questions: %s", told)
    telemetry.tested(found["metrics"], found["teacher"])


def _teacher(request: Request, prepared: Prepared) -> dict[str, float]:
    """Return the teacher's evaluation, made once for all trials; empty without a teacher."""
    folder = pinned.results(request)
    if request.teacher is None or folder is None:
        return {}
    pins = pinned.of_trial(request)

    def fill(_: Path) -> dict[str, Any]:
        model = sources.load(str(pins.folders(request.cache)["teacher"]))
        metrics = _measured(model, prepared, request, prepared.teacher_metrics)
        return {"prepared": prepared.key, "metrics": metrics}

    told = sealed.make(folder / TEACHER, fill)
    return dict(told["metrics"])


def _measured(
    model: nn.Module, prepared: Prepared, request: Request, before: Mapping[str, float]
) -> dict[str, float]:
    """Return a model's metrics; ``best_*`` at the thresholds that suited the validation set.

    A threshold that is chosen on the test questions would be a decision that has read them.
    """
    device = devices.choose()
    batch_size = hyperparameters.resolve(request).per_device_eval_batch_size
    answers, metrics = evaluate.measure(model.to(device), prepared, batch_size, device)
    for name in ("exact", "f1"):
        best, threshold = f"best_{name}", f"best_{name}_thresh"
        metrics.pop(best, None)
        metrics.pop(threshold, None)
        if threshold in before:
            chosen = before[threshold]
            metrics[best] = squad.metrics(prepared.questions, answers, chosen)[name]
            metrics[threshold] = chosen
    return metrics
