"""EDGE: the HTTP client that asks trainers and a Prometheus server."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Final

import aiohttp
import pydantic
from prometheus_client.samples import Sample

from distillery_contract import metrics
from distillery_operator.measurements import exposition
from distillery_operator.trials.attempt import Report

log = logging.getLogger(__name__)

SCRAPES: Final = 32
QUESTIONS: Final = 4
"""At the same time, over all experiments of a process: to trainers, and to a Prometheus server."""

SCRAPE_SECONDS: Final = 2.0
PROMETHEUS_SECONDS: Final = 5.0
"""Time for an answer: of a trainer, and of a Prometheus server to both questions."""

LIMIT: Final = 500_000
"""Bytes of an answer that are read; a trainer's exposition has about 4,000."""

MARGIN_SECONDS: Final = 300.0
"""Around an attempt's life: how far clocks differ, and how late Prometheus may scrape."""

_RESULTS: Final = "|".join(
    name
    for name, family in exposition.FAMILIES.items()
    if family in (metrics.FINAL, metrics.PREPARED)
)
"""Samples that an attempt exposes once its result stands."""

_FAILURES: Final = (aiohttp.ClientError, OSError, ValueError)
"""What comes instead of an answer: a connection or a time-out, or an answer of another kind."""


class Scraper:
    """The HTTP client of a process: its connections serve the measurements of all experiments."""

    def __init__(self, prometheus_url: str = "", failed: Callable[[], None] = lambda: None) -> None:
        """Ask trainers and a server.

        Args:
            prometheus_url: of a server that scrapes the trials; empty for none.
            failed: called whenever that server has no answer.
        """
        self._prometheus = prometheus_url.rstrip("/")
        self._failed = failed
        self._scrapes = asyncio.Semaphore(SCRAPES)
        self._questions = asyncio.Semaphore(QUESTIONS)
        self._session: aiohttp.ClientSession | None = None

    async def scrape(self, url: str) -> Report | None:
        """Return what a trainer exposes; None while its process starts or ends."""
        try:
            async with self._scrapes:
                text = await self._get(url, SCRAPE_SECONDS)
        except _FAILURES as error:
            log.debug("%s is not read: %r", url, error)
            return None
        # In a thread: a text at the limit takes a second.
        return await asyncio.to_thread(exposition.parse, text, exposition.SCRAPE)

    async def recall(self, namespace: str, pod: str, started: float, ended: float) -> Report | None:
        """Return what the Prometheus server scraped last from a pod; None if it knows nothing."""
        if not self._prometheus:
            return None
        try:
            async with self._questions, asyncio.timeout(PROMETHEUS_SECONDS):
                return await self._recall(namespace, pod, started, ended)
        except _FAILURES as error:
            log.warning("Prometheus must tell of pod %s/%s, but: %r", namespace, pod, error)
            self._failed()
            return None

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

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
        return max(reports, key=reached, default=None)

    async def _query(self, query: str, moment: float) -> list["_Series"]:
        url = f"{self._prometheus}/api/v1/query"
        text = await self._get(url, PROMETHEUS_SECONDS, query=query, time=f"{moment:.3f}")
        return _Answer.model_validate_json(text).data.result

    async def _get(self, url: str, seconds: float, **query: str) -> str:
        """Return the body of an answer, whole; raises one of the failures otherwise.

        Trainers are other people's programs: their redirects lead nowhere, nothing of theirs is
        unpacked, and what they send beyond the limit is not read.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A connection that waits for the next scrape would hold a file descriptor for it.
                connector=aiohttp.TCPConnector(limit=SCRAPES + QUESTIONS, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
            )
        accept = {"Accept": "application/openmetrics-text; version=1.0.0, application/json"}
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._session.get(
            url, params=query, headers=accept, timeout=timeout, allow_redirects=False
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LIMIT:
                    raise ValueError(f"an answer must have at most {LIMIT} bytes")
            if response.status != 200:
                raise ValueError(f"the status must be 200, but is {response.status}: {body[:200]}")
            return body.decode()


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


def is_result(report: Report) -> bool:
    """Tell whether a report was made once the result stood."""
    return report.final or report.key is not None


def reached(report: Report) -> tuple[bool, int, int]:
    """Order reports of one attempt by how far it was."""
    unknown = -1
    step = unknown if report.step is None else report.step
    evaluated = unknown if report.metric_step is None else report.metric_step
    return is_result(report), evaluated, step
