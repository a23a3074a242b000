"""What attempts expose, from wherever it can be had.

One registry in the trainer, one reader here, three transports. The first of them that has an
attempt's result counts:

1. the termination message, where it says how the process ended;
2. the last scrape, if the training had ended by then;
3. a Prometheus server, asked for what it scraped last.

Where none has it, the furthest report says what was reached, and is no result.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from distillery_contract.wire import Exit
from distillery_operator.measurements import exposition
from distillery_operator.measurements.scraping import Scraper
from distillery_operator.trials.attempt import Attempt, AttemptKey, Report, Standing

log = logging.getLogger(__name__)


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
        known = [self._of(attempt) for attempt in attempts]
        looks = [self._look(a, k) for a, k in zip(attempts, known, strict=True)]
        await asyncio.gather(*(look for look in looks if look is not None))
        return [each.newest for each in known]

    def standing(self, attempt: Attempt) -> Standing | None:
        """Return since when an attempt was seen at the same step.

        Of one that has reported nothing, since when it is asked: this process may be a new one.
        """
        known = self._known.get(attempt.key)
        return known.standing if known else None

    def drop(self, attempt: Attempt) -> None:
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

    def _of(self, attempt: Attempt) -> "_Known":
        """Return what is known of an attempt: of a number that comes again, nothing."""
        known = self._known.get(attempt.key)
        if known is None or known.identity != attempt.identity:
            self.drop(attempt)
            known = self._known[attempt.key] = _Known(attempt.identity)
        return known

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
        if before is not None and _place(before) != _place(report):
            known.standing = known.standing.moved(time.time())
        if before is None or _substance(before) != _substance(report):
            self._wake()

    async def _recover(self, attempt: Attempt, known: "_Known") -> None:
        """Look for the result of an attempt that ended well and did not leave it."""
        if known.scraping:
            await asyncio.wait([known.scraping])
        if known.asked or (known.scraped and exposition.is_result(known.scraped)):
            return
        if known.pod and attempt.ended is not None:
            started = attempt.ended if attempt.started is None else attempt.started
            known.recalled = await self._scraper.prometheus.recall(
                self._namespace, known.pod, started, attempt.ended
            )
        known.asked = True


@dataclass
class _Known:
    """What was learnt of one attempt.

    Attributes:
        identity: of the attempt.
        pod: its name, kept for when the pod is gone.
        due: time of the event loop at which it may be scraped again.
        scraping: the scrape that runs, or ran last.
        asked: whether the Prometheus server was asked.
        text, left: the termination message, and what it says.
        scraped: the last scrape.
        recalled: what the Prometheus server had.
        standing: since when it was seen at the same step.
    """

    identity: str
    pod: str = ""
    due: float = 0.0
    scraping: asyncio.Task[None] | None = None
    asked: bool = False
    text: str = ""
    left: Report | None = None
    scraped: Report | None = None
    recalled: Report | None = None
    standing: Standing = field(default_factory=lambda: Standing(time.time()))

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
        return max(reports, key=exposition.reached, default=None)


def _place(report: Report) -> tuple[int | None, int | None]:
    """Return how far a training has come; an evaluation may take longer than many steps."""
    return report.step, report.metric_step


def _substance(report: Report) -> tuple[object, ...]:
    """Return what decisions rest on; the steps change with every scrape."""
    return report.final, report.reason, report.metric_step, report.key, bool(report.test)
