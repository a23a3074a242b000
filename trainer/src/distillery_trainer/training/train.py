"""The stage ``train``: one student, from its first weights to a saved model. ``stages`` calls it.

Read it from top to bottom. :func:`train` makes the parts, and goes through the schedule from one
evaluation to the next; ``_Run.advance`` takes the steps in between, each a call of
:mod:`distillery_trainer.training.step`. docs/trainer.md shows a step in one picture.

The teacher's model is loaded only where ``alpha_relation`` is above 0. With a 12-layer teacher a
6-layer student's step then takes 1.7 times as long (bench/trainer.py --relation).
"""

import json
import logging
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from distillery_contract.parameters import Hyperparameters
from distillery_contract.request import Request
from distillery_trainer import atomic, devices, hyperparameters
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.devices import Precision
from distillery_trainer.evaluation import evaluate
from distillery_trainer.evaluation.answers import Answers
from distillery_trainer.preparation import pinned, prepare
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.stop import Stop, StoppedError
from distillery_trainer.students import building, model_folder, sources
from distillery_trainer.students.families import Model
from distillery_trainer.training import checkpoint, history, schedule, trial_folder
from distillery_trainer.training import writer as writers
from distillery_trainer.training.checkpoint import Checkpoints, MismatchError, Progress, State
from distillery_trainer.training.history import Record
from distillery_trainer.training.schedule import Schedule
from distillery_trainer.training.step import Stepper
from distillery_trainer.training.writer import Writer

log = logging.getLogger(__name__)

REPORT_SECONDS: Final = 1.0
REPORT_STEPS: Final = 64
"""Losses are read from the device, and checked to be finite, once one of the two has passed."""


class DivergedError(Exception):
    """The loss or a weight became NaN or infinite."""


def train(request: Request, telemetry: Telemetry, stop: Stop) -> None:
    """Train the student of a request.

    It starts from its newest checkpoint, or else from that of the trial which it continues. The
    output folder then has ``model/``, ``predictions.json``, ``history.json``, and the newest
    checkpoint, from which a later request could go on. A trial that is finished already is reported
    again and not repeated. What another request has left in the folder is put aside.

    Raises:
        DivergedError: the loss or a weight became NaN or infinite.
        RequestError: the variable for the time between two checkpoints is no number.
        MismatchError: the trial that it continues is of another request.
        StoppedError: a signal came; a checkpoint was written.
    """
    hyper, interval = hyperparameters.resolve(request), checkpoint.seconds_between()
    if known := _finished(request):
        _report_again(known, telemetry)
        return
    prepared, pins = prepare.open_prepared(request), pinned.of_trial(request)
    copies = pinned.applied(request, pins.folders(request.cache))
    for sentence in pins.changes():
        telemetry.note(sentence)
    device = devices.choose()
    _seed(hyper.seed)
    student = building.student(copies, hyper, telemetry.note)
    nn.Module.to(student, device)
    stepper = Stepper(student, prepared, hyper, _teacher(copies, hyper, device))
    plan = schedule.plan(prepared.train.lengths(), hyper, request.rungs)
    checkpoints, progress = _resume(request, prepared, stepper, telemetry)
    if progress.step:  # the next thing may be an evaluation, before any step
        telemetry.progress(progress.step, plan.steps)
    log.info("training from step %d to %d on %s", progress.step, plan.steps, device)

    output = Path(request.output)
    output.mkdir(parents=True, exist_ok=True)
    writer = Writer(checkpoints, telemetry.checkpoint, beside=writers.beside(device))
    run = _Run(
        stepper, prepared, prepared.interim(), hyper, plan, writer, progress, telemetry, interval
    )
    evaluated = {entry["step"] for entry in progress.history}
    # What lies behind a checkpoint cannot be measured any more: it may have had other rungs.
    ahead = [point for point in plan.evaluations if point >= progress.step]
    for target in (point for point in ahead if point not in evaluated):
        try:
            with stop.deferred():
                run.advance(target, stop)
            answers, metrics = run.measure()
            with stop.deferred():
                run.note(metrics)
                history.write(request, progress, plan.steps, finished=False)
                telemetry.leave()
        except StoppedError:
            with stop.deferred():
                run.save()
                writer.wait()
            raise
    run.save()
    writer.wait()

    model_folder.save(student, prepared.tokenizer, output / "model")
    given = answers.given(prepared.data.null_threshold)
    predictions = {q.id: text for q, text in zip(prepared.questions, given, strict=True)}
    atomic.file(output / "predictions.json", json.dumps(predictions, ensure_ascii=False))
    history.write(request, progress, plan.steps, finished=True)
    checkpoints.thin(1)
    telemetry.final()


