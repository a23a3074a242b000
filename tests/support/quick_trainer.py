"""A second trainer that speaks the contract: it descends a quadratic, in milliseconds a step.

The tests of the runner and the command use it to see hundreds of attempts; that the contract is all
they need is part of what they show. Its numbers follow from the hyperparameters: a learning rate
above 0.5 diverges, a dropout above 0.5 collapses, more layers fit better, and the seed 42 is the
luckiest. Each step that it does is a line in the trial's ``ledger``.
``QUICK_TRAINER_LINGER_SECONDS`` lets it serve its last metrics for so long, or until SIGTERM, so
that a Prometheus server sees them. With ``--fork-server`` it is its own fork server.
"""

import json
import os
import resource
import shutil
import signal
import sys
import time
from math import exp, isfinite
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, start_http_server
from prometheus_client.openmetrics import exposition

from distillery_contract import forks, metrics, size, wire
from distillery_contract.request import Request, Stage

SOURCES = {"teacher": size.Architecture(size.Family.BERT, 1000, 128, 96, 384, 6, 6, 2)}
STEPS = 20
FINAL = [f"{f.name}_info" if f.kind == "info" else f.name for f in metrics.FAMILIES if f.final]
"""Names of the series that the final exposition may have, which has little room."""


class Shown:
    """The registry, filled by the contract's families."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._known: dict[str, Gauge] = {}
        self._counted: dict[str, Counter] = {}

    def set(self, family: metrics.Family, value: float, **labels: str) -> None:
        if family.name not in self._known:
            self._known[family.name] = Gauge(
                family.name, family.help, list(labels), registry=self.registry
            )
        gauge = self._known[family.name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def count(self, family: metrics.Family, more: float) -> None:
        if family.name not in self._counted:
            self._counted[family.name] = Counter(family.name, family.help, registry=self.registry)
        self._counted[family.name].inc(more)

    def leave(self) -> None:
        kept = self.registry.restricted_registry(FINAL)
        text = exposition.generate_latest(kept)  # type: ignore[no-untyped-call]
        path = os.environ.get(wire.TERMINATION_MESSAGE, wire.DEFAULT_TERMINATION_MESSAGE)
        Path(path).write_bytes(text)

    def introduce(self) -> None:
        """Say what it is; ``QUICK_TRAINER_VERSION`` lets it be another release."""
        info = Info(metrics.TRAINER.name, metrics.TRAINER.help, registry=self.registry)
        version = os.environ.get("QUICK_TRAINER_VERSION", "1.0")
        info.info({"version": version, "torch": "0", "transformers": "0", "device": "cpu"})

    def end(self, code: wire.Exit, message: str) -> int:
        info = Info(metrics.OUTCOME.name, metrics.OUTCOME.help, registry=self.registry)
        info.info({"reason": str(wire.REASON_OF_EXIT[code]), "message": message})
        self.leave()
        return int(code)


def main() -> int:
    request, shown, stop = Request.from_json(os.environ[wire.REQUEST]), Shown(), []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    port = int(os.environ.get(wire.METRICS_PORT, wire.DEFAULT_METRICS_PORT))
    server, _ = start_http_server(port, registry=shown.registry)
    if wire.METRICS_PORT_FILE in os.environ:
        Path(os.environ[wire.METRICS_PORT_FILE]).write_text(str(server.server_address[1]))
    if request.stage is Stage.COLLECT:
        return collect(request, shown)
    shown.introduce()
    if request.stage is Stage.TEST:
        return test(request, shown)
    trains = request.stage is Stage.TRAIN
    code = train(request, shown, stop) if trains else prepare(request, shown)
    lingering = time.monotonic() + float(os.environ.get("QUICK_TRAINER_LINGER_SECONDS", "0"))
    while time.monotonic() < lingering and not stop:
        time.sleep(0.02)
    return code


def collect(request: Request, shown: Shown) -> int:
    there = [folder for folder in request.remove if Path(folder).exists()]
    for folder in there:
        shutil.rmtree(folder)
    return shown.end(wire.Exit.OK, f"{len(there)} of {len(request.remove)} folders were there")


def prepare(request: Request, shown: Shown) -> int:
    for source, architecture in SOURCES.items():
        for dimension, number in architecture.dimensions().items():
            shown.set(metrics.ARCHITECTURE, number, source=source, dimension=dimension)
    if request.stage is Stage.PREPARE:
        if not Path(request.data.train or "").exists():
            return shown.end(wire.Exit.BAD_DATA, f"there is no file {request.data.train}")
        for name, value in {"exact": 90.0, "HasAns_exact": 88.0, "NoAns_exact": 92.0}.items():
            shown.set(metrics.TEACHER_METRIC, value, metric=name)
        prepared = Info(metrics.PREPARED.name, metrics.PREPARED.help, registry=shown.registry)
        prepared.info({"key": "quadratic"})
    return shown.end(wire.Exit.OK, "prepared")


def train(request: Request, shown: Shown, stop: list[bool]) -> int:
    output, parameters = Path(request.output), request.parameters
    output.mkdir(parents=True, exist_ok=True)
    rate = float(parameters.get("learning_rate", 0.2))
    layers = int(parameters.get("n_layers", 6))
    checkpoint = output / "checkpoint.json"
    step, distance = 0, 10.0
    if not checkpoint.exists() and request.continues:
        shutil.copy(Path(request.continues) / checkpoint.name, checkpoint)
    if checkpoint.exists():
        step, distance = json.loads(checkpoint.read_text())
    shown.set(metrics.STEPS, STEPS)
    begun = time.monotonic()
    while step < STEPS:
        if stop:
            return shown.end(wire.Exit.INTERRUPTED, f"stopped at step {step}")
        distance -= 4 * rate * distance
        if not isfinite(distance) or abs(distance) > 1e3:
            return shown.end(wire.Exit.DIVERGED, f"the loss is beyond 1000 at step {step}")
        with (output / "ledger").open("a") as ledger:
            ledger.write(f"{request.attempt} {os.getpid()} {step}\n")
        step += 1
        part = checkpoint.with_suffix(".part")
        part.write_text(json.dumps([step, distance]))
        part.replace(checkpoint)
        evaluate(request, shown, step, distance, layers)
        time.sleep(float(os.environ.get("QUICK_TRAINER_STEP_SECONDS", "0.01")))
        account(shown, step, time.monotonic() - begun)
    evaluate(request, shown, step, distance, layers)  # an attempt may find all steps done
    (output / "model").mkdir(exist_ok=True)
    shown.set(metrics.FINAL, 1)
    return shown.end(wire.Exit.OK, "trained to the end")


def test(request: Request, shown: Shown) -> int:
    """Evaluate the model on the test questions: a little below the validation set's values."""
    output = Path(request.output)
    if not (output / "model").exists():
        return shown.end(wire.Exit.BAD_REQUEST, "there is no model to test")
    with (output / "tests").open("a") as tests:
        tests.write(f"{request.attempt}\n")
    if Path("tests-fail").exists():
        return shown.end(wire.Exit.BAD_REQUEST, "this trainer fails all tests")
    _, distance = json.loads((output / "checkpoint.json").read_text())
    found = measured(request, distance, int(request.parameters.get("n_layers", 6)))
    for name, value in found.items():
        shown.set(metrics.TEST_METRIC, value - (name == "exact"), metric=name)
    shown.set(metrics.TEACHER_TEST_METRIC, 89.0, metric="exact")
    return shown.end(wire.Exit.OK, "tested")


