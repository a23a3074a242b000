"""Finds what vanished while a watch was interrupted: kopf does not tell."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import RESOURCES, Key, Kind
from distillery_operator.cluster.runner import SELECTOR
from distillery_operator.controller.namespaces import Namespaces
from distillery_operator.controller.work_queue import WorkQueue
from distillery_operator.errors import ApiUnavailable, Refused
from distillery_operator.telemetry import operator_metrics

log = logging.getLogger(__name__)

RESYNC_SECONDS: Final = 300.0
"""Time between two lists of everything that is watched."""

LATE_SECONDS: Final = 60.0
"""Age of an object that every watch must have shown by then."""


async def resync(api: Api, cache: Cache, queue: WorkQueue[Key], namespaces: Namespaces) -> None:
    """Find, now and then, what vanished while a watch was interrupted: kopf does not tell."""
    while True:
        await asyncio.sleep(RESYNC_SECONDS)
        try:
            for kind in RESOURCES:
                missed = await _find_missed(kind, api, cache, queue, namespaces)
                operator_metrics.WATCH_MISSED.labels(RESOURCES[kind].plural).inc(missed)
        except (ApiUnavailable, Refused) as error:
            log.warning("the cluster could not be listed: %s", error)


async def _find_missed(
    kind: Kind, api: Api, cache: Cache, queue: WorkQueue[Key], namespaces: Namespaces
) -> int:
    """Forget what has vanished; return the objects whose beginning or end no watch has shown."""
    before, listed = cache.known(kind), set()
    late = datetime.now(UTC) - timedelta(seconds=LATE_SECONDS)
    unseen = 0
    selector = "" if kind is Kind.EXPERIMENT else SELECTOR
    for namespace in namespaces.watched:
        try:
            async for found in api.found(kind, namespace, selector):
                listed.add(found["metadata"]["uid"])
                created = datetime.fromisoformat(found["metadata"]["creationTimestamp"])
                unseen += created < late and cache.lacks(kind, found)
        except Refused as refusal:
            namespaces.refuse(namespace, refusal)  # what is known of it goes, and is not lost
    lost = (before.keys() - listed) & cache.known(kind).keys()
    for uid in lost:
        key, gone = before[uid]
        cache.lose(kind, key, gone)
        queue.add(key)
    return unseen + len(lost)
