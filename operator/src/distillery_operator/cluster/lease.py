"""EDGE: which of a release's processes works: the holder of a Lease. The others stand by.

The election is the client library's. Added here: a server that does not answer is asked again, the
work ends with the lease and the lease with the work, and whoever ends gives the lease back.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiClient, V1Lease, V1ObjectMeta
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from distillery_operator.cluster.kinds import Key
from distillery_operator.errors import LeaseLost

log = logging.getLogger(__name__)

# The library tells each lost race as an error, with a traceback; what matters is told below.
logging.getLogger("kubernetes.aio.leaderelection").setLevel(logging.CRITICAL)

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Times:
    """Seconds, as other controllers have them.

    Attributes:
        lease: after which others take a lease that was not renewed; whole, as the API has it.
        renewal: after which a holder that cannot renew its lease gives up; less than ``lease``.
        retry: between two tries to take or renew it, each of which may last as long.
    """

    lease: int = 15
    renewal: float = 10.0
    retry: float = 2.0


DEFAULT: Final = Times()


class Lock(LeaseLock):
    """A Lease; says once in the log why it cannot be had."""

    def __init__(self, place: Key, identity: str, client: ApiClient, seconds: float) -> None:
        """Name the Lease and who wants it; each request may take some seconds."""
        super().__init__(place.name, place.namespace, identity, client)
        self._seconds = seconds
        self._said = ""

    async def get(self, name: str, namespace: str) -> Any:
        """Return whether there is a Lease, and its record or what the server says instead."""
        try:
            async with asyncio.timeout(self._seconds):
                found, record = await super().get(name, namespace)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            found, record = False, ApiException(status=0, reason=repr(error))
        if isinstance(record, ApiException) and record.status != 404:
            self._say(f"the API server says of it: {record.reason}")
        elif isinstance(record, LeaderElectionRecord) and record.holder_identity != self.identity:
            self._say(f"{record.holder_identity or 'nobody'} holds it")
        return found, record

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        """Make the Lease; return whether that succeeded."""
        metadata, spec = V1ObjectMeta(name=name), self.update_lease(election_record)
        # The library's own call has an argument that its client refuses.
        return await self._write(
            self.api_instance.create_namespaced_lease(
                namespace, V1Lease(metadata=metadata, spec=spec)
            )
        )

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        """Write the Lease; return whether that succeeded."""
        return await self._write(super().update(name, namespace, updated_record))

    async def release(self) -> None:
        """Let the next one have the Lease at once."""
        with contextlib.suppress(ApiException, aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(self._seconds):
                held = await self.api_instance.read_namespaced_lease(self.name, self.namespace)
                if held.spec and held.spec.holder_identity == self.identity:
                    held.spec.holder_identity = None
                    await self.api_instance.replace_namespaced_lease(
                        self.name, self.namespace, held
                    )

    async def _write(self, request: Awaitable[object]) -> bool:
        try:
            async with asyncio.timeout(self._seconds):
                written = bool(await request)
        except (ApiException, aiohttp.ClientError, OSError, TimeoutError):
            written = False
        if not written:
            self._say("it cannot be written")
        return written

    def _say(self, why: str) -> None:
        if why != self._said:
            log.info("the Lease %s/%s cannot be had yet: %s", self.namespace, self.name, why)
            self._said = why


async def lead(lock: Lock, work: Work, times: Times = DEFAULT) -> None:
    """Wait for a Lease, and work while it is held; it is given back at the end.

    Raises:
        LeaseLost: it could not be renewed in time, so another one may work now.
    """
    working: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    tasks = [working]

    async def take() -> None:
        log.info("this process holds the Lease %s/%s", lock.namespace, lock.name)
        tasks.append(asyncio.create_task(follow()))

    async def follow() -> None:
        """Work, and tell how it ended."""
        try:
            await work()
        except Exception as error:
            working.set_exception(error)
        else:
            working.set_result(None)

    async def leave() -> None:
        """Do nothing: the work is ended below."""

    election = LeaderElection(Config(lock, times.lease, times.renewal, times.retry, take, leave))
    tasks.append(renewing := asyncio.create_task(election.run()))
    try:
        await asyncio.wait([working, renewing], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await renewing  # raises what has ended it, if anything did
            raise LeaseLost(f"the Lease {lock.namespace}/{lock.name} could not be renewed in time")
        await working
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await lock.release()
