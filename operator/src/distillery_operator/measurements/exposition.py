"""PURE: samples of the contract's metrics as a report; only reader of the exposition format.

Called by all who read one. A truncated text is no exposition.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import isfinite
from typing import Final

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.samples import Sample

from distillery_contract import metrics
from distillery_contract.size import Architecture
from distillery_operator.trials.attempt import Report
from distillery_operator.trials.provenance import Trainer

TERMINATION_MESSAGE: Final = "TerminationMessage"
SCRAPE: Final = "Scrape"
PROMETHEUS: Final = "Prometheus"

_SUFFIXES: Final = {"info": "_info", "counter": "_total"}
FAMILIES: Final = {f.name + _SUFFIXES.get(f.kind, ""): f for f in metrics.FAMILIES}
"""The contract's families by the names of their samples."""


def parse(text: str, source: str) -> Report | None:
    """Return the report that an exposition describes; None if the text is no whole exposition."""
    try:
        read = openmetrics.text_string_to_metric_families
        families = list(read(text))  # type: ignore[no-untyped-call]
    except ValueError:
        return None
    return report((sample for family in families for sample in family.samples), source)


def report(samples: Iterable[Sample], source: str) -> Report:
    """Read the contract's samples; of others, and of values under unknown names, nothing stays."""
    reading = _Reading(samples)
    outcome = reading.info(metrics.OUTCOME)
    return Report(
        source=source,
        final=reading.one(metrics.FINAL) == 1.0,
        reason=outcome.get("reason", ""),
        message=outcome.get("message", ""),
        step=_integer(reading.one(metrics.STEP)),
        steps=_integer(reading.one(metrics.STEPS)),
        metric_step=_integer(reading.one(metrics.METRIC_STEP)),
        metrics=_evaluation(reading.by(metrics.METRIC)),
        losses=reading.by(metrics.LOSS),
        teacher=_evaluation(reading.by(metrics.TEACHER_METRIC)),
        test=_evaluation(reading.by(metrics.TEST_METRIC)),
        teacher_test=_evaluation(reading.by(metrics.TEACHER_TEST_METRIC)),
        sources=reading.architectures(),
        key=reading.info(metrics.PREPARED).get("key"),
        windows=reading.by(metrics.DATA_FEATURES),
        trainer=_trainer(reading.info(metrics.TRAINER)),
    )


def is_result(report: Report) -> bool:
    """Tell whether a report was made once the result stood."""
    return report.final or report.key is not None or bool(report.test)


def reached(report: Report) -> tuple[bool, int, int]:
    """Order reports of one attempt by how far it was."""
    unknown = -1
    step = unknown if report.step is None else report.step
    evaluated = unknown if report.metric_step is None else report.metric_step
    return is_result(report), evaluated, step


class _Reading:
    """Samples by the contract's families."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples: dict[metrics.Family, list[Sample]] = {}
        for sample in samples:
            family = FAMILIES.get(sample.name)
            if family and sample.labels.keys() >= {*family.labels}:
                self._samples.setdefault(family, []).append(sample)

    def one(self, family: metrics.Family) -> float | None:
        samples = self._samples.get(family, [])
        return samples[0].value if samples else None

    def by(self, family: metrics.Family) -> dict[str, float]:
        """Return the values by the family's only label."""
        (label,) = family.labels
        return {s.labels[label]: s.value for s in self._samples.get(family, [])}

    def info(self, family: metrics.Family) -> Mapping[str, str]:
        samples = self._samples.get(family, [])
        return samples[0].labels if samples else {}

    def architectures(self) -> dict[str, Architecture]:
        """Return the models whose dimensions are all there and describe one."""
        dimensions: dict[str, dict[str, float]] = {}
        for sample in self._samples.get(metrics.ARCHITECTURE, []):
            of_source = dimensions.setdefault(sample.labels["source"], {})
            of_source[sample.labels["dimension"]] = sample.value
        found = {}
        for source, numbers in dimensions.items():
            if all(n >= 1 for name, n in numbers.items() if name != "type_vocab_size"):
                with suppress(KeyError, TypeError, ValueError, OverflowError):
                    found[source] = Architecture.of_dimensions(numbers)
        return found


def _evaluation(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name in metrics.EVALUATIONS}


def _trainer(said: Mapping[str, str]) -> Trainer:
    return Trainer(**{label: said[label] for label in metrics.TRAINER.labels if label in said})


def _integer(value: float | None) -> int | None:
    return int(value) if value is not None and isfinite(value) else None
