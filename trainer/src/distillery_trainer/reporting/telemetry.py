"""What a trainer tells the world: ``/metrics`` while it runs, an exposition that outlives it.

One collector over one private registry holds the latest value of every family of
:mod:`distillery_contract.metrics`; a family is exposed only once it has a value, so that no scrape
ever sees a 0.0 that nobody measured. ``__main__`` owns the instance; ``prepare`` and ``train`` set
values; the server's threads read them.
"""

import logging
import os
import resource
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import prometheus_client
from prometheus_client import core, registry
from prometheus_client.openmetrics import exposition

from distillery_contract import metrics, size, wire

log = logging.getLogger(__name__)

Values = Mapping[metrics.Family, Mapping[tuple[str, ...], float]]
"""Samples by family and label values."""

_WIDEST: Final = -1.2345678901234567e-300
"""No float is written with more characters."""

_LEAST_MESSAGE: Final = 256
"""Characters that a message may take even beside every metric at its widest."""


class Telemetry(registry.Collector):
    """The latest values, by family and labels. All methods may be called from any thread.

    Args:
        message: path of the termination message; without it none is left.
    """

    def __init__(self, message: str | os.PathLike[str] | None = None) -> None:
        self._message = message
        self.registry = prometheus_client.CollectorRegistry()
        self.registry.register(self)
        self._lock = threading.Lock()
        self._values: dict[metrics.Family, dict[tuple[str, ...], float]] = {}

    def evaluation(self, values: Mapping[str, float], step: int) -> None:
        """Set the student's metrics, named as in ``EVALUATIONS``, all of one evaluation at once."""
        _known(values)
        with self._lock:
            self._values[metrics.METRIC] = {(name,): value for name, value in values.items()}
            self._values[metrics.METRIC_STEP] = {(): step}

    def teacher(self, values: Mapping[str, float]) -> None:
        """Set the teacher's metrics, named as in ``EVALUATIONS``."""
        _known(values)
        self._replace(metrics.TEACHER_METRIC, {(name,): value for name, value in values.items()})

    def final(self) -> None:
        """Say that the training has ended and its last evaluation stands."""
        self._replace(metrics.FINAL, {(): 1})

    def progress(self, step: int, steps: int) -> None:
        """Set the steps of the optimiser, done and planned."""
        with self._lock:
            self._values[metrics.STEP] = {(): step}
            self._values[metrics.STEPS] = {(): steps}
            self._values[metrics.PROGRESS] = {(): step / steps}

    def losses(self, parts: Mapping[str, float]) -> None:
        """Set the mean losses since the last report by part: total, hard, soft, relation."""
        self._replace(metrics.LOSS, {(part,): value for part, value in parts.items()})

    def learning_rate(self, value: float) -> None:
        """Set the learning rate of the last step."""
        self._replace(metrics.LEARNING_RATE, {(): value})

    def seen(self, examples: int, tokens: int, examples_per_second: float) -> None:
        """Set what was seen since the trial began, and the speed since the last report."""
        with self._lock:
            self._values[metrics.EXAMPLES] = {(): examples}
            self._values[metrics.TOKENS] = {(): tokens}
            self._values[metrics.SPEED] = {(): examples_per_second}

    def memory(self, device: int | None = None) -> None:
        """Set the peak memory in bytes: of the process, and of its accelerator if any."""
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peaks: dict[tuple[str, ...], float] = {("resident",): kilobytes * 1024}
        self._replace(metrics.MEMORY, peaks if device is None else {**peaks, ("device",): device})

    def checkpoint(self, step: int) -> None:
        """Set the step of the newest checkpoint."""
        self._replace(metrics.CHECKPOINT_STEP, {(): step})

    def training_seconds(self, value: float) -> None:
        """Set the wall time of all attempts so far."""
        self._replace(metrics.TRAINING_SECONDS, {(): value})

    def questions(self, split: str, answerable: int, unanswerable: int) -> None:
        """Set how many questions a split has."""
        with self._lock:
            counts = self._values.setdefault(metrics.DATA_QUESTIONS, {})
            counts[split, "true"], counts[split, "false"] = answerable, unanswerable

    def features(self, split: str, count: int) -> None:
        """Set how many windows a split has."""
        with self._lock:
            self._values.setdefault(metrics.DATA_FEATURES, {})[(split,)] = count

    def prepared(self, key: str) -> None:
        """Set the key of the prepared features and teacher logits."""
        self._replace(metrics.PREPARED, {(key,): 1})

    def architecture(self, source: str, architecture: size.Architecture) -> None:
        """Set the dimensions of a source model: ``teacher`` or ``student``."""
        with self._lock:
            dimensions = self._values.setdefault(metrics.ARCHITECTURE, {})
            for name, value in architecture.dimensions().items():
                dimensions[source, name] = value

    def outcome(self, reason: wire.Reason, message: str) -> None:
        """Set how the process ended, in one word and one sentence."""
        self._replace(metrics.OUTCOME, {(reason.value, message): 1})

    def collect(self) -> Iterable[core.Metric]:
        """Yield every family that has a value (called by the registry)."""
        return _families(self._snapshot())

    def exposition(self, limit: int = wire.TERMINATION_MESSAGE_LIMIT) -> str:
        """Return the final exposition: OpenMetrics text of the families with ``final``.

        To fit into ``limit`` bytes the outcome's message is shortened, and nothing else.

        Raises:
            ValueError: the values alone exceed the limit.
        """
        values = {family: v for family, v in self._snapshot().items() if family.final}
        text = _text(values)
        while (excess := len(text.encode()) - limit) > 0:
            ((reason, message),) = values.get(metrics.OUTCOME, {("", ""): 1})
            if not message:
                raise ValueError(
                    f"the final exposition must fit into {limit} bytes, but takes {limit + excess}"
                )
            # Three more characters than needed make room for the mark of what is missing.
            kept = message[: max(0, len(message) - excess - 3)]
            values[metrics.OUTCOME] = {(reason, f"{kept}…" if kept else ""): 1}
            text = _text(values)
        return text

    def leave(self) -> None:
        """Write the exposition to the termination message: the last that is known, come what may.

        In place, for Kubernetes mounts that one file and a rename would miss it. What cannot be
        written is worth a warning and no training.

        Raises:
            ValueError: the values exceed the limit, which :func:`check_limit` rules out.
        """
        if self._message is None:
            return
        text = self.exposition().encode()
        try:
            # Over the old text, which is cut only then: who is killed for want of memory while it
            # asks for another page must not leave an empty file.
            with open(os.open(self._message, os.O_WRONLY | os.O_CREAT, 0o666), "wb", 0) as file:
                file.write(text)
                file.truncate()
        except OSError as error:
            log.warning("the termination message could not be written: %s", error)

    def _snapshot(self) -> dict[metrics.Family, dict[tuple[str, ...], float]]:
        with self._lock:
            return {family: dict(samples) for family, samples in self._values.items()}

    def _replace(self, family: metrics.Family, samples: Mapping[tuple[str, ...], float]) -> None:
        with self._lock:
            self._values[family] = dict(samples)


