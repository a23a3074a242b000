"""EDGE: what attempts expose, from wherever it can be had.

One registry in the trainer, one reader here, three transports. The first of them that has an
attempt's result counts:

1. the termination message, where it says how the process ended;
2. the last scrape, if the training had ended by then;
3. a Prometheus server, asked for what it scraped last.

Where none has it, the furthest report says what was reached, and is no result.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
import pydantic
from prometheus_client.samples import Sample

from distillery_contract import metrics
from distillery_contract.wire import Exit
from distillery_operator import exposition
from distillery_operator.trials import Attempt, AttemptKey, Report

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
        return max(reports, key=_reached, default=None)

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


class Measurements:
    """Reads what the attempts of one experiment expose."""

    def __init__(
        self,
        scraper: Scraper | None = None,
        namespace: str = "",
        interval: float = 0.0,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """Read by a scraper.

        Args:
            scraper: of the process; without it one of its own.
            namespace: of the attempts' pods.
            interval: seconds between two scrapes of an attempt, which then run in the background;
                0 scrapes whenever a report is read, and waits for it.
            wake: called when a scrape in the background brought what a decision can rest on.
        """
        self._own = scraper is None
        self._scraper = scraper or Scraper()
        self._namespace = namespace
        self._interval = interval
        self._wake = wake
        self._known: dict[AttemptKey, _Known] = {}

    async def read(self, attempts: Sequence[Attempt]) -> list[Report | None]:
        """Return what each attempt exposes, or exposed at its end; None if it tells nothing (yet).

        With an interval only an attempt that ended well and left no result is waited for, once:
        without its result it would run again.
        """
        known = [self._known.setdefault(attempt.key, _Known()) for attempt in attempts]
        looks = [self._look(a, k) for a, k in zip(attempts, known, strict=True)]
        await asyncio.gather(*(look for look in looks if look is not None))
        return [each.newest for each in known]

    def forget(self, attempt: Attempt) -> None:
        """Drop what is known of an attempt that nobody will read again."""
        known = self._known.pop(attempt.key, None)
        if known and known.scraping:
            known.scraping.cancel()

    async def close(self) -> None:
        """End what runs in the background; the connections of a shared scraper stay open."""
        tasks = [known.scraping for known in self._known.values() if known.scraping]
        self._known.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._own:
            await self._scraper.close()

    def _look(self, attempt: Attempt, known: "_Known") -> Awaitable[None] | None:
        """Take in what an attempt tells; return what has to be waited for to know more."""
        known.pod = attempt.pod or known.pod
        known.take(attempt.termination_message or "")
        if known.told:
            return None
        if attempt.live:
            return self._follow(attempt, known)
        return self._recover(attempt, known) if attempt.exit_code == Exit.OK else None

    def _follow(self, attempt: Attempt, known: "_Known") -> Awaitable[None] | None:
        """Scrape a live attempt if it is time to."""
        now = asyncio.get_running_loop().time()
        busy = known.scraping is not None and not known.scraping.done()
        if attempt.metrics_url is None or busy or now < known.due:
            return None
        known.due = now + self._interval
        known.scraping = asyncio.create_task(self._scrape(attempt.metrics_url, known))
        return None if self._interval else known.scraping

    async def _scrape(self, url: str, known: "_Known") -> None:
        report = await self._scraper.scrape(url)
        if report is None:
            return
        before, known.scraped = known.scraped, report
        if before is None or _substance(before) != _substance(report):
            self._wake()

    async def _recover(self, attempt: Attempt, known: "_Known") -> None:
        """Look for the result of an attempt that ended well and did not leave it."""
        if known.scraping:
            await asyncio.wait([known.scraping])
        if known.asked or (known.scraped and _result(known.scraped)):
            return
        if known.pod and attempt.ended is not None:
            started = attempt.ended if attempt.started is None else attempt.started
            known.recalled = await self._scraper.recall(
                self._namespace, known.pod, started, attempt.ended
            )
        known.asked = True


@dataclass
class _Known:
    """What was learnt of one attempt.

    Attributes:
        pod: its name, kept for when the pod is gone.
        due: time of the event loop at which it may be scraped again.
        scraping: the scrape that runs, or ran last.
        asked: whether the Prometheus server was asked.
        text, left: the termination message, and what it says.
        scraped: the last scrape.
        recalled: what the Prometheus server had.
    """

    pod: str = ""
    due: float = 0.0
    scraping: asyncio.Task[None] | None = None
    asked: bool = False
    text: str = ""
    left: Report | None = None
    scraped: Report | None = None
    recalled: Report | None = None

    def take(self, text: str) -> None:
        """Take in what a termination message says, parsed once; it stands when its pod is gone."""
        if text and text != self.text:
            self.text, self.left = text, exposition.parse(text, exposition.TERMINATION_MESSAGE)

    @property
    def told(self) -> bool:
        """Whether the termination message says how the attempt ended."""
        return self.left is not None and bool(self.left.final or self.left.reason)

    @property
    def newest(self) -> Report | None:
        """What got farthest; a last word stands above all."""
        if self.told:
            return self.left
        reports = [r for r in (self.left, self.scraped, self.recalled) if r is not None]
        return max(reports, key=_reached, default=None)


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


def _result(report: Report) -> bool:
    """Tell whether a report was made once the result stood."""
    return report.final or report.key is not None


def _reached(report: Report) -> tuple[bool, int, int]:
    """Order reports of one attempt by how far it was."""
    unknown = -1
    step = unknown if report.step is None else report.step
    evaluated = unknown if report.metric_step is None else report.metric_step
    return _result(report), evaluated, step


def _substance(report: Report) -> tuple[object, ...]:
    """Return what decisions rest on; the steps change with every scrape."""
    return report.final, report.reason, report.metric_step, report.key
