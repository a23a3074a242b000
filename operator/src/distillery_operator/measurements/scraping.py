"""What trainers expose while they run, and the connections behind all measurements."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from distillery_operator.measurements import exposition
from distillery_operator.measurements.client import FAILURES, Client
from distillery_operator.measurements.prometheus import QUESTIONS, Prometheus
from distillery_operator.trials.attempt import Report

log = logging.getLogger(__name__)

SCRAPES: Final = 32
"""At the same time, over all experiments of a process."""

ANSWER_SECONDS: Final = 2.0
"""Time for an answer of a trainer."""


class Scraper:
    """Reads trainers, for the measurements of all experiments of a process.

    Attributes:
        prometheus: the server to ask where a trainer can be asked no more.
    """

    def __init__(self, prometheus_url: str = "", failed: Callable[[], None] = lambda: None) -> None:
        """Ask trainers and a server.

        Args:
            prometheus_url: of a server that scrapes the trials; empty for none.
            failed: called whenever that server has no answer.
        """
        self._client = Client(SCRAPES + QUESTIONS)
        self._scrapes = asyncio.Semaphore(SCRAPES)
        self.prometheus = Prometheus(self._client, prometheus_url, failed)

    async def scrape(self, url: str) -> Report | None:
        """Return what a trainer exposes; None while its process starts or ends."""
        try:
            async with self._scrapes:
                text = await self._client.get(url, ANSWER_SECONDS)
        except FAILURES as error:
            log.debug("%s is not read: %r", url, error)
            return None
        # In a thread: a text at the limit takes a second.
        return await asyncio.to_thread(exposition.parse, text, exposition.SCRAPE)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
