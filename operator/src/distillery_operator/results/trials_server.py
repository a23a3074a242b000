"""EDGE: all trials of an experiment over HTTP, for its users, who have no access to the database.

They come through the API server's proxy, which asks who they are. That drops who they were, so the
path has a key, which stands in the experiment's status: whoever may read an experiment may read its
trials, nobody else, and the operator needs no permission to ask the API server about people.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
import zlib
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from distillery_contract.listening import listening
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key
from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.resource import label_names
from distillery_operator.results import trials_document
from distillery_operator.study.database import Database
from distillery_operator.study.tables import Storage
from distillery_operator.study.workers import Workers

log = logging.getLogger(__name__)

ROUTE: Final = "/v1/namespaces/{namespace}/experiments/{name}/trials"

PAGE: Final = 100
"""Trials that are in memory at once, for each answer."""

ANSWERS: Final = 4
"""Answers that are given at the same time; more requests wait."""

ANSWER_SECONDS: Final = 600.0
"""Time after which an answer is cut off: a reader that does not read must not hold up others."""

GZIP: Final = 31
"""Window of zlib that means gzip."""


def rotation(annotations: Mapping[str, Any] | None) -> str:
    """Return the text by which a person asks for another key, in an experiment's annotations."""
    return str((annotations or {}).get(label_names.ROTATE, ""))


def path(service: str, key: Key, before: str | None, rotation: str = "") -> str | None:
    """Return the path at the API server of an experiment's trials.

    Args:
        service: that leads to this operator's port, as ``namespace/name:port``; empty for none.
        key: names the experiment.
        before: the path so far, which stands unless the service is another one: links stay good.
        rotation: any text; another one than that of ``before`` gives another key.
    """
    if not service:
        return None
    namespace, _, name = service.partition("/")
    start = f"/api/v1/namespaces/{namespace}/services/{name}/proxy" + ROUTE.format(**key._asdict())
    start += "?key="
    known = before.removeprefix(start) if before and before.startswith(start) else ""
    mark = f"{hashlib.sha256(rotation.encode()).hexdigest()[:8]}." if rotation else ""
    if known and known.rpartition(".")[0] == mark.rstrip("."):  # a token has no full stop
        return before
    return f"{start}{mark}{secrets.token_urlsafe()}"


class Server:
    """Serves the trials of every experiment that the operator watches."""

    def __init__(
        self, cache: Cache, database: Database, workers: Workers, defaults: Defaults
    ) -> None:
        """Serve from these; what is read is read in the workers, in turn with the studies."""
        self._cache = cache
        self._database = database
        self._workers = workers
        self._defaults = defaults
        self._answers = asyncio.Semaphore(ANSWERS)
        application = web.Application()
        application.router.add_get(ROUTE, self._answer, allow_head=False)
        self._runner = web.AppRunner(application, access_log=None)  # a log would hold the keys

    async def open(self, port: int) -> int:
        """Listen everywhere; return the port, which the system chooses for 0."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening(port)).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Break off what is being answered, and listen no more."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        key = Key(request.match_info["namespace"], request.match_info["name"])
        found = self._cache.experiments.get(key)
        # The same answer whether the experiment or the key is wrong, for it is nobody's business.
        if found is None or not _admits(found, request.query.get("key", "")):
            raise web.HTTPNotFound(text="there is no such experiment, or the key is not its key")
        async with self._answers:
            return await self._stream(request, found["metadata"])

    async def _stream(
        self, request: web.Request, metadata: Mapping[str, Any]
    ) -> web.StreamResponse:
        place = self._database.storage_of(metadata)
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if packed := "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
        answer = web.StreamResponse(headers=headers)
        parts = _parts(place, metadata, self._defaults, packed)
        try:
            part = await self._workers.run(place.key, next, parts, None)
            async with asyncio.timeout(ANSWER_SECONDS):
                await answer.prepare(request)
                while part is not None:
                    await answer.write(part)
                    part = await self._workers.run(place.key, next, parts, None)
                await answer.write_eof()
        except (DatabaseUnavailable, TimeoutError) as error:
            if not answer.prepared:
                raise web.HTTPServiceUnavailable(text=str(error)) from error
            # Too late to say it: the reader must see that this is not all.
            log.warning("the trials of %s were broken off: %r", metadata["name"], error)
            _abort(request)
        finally:
            await self._workers.run(place.key, parts.close)
        return answer


def _parts(
    place: Storage, metadata: Mapping[str, Any], defaults: Defaults, packed: bool
) -> Generator[bytes, None, None]:
    """Yield an answer in parts; each is made in a worker, so that other studies have their turn."""
    pack = zlib.compressobj(wbits=GZIP)
    for text in _texts(place, metadata, defaults):
        data = text.encode()
        if part := pack.compress(data) if packed else data:
            yield part
    if packed:
        yield pack.flush()


def _texts(place: Storage, metadata: Mapping[str, Any], defaults: Defaults) -> Iterator[str]:
    try:
        attributes = place.find(metadata["name"])
        yield trials_document.head(metadata["uid"], defaults, attributes or {})
        first, more = 0, attributes is not None
        while more:
            page = place.page(first, PAGE)
            yield "".join(trials_document.lines(page, first == 0))
            first, more = first + len(page), len(page) == PAGE
        yield trials_document.tail()
    finally:
        place.close()


def _admits(found: Mapping[str, Any], key: str) -> bool:
    """Tell whether a key is that of an experiment."""
    known = (found.get("status") or {}).get("trialsPath", "")
    wanted = parse_qs(urlsplit(known).query).get("key", [""])[0]
    return bool(wanted) and hmac.compare_digest(wanted.encode(), key.encode())


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
