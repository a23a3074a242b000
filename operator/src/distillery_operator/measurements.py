"""EDGE: what attempts expose, read and parsed. Only importer of aiohttp and prometheus_client.

One registry in the trainer, one text format, one parser here, three transports. The final
exposition in the termination message counts before a scrape; a truncated text is no exposition.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Final

import aiohttp
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics

from distillery_contract import metrics
from distillery_contract.size import Architecture
from distillery_operator.trials import Attempt, Report

TERMINATION_MESSAGE: Final = "TerminationMessage"
SCRAPE: Final = "Scrape"

SCRAPE_TIMEOUT_SECONDS: Final = 2.0
SCRAPE_LIMIT: Final = 1_000_000
"""Bytes of an exposition that are read; a trainer's has about 4,000."""


class Measurements:
    """Reads what attempts expose, by the first transport that has something."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def read(self, attempt: Attempt) -> Report | None:
        """Return what an attempt exposes, or exposed at its end; None if it tells nothing (yet)."""
        if attempt.termination_message:
            report = parse(attempt.termination_message, TERMINATION_MESSAGE)
            if report is not None:
                return report
        if attempt.live and attempt.metrics_url:
            text = await self._scrape(attempt.metrics_url)
            return parse(text, SCRAPE) if text else None
        return None

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def _scrape(self, url: str) -> str | None:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=SCRAPE_TIMEOUT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout)
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        try:
            async with self._session.get(url, headers=accept) as response:
                if response.status != 200:
                    return None
                body = await response.content.read(SCRAPE_LIMIT)
                while chunk := await response.content.read(SCRAPE_LIMIT - len(body)):
                    body += chunk
                return body.decode()
        except (TimeoutError, aiohttp.ClientError, OSError, UnicodeDecodeError):
            return None  # the process starts or ends: the next pass asks again


def parse(text: str, source: str) -> Report | None:
    """Return the report that an exposition describes; None if the text is no whole exposition."""
    try:
        read = openmetrics.text_string_to_metric_families
        families = list(read(text))  # type: ignore[no-untyped-call]
    except ValueError:
        return None
    reading = _Reading(families)
    outcome = reading.info(metrics.OUTCOME)
    return Report(
        source=source,
        final=reading.one(metrics.FINAL) == 1.0,
        reason=outcome.get("reason", ""),
        message=outcome.get("message", ""),
        step=_integer(reading.one(metrics.STEP)),
        steps=_integer(reading.one(metrics.STEPS)),
        metric_step=_integer(reading.one(metrics.METRIC_STEP)),
        metrics=reading.by(metrics.METRIC),
        losses=reading.by(metrics.LOSS),
        speed=reading.one(metrics.SPEED),
        teacher=reading.by(metrics.TEACHER_METRIC),
        sources=reading.architectures(),
        key=reading.info(metrics.PREPARED).get("key"),
    )


class _Reading:
    """Samples of an exposition by the contract's families."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._samples = {family.name: family.samples for family in families}

    def one(self, family: metrics.Family) -> float | None:
        samples = self._samples.get(family.name, [])
        return samples[0].value if samples else None

    def by(self, family: metrics.Family) -> dict[str, float]:
        """Return the values by the family's only label."""
        (label,) = family.labels
        return {s.labels[label]: s.value for s in self._samples.get(family.name, [])}

    def info(self, family: metrics.Family) -> Mapping[str, str]:
        samples = self._samples.get(family.name, [])
        return samples[0].labels if samples else {}

    def architectures(self) -> dict[str, Architecture]:
        dimensions: dict[str, dict[str, float]] = {}
        for sample in self._samples.get(metrics.ARCHITECTURE.name, []):
            source = dimensions.setdefault(sample.labels["source"], {})
            source[sample.labels["dimension"]] = sample.value
        return {source: Architecture.of_dimensions(d) for source, d in dimensions.items()}


def _integer(value: float | None) -> int | None:
    return int(value) if value is not None and isfinite(value) else None