class Server:
    """Serves ``/metrics`` from a thread until closed."""

    def __init__(self, telemetry: Telemetry, port: int, port_file: str | None = None) -> None:
        self._server, self._thread = prometheus_client.start_http_server(
            port, registry=telemetry.registry
        )
        self.port = int(self._server.server_address[1])
        if port_file:
            # Renamed into place, so that whoever waits for the file never reads half a number.
            partial = Path(f"{port_file}.partial")
            partial.write_text(str(self.port))
            partial.replace(port_file)
        log.info("serving /metrics on port %d", self.port)

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def check_limit() -> None:
    """Check, before anything is trained, that every final exposition fits its limit.

    Raises:
        ValueError: all values of a stage, at their widest, leave no room for a message.
    """
    for stage in (_widest_train(), _widest_prepare()):
        stage.outcome(wire.Reason.OUT_OF_MEMORY, "")
        stage.exposition(wire.TERMINATION_MESSAGE_LIMIT - _LEAST_MESSAGE)


def _widest_train() -> Telemetry:
    telemetry = Telemetry()
    telemetry.teacher(dict.fromkeys(metrics.EVALUATIONS, _WIDEST))
    telemetry.evaluation(dict.fromkeys(metrics.EVALUATIONS, _WIDEST), 10**9 - 1)
    telemetry.progress(10**9 - 1, 10**9)
    telemetry.losses(dict.fromkeys(("total", "hard", "soft", "relation"), _WIDEST))
    telemetry.seen(10**12, 10**15, _WIDEST)
    telemetry.memory(10**15 - 1)
    telemetry.training_seconds(_WIDEST)
    telemetry.final()
    return telemetry


def _widest_prepare() -> Telemetry:
    telemetry = Telemetry()
    telemetry.teacher(dict.fromkeys(metrics.EVALUATIONS, _WIDEST))
    telemetry.memory(10**15 - 1)
    telemetry.prepared("f" * 64)
    for split in ("train", "validation"):
        telemetry.questions(split, 10**9, 10**9)
        telemetry.features(split, 10**9)
    for source in ("teacher", "student"):
        telemetry.architecture(source, size.Architecture(size.Family.BERT, *[10**9] * 7))
    return telemetry


def _known(values: Mapping[str, float]) -> None:
    if unknown := values.keys() - metrics.EVALUATIONS.keys():
        raise ValueError(
            f"metrics must be named in the contract, but got {', '.join(sorted(unknown))}"
        )


def _families(values: Values) -> list[core.Metric]:
    return [_metric(family, values[family]) for family in metrics.FAMILIES if family in values]


def _metric(family: metrics.Family, samples: Mapping[tuple[str, ...], float]) -> core.Metric:
    if family.kind == "info":
        info = core.InfoMetricFamily(family.name, family.help)
        for labels in samples:
            info.add_metric([], dict(zip(family.labels, labels, strict=True)))
        return info
    kind = core.CounterMetricFamily if family.kind == "counter" else core.GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in samples.items():
        metric.add_metric(labels, value)
    return metric


class _Fixed(registry.Collector):
    """A collector of values that no longer change."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def collect(self) -> Iterable[core.Metric]:
        return _families(self._values)


def _text(values: Values) -> str:
    """Render OpenMetrics text, without its HELP lines: optional, and a third of the limit."""
    once = prometheus_client.CollectorRegistry()
    once.register(_Fixed(values))
    # prometheus_client ships this one function without annotations.
    text: str = exposition.generate_latest(once).decode()  # type: ignore[no-untyped-call]
    return "".join(line for line in text.splitlines(True) if not line.startswith("# HELP "))
