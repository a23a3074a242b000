"""What a Prometheus server scraped of a pod that is gone: its HTTP API, and its answers."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Final

import pydantic
from prometheus_client.samples import Sample

from distillery_contract import metrics
from distillery_operator.measurements import exposition
from distillery_operator.measurements.client import FAILURES, Client
from distillery_operator.trials.attempt import Report

log = logging.getLogger(__name__)

QUESTIONS: Final = 4
"""At the same time, over all experiments of a process."""

ANSWER_SECONDS: Final = 5.0
"""Time for the answers to the two questions about one pod."""

MARGIN_SECONDS: Final = 300.0
"""Around an attempt's life: how far clocks differ, and how late Prometheus may scrape."""

_RESULTS: Final = "|".join(
    name
    for name, family in exposition.FAMILIES.items()
    if family in (metrics.FINAL, metrics.PREPARED)
)
"""Samples that an attempt exposes once its result stands."""


class Prometheus:
    """A server that scrapes the trials."""

    def __init__(self, client: Client, url: str, failed: Callable[[], None]) -> None:
        """Ask a server.

        Args:
            client: to ask with.
            url: of the server; empty for none.
            failed: called whenever the server has no answer.
        """
        self._client, self._url, self._failed = client, url.rstrip("/"), failed
        self._questions = asyncio.Semaphore(QUESTIONS)

    async def recall(self, namespace: str, pod: str, started: float, ended: float) -> Report | None:
        """Return what the server scraped last from a pod; None if it knows nothing."""
        if not self._url:
            return None
        try:
            async with self._questions, asyncio.timeout(ANSWER_SECONDS):
                return await self._recall(namespace, pod, started, ended)
        except FAILURES as error:
            log.warning("Prometheus must tell of pod %s/%s, but: %r", namespace, pod, error)
            self._failed()
            return None

    async def _recall(
        self, namespace: str, pod: str, started: float, ended: float
    ) -> Report | None:
        """Find the last scrape that had a result, and read all of that one scrape.

        `last_over_time` of everything would take each series from a scrape of its own, and bring
        back a metric that the last one had no more.
        """
        where = f"namespace={json.dumps(namespace)},pod={json.dumps(pod)}"
        seconds = int(ended - started + 2 * MARGIN_SECONDS)
        results = f'{{__name__=~"{_RESULTS}",{where}}}[{seconds}s]'
        found = await self._query(results, ended + MARGIN_SECONDS)
        moment = max((time for series in found for time, _ in series.values), default=None)
        if moment is None:
            return None
        everything = f'{{__name__=~"{"|".join(exposition.FAMILIES)}",{where}}}'
        # Two jobs of a server may scrape one pod: their samples are not of the same scrape.
        targets: dict[frozenset[tuple[str, str]], list[Sample]] = {}
        for series in await self._query(everything, moment):
            targets.setdefault(series.target, []).append(series.sample)
        reports = [exposition.report(s, exposition.PROMETHEUS) for s in targets.values()]
        return max(reports, key=exposition.reached, default=None)

    async def _query(self, query: str, moment: float) -> list["_Series"]:
        url = f"{self._url}/api/v1/query"
        text = await self._client.get(url, ANSWER_SECONDS, query=query, time=f"{moment:.3f}")
        return _Answer.model_validate_json(text).data.result


class _Series(pydantic.BaseModel):
    metric: dict[str, str]
    value: tuple[float, float] = (0.0, 0.0)  # time and value, asked for at one moment
    values: list[tuple[float, float]] = []  # the same, asked for over a time

    @property
    def sample(self) -> Sample:
        return Sample(self.metric.get("__name__", ""), self.metric, self.value[1])

    @property
    def target(self) -> frozenset[tuple[str, str]]:
        """Return the labels that are not the trainer's own."""
        family = exposition.FAMILIES.get(self.sample.name)
        own = {"__name__", *(family.labels if family else ())}
        return frozenset(item for item in self.metric.items() if item[0] not in own)


class _Data(pydantic.BaseModel):
    result: list[_Series]


class _Answer(pydantic.BaseModel):
    """What `/api/v1/query` of Prometheus answers."""

    data: _Data
