"""The latest value of every metric of a trainer, to be scraped and to outlive the process.

A family of :mod:`distillery_contract.metrics` is exposed only once it has a value, so no scrape
ever sees a 0.0 that nobody measured. ``process`` owns the instance, ``prepare`` and ``train`` set
the values, the threads of the server read them.
"""

import logging
import os
import resource
import threading
from collections.abc import Iterable, Mapping

import prometheus_client
from prometheus_client import core, registry

from distillery_contract import metrics, size, wire
from distillery_trainer.reporting import exposition
from distillery_trainer.reporting.exposition import Samples

log = logging.getLogger(__name__)


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
        self._values: dict[metrics.Family, Samples] = {}
        self._notes: list[str] = []

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

    def tested(self, values: Mapping[str, float], teacher: Mapping[str, float]) -> None:
        """Set the evaluations on the test set: of the student, and of the teacher if any."""
        _known({**values, **teacher})
        with self._lock:
            for family, found in (
                (metrics.TEACHER_TEST_METRIC, teacher),
                (metrics.TEST_METRIC, values),
            ):
                self._values[family] = {(name,): value for name, value in found.items()}

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
        """Set the mean losses since the last report, named as in ``Loss``."""
        self._replace(metrics.LOSS, {(part,): value for part, value in parts.items()})

    def learning_rate(self, value: float) -> None:
        """Set the learning rate of the last step."""
        self._replace(metrics.LEARNING_RATE, {(): value})

    def seen(self, examples: int, tokens: int, examples_per_second: float) -> None:
        """Set what the trial has learnt from so far, and the speed since the last report."""
        with self._lock:
            self._values[metrics.EXAMPLES] = {(): examples}
            self._values[metrics.TOKENS] = {(): tokens}
            self._values[metrics.SPEED] = {(): examples_per_second}

    def memory(self, device: int | None = None) -> None:
        """Set the peak memory in bytes: of the process, and of its accelerator if any."""
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peaks: Samples = {("resident",): kilobytes * 1024}
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

    def windows(self, split: str, count: int) -> None:
        """Set how many windows a split has."""
        with self._lock:
            self._values.setdefault(metrics.DATA_FEATURES, {})[(split,)] = count

    def finding(self, split: str, kind: str, count: int) -> None:
        """Set how often something was found in a split that a person should know."""
        with self._lock:
            self._values.setdefault(metrics.DATA_FINDINGS, {})[split, kind] = count

    def prepared(self, key: str) -> None:
        """Set the key of the prepared features and teacher logits."""
        self._replace(metrics.PREPARED, {(key,): 1})

    def architecture(self, source: str, architecture: size.Architecture) -> None:
        """Set the dimensions of a source model: ``teacher`` or ``student``."""
        with self._lock:
            dimensions = self._values.setdefault(metrics.ARCHITECTURE, {})
            for name, value in architecture.dimensions().items():
                dimensions[source, name] = value

    def trainer(self, version: str, torch: str, transformers: str, device: str) -> None:
        """Set the releases of the trainer and of its libraries, and the device that it uses."""
        self._replace(metrics.TRAINER, {(version, torch, transformers, device): 1})

    def note(self, sentence: str) -> None:
        """Log what a person should know of the result, and say it with the outcome."""
        log.warning("%s", sentence)
        self._notes.append(sentence)

    def outcome(self, reason: wire.Reason, message: str) -> None:
        """Set how the process ended, in one word and one sentence, with all notes."""
        self._replace(metrics.OUTCOME, {(reason.value, "; ".join([message, *self._notes])): 1})

    def collect(self) -> Iterable[core.Metric]:
        """Yield every family that has a value (called by the registry)."""
        return exposition.families(exposition.scraped(self._snapshot()))

    def exposition(self, limit: int = wire.TERMINATION_MESSAGE_LIMIT) -> str:
        """Return the final exposition, see :func:`exposition.final`.

        Raises:
            ValueError: the values exceed the limit.
        """
        return exposition.final(self._snapshot(), limit)

    def leave(self) -> None:
        """Write the final exposition to the termination message.

        The file is written in place: Kubernetes mounts this one file, and a rename would miss it. A
        message that cannot be written ends no training; there is a warning in the log.

        Raises:
            ValueError: the values exceed the limit. A test shows that no stage has so many.
        """
        if self._message is None:
            return
        text = self.exposition().encode()
        try:
            # The new text is written over the old one, and the rest of the old one cut off at last.
            # So a process that is killed in between never leaves an empty file.
            with open(os.open(self._message, os.O_WRONLY | os.O_CREAT, 0o666), "wb", 0) as file:
                file.write(text)
                file.truncate()
        except OSError as error:
            log.warning("the termination message could not be written: %s", error)

    def _snapshot(self) -> dict[metrics.Family, Samples]:
        with self._lock:
            return {family: dict(samples) for family, samples in self._values.items()}

    def _replace(self, family: metrics.Family, samples: Samples) -> None:
        with self._lock:
            self._values[family] = samples


def _known(values: Mapping[str, float]) -> None:
    if unknown := values.keys() - metrics.EVALUATIONS.keys():
        raise ValueError(
            f"metrics must be named in the contract, but got {', '.join(sorted(unknown))}"
        )