@dataclass
class _Run:
    """A training on its way: its parts, how far it is, and what it has not reported yet."""

    stepper: Stepper
    prepared: Prepared
    interim: Prepared  # with the validation questions of evaluations before the end
    hyper: Hyperparameters
    plan: Schedule
    writer: Writer
    progress: Progress
    telemetry: Telemetry
    checkpoint_seconds: float
    _losses: list[Tensor] = field(default_factory=list)  # on the device, not yet read
    _examples: int = 0  # since the last report
    _reported: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)

    def advance(self, target: int, stop: Stop) -> None:
        """Train up to a step, or to the end of the step in which a signal comes.

        It saves from time to time.
        """
        progress, lengths = self.progress, self.prepared.train.lengths()
        while progress.step < target and not stop.requested:
            group = self.plan.group(progress.step)
            rate = self.plan.learning_rate(progress.step)
            self._losses.append(self.stepper.take(group, rate))
            progress.step += 1
            self._examples += sum(map(len, group))
            progress.tokens += sum(int(lengths[numbers].sum()) for numbers in group)
            now = time.monotonic()
            if len(self._losses) == REPORT_STEPS or now - self._reported >= REPORT_SECONDS:
                self._report()
            if now - self._saved >= self.checkpoint_seconds:
                self.save()
        if self._losses:
            self._report()

    def measure(self) -> tuple[Answers, dict[str, float]]:
        """Return the student's answers and metrics; a signal may end it.

        The last evaluation is the trial's result. It is on all validation questions, and in fp32,
        as plain transformers loads the model.
        """
        stepper, step, last = self.stepper, self.progress.step, self.plan.steps
        _check_weights(stepper.student, step)
        prepared, precision = (
            (self.prepared, Precision.FP32) if step == last else (self.interim, stepper.precision)
        )
        batch_size = self.hyper.per_device_eval_batch_size
        return evaluate.measure(stepper.student, prepared, batch_size, stepper.device, precision)

    def note(self, metrics: Mapping[str, float]) -> None:
        """Note and expose what was measured."""
        progress = self.progress
        self._tick()
        losses = {part: value / progress.summed for part, value in progress.losses.items()}
        progress.history.append(
            {
                "step": progress.step,
                "seconds": progress.seconds,
                "metrics": dict(metrics),
                "losses": losses,
            }
        )
        progress.losses, progress.summed = {}, 0
        self.telemetry.evaluation(metrics, progress.step)
        told = {**losses, **metrics}
        numbers = ", ".join(f"{name} {value:.5g}" for name, value in told.items())
        log.info("step %d of %d: %s", progress.step, self.plan.steps, numbers)

    def _report(self) -> None:
        """Read the losses from the device, check them, and expose where the training is."""
        progress, parts = self.progress, self.stepper.parts
        first = progress.step - len(self._losses) + 1
        rows = torch.stack(self._losses).tolist()
        for step, row in enumerate(rows, first):
            for part, value in zip(parts, row, strict=True):
                if not math.isfinite(value):
                    raise DivergedError(f"losses must be finite, but {part} is {value} at {step=}")
                # Added one by one: the sum is the same wherever reports or restarts cut it.
                progress.losses[part] = progress.losses.get(part, 0.0) + value
        progress.summed += len(rows)
        progress.examples += self._examples
        seconds = self._tick()
        means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        self.telemetry.losses(dict(zip(parts, means, strict=True)))
        self.telemetry.learning_rate(self.plan.learning_rate(progress.step - 1))
        self.telemetry.progress(progress.step, self.plan.steps)
        self.telemetry.seen(progress.examples, progress.tokens, self._examples / seconds)
        on_gpu = self.stepper.device.type == "cuda"
        self.telemetry.memory(torch.cuda.max_memory_allocated() if on_gpu else None)
        self._losses, self._examples = [], 0

    def _tick(self) -> float:
        """Count the wall time since the last call, and return it in seconds."""
        now = time.monotonic()
        seconds, self._reported = now - self._reported, now
        self.progress.seconds += seconds
        self.telemetry.training_seconds(self.progress.seconds)
        return seconds

    def save(self) -> None:
        """Have a checkpoint written."""
        if self._losses:
            self._report()
        stepper = self.stepper
        state = State.of(self.progress, stepper.student, stepper.optimizer, stepper.scaler)
        self.writer.save(state)
        self._saved = time.monotonic()