def account(shown: Shown, step: int, seconds: float) -> None:
    """Tell what this process has done: a step takes 16 examples of 10 tokens."""
    shown.count(metrics.EXAMPLES, 16)
    shown.count(metrics.TOKENS, 160)
    shown.set(metrics.SPEED, 16 * step / max(seconds, 1e-6))
    shown.set(metrics.TRAINING_SECONDS, seconds)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shown.set(metrics.MEMORY, 1024 * kilobytes, kind="resident")


def measured(request: Request, distance: float, layers: int) -> dict[str, float]:
    collapsed = float(request.parameters.get("dropout", 0.1)) > 0.5
    fit = 0.0 if collapsed else exp(-abs(distance)) * (0.5 + layers / 12)
    luck = (int(request.parameters.get("seed", 42)) - 42) % 5
    found = {"HasAns_exact": 90 * fit - luck, "NoAns_exact": 100 - 10 * fit - luck}
    found["exact"] = sum(found.values()) / 2
    found["parameter_count"] = float(size.student_size(SOURCES, request.parameters))
    return found


def evaluate(request: Request, shown: Shown, step: int, distance: float, layers: int) -> None:
    for name, value in measured(request, distance, layers).items():
        shown.set(metrics.METRIC, value, metric=name)
    shown.set(metrics.LOSS, distance**2, part="total")
    shown.set(metrics.METRIC_STEP, step)
    shown.set(metrics.STEP, step)
    shown.set(metrics.PROGRESS, step / STEPS)
    shown.set(metrics.CHECKPOINT_STEP, step)
    shown.set(metrics.LEARNING_RATE, float(request.parameters.get("learning_rate", 0.2)))
    shown.leave()


if __name__ == "__main__":
    trains = sys.argv[1:] != ["--fork-server"] or forks.serve()
    sys.exit(main() if trains else 0)
