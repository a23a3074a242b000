"""EDGE: the HTTP client of what trainings expose: whole answers of bounded size, or a failure."""

from typing import Final

import aiohttp

LIMIT: Final = 500_000
"""Bytes of an answer that are read; a trainer's exposition has about 4,000."""

FAILURES: Final = (aiohttp.ClientError, OSError, ValueError)
"""What comes instead of an answer: a connection or a time-out, or an answer of another kind."""


class Client:
    """The connections of a process."""

    def __init__(self, limit: int) -> None:
        """Open as many at the same time; none is made before it is used."""
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, seconds: float, **query: str) -> str:
        """Return the body of an answer, whole; raises one of the failures otherwise.

        Trainers are other people's programs: their redirects lead nowhere, nothing of theirs is
        unpacked, and what they send beyond the limit is not read.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A connection that waits for the next scrape would hold a file descriptor for it.
                connector=aiohttp.TCPConnector(limit=self._limit, force_close=True),
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

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