def _finished(request: Request) -> Record | None:
    """Return the record of the trial, if it is finished."""
    try:
        return history.finished(request)
    except MismatchError:
        trial_folder.put_aside(request)
        return None


def _resume(
    request: Request, prepared: Prepared, stepper: Stepper, telemetry: Telemetry
) -> tuple[Checkpoints, Progress]:
    """Set the stepper to the newest checkpoint; return the trial's checkpoints."""

    def of(trial: str) -> Checkpoints:
        return Checkpoints(
            Path(trial) / "checkpoints",
            f"{history.identity(request)} {prepared.key}",
            [f"{history.earlier_identity(request)} {prepared.key}"],
            _versions(stepper),
            telemetry.note,
        )

    own, parts = of(request.output), (stepper.student, stepper.optimizer, stepper.scaler)
    try:
        progress = own.restore(*parts)
    except MismatchError:
        trial_folder.put_aside(request)
        progress = None
    if progress is None and request.continues is not None:
        progress = of(request.continues).restore(*parts)
    return own, progress or Progress()


def _versions(stepper: Stepper) -> dict[str, str]:
    """Return the versions of all that a training's numbers hang on, and its precision."""
    return {
        "trainer": metadata.version("distillery-trainer"),
        "torch": str(torch.__version__),  # a system's package may have no metadata
        "transformers": transformers.__version__,
        "numpy": np.__version__,
        "precision": str(stepper.precision),
    }


def _check_weights(student: nn.Module, step: int) -> None:
    names, finite = zip(
        *((n, p.isfinite().all()) for n, p in student.named_parameters()), strict=True
    )
    bad = [n for n, ok in zip(names, torch.stack(finite).tolist(), strict=True) if not ok]
    if bad:
        raise DivergedError(f"weights must be finite, but {bad[0]} is not at {step=}")


def _teacher(request: Request, hyper: Hyperparameters, device: torch.device) -> Model | None:
    """Return the teacher's model if each step needs it."""
    if not hyper.alpha_relation:
        return None
    assert request.teacher is not None  # hyperparameters.resolve refuses relations without one
    teacher = sources.load(request.teacher.model, request.teacher.revision)
    return nn.Module.to(teacher, device)


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _report_again(known: Record, telemetry: Telemetry) -> None:
    log.info("this trial is finished: reporting its record")
    last = known["evaluations"][-1]
    telemetry.evaluation(last["metrics"], last["step"])
    telemetry.losses(last["losses"])
    telemetry.progress(last["step"], known["steps"])
    telemetry.training_seconds(known["seconds"])
    telemetry.final()
