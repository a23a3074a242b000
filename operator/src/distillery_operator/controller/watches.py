"""EDGE: the watches. Only importer of kopf, which is used as an informer and for nothing else.

Every event puts the object into the cache and its experiment's key into the queue. There is no
kopf state, finalizer, timer or daemon: what is to be done is decided by ``reconcile``, from what
there is. A watch that has failed for ten minutes ends the process, and Kubernetes starts it again;
one of a namespace that refuses is ended before that.
"""

import asyncio
import logging
import time
from typing import Any, Final

import kopf

from distillery_operator.cluster.api import CHUNK
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import RESOURCES, Key, Kind, Resource
from distillery_operator.cluster.runner import SELECTOR
from distillery_operator.controller.api_retries import BACKOFFS
from distillery_operator.controller.controller import Controller
from distillery_operator.controller.namespaces import Namespaces
from distillery_operator.controller.work_queue import WorkQueue
from distillery_operator.internals import of_kopf
from distillery_operator.resource.experiment import GROUP
from distillery_operator.telemetry import operator_metrics

log = logging.getLogger(__name__)

SILENCE_SECONDS: Final = 70.0
"""Time after which a watch that shows nothing is opened again: its connection may be dead without
an end. An API server sends at least a bookmark a minute."""


async def watch(
    cache: Cache,
    queue: WorkQueue[Key],
    controller: Controller,
    namespaces: Namespaces,
    stop: asyncio.Event,
) -> None:
    """Watch until a signal ends it; a watch that fails raises."""
    registry, scope = kopf.OperatorRegistry(), of_kopf.Scope()
    for kind, resource in RESOURCES.items():
        _handle(registry, kind, resource, cache, queue, controller, namespaces)

    @kopf.on.login(registry=registry)
    async def login(**given: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)

    of_kopf.outlive_errors(BACKOFFS)
    everywhere = namespaces.everywhere
    async with asyncio.TaskGroup() as tasks:
        if not everywhere:
            following = tasks.create_task(namespaces.follow(scope.set))
        await kopf.operator(
            registry=registry,
            settings=_settings(everywhere),
            standalone=True,
            clusterwide=everywhere,
            namespaces=[] if everywhere else [of_kopf.NAMED_LATER],
            insights=scope.insights,
            stop_flag=stop,
        )
        if not everywhere:
            following.cancel()


def _handle(
    registry: kopf.OperatorRegistry,
    kind: Kind,
    resource: Resource,
    cache: Cache,
    queue: WorkQueue[Key],
    controller: Controller,
    namespaces: Namespaces,
) -> None:
    seen = operator_metrics.WATCH_EVENT.labels(resource.plural)
    operator_metrics.WATCH_MISSED.labels(resource.plural)  # an increase shows only from 0 on

    @kopf.on.event(*resource, id=str(kind), registry=registry)
    async def changed(event: Any, **_: Any) -> None:
        seen.set(time.time())
        found, gone = event["object"], event["type"] == "DELETED"
        if not namespaces.holds(found["metadata"]["namespace"]):
            return  # its watches are about to end
        if key := (cache.drop if gone else cache.put)(kind, found):
            presses = cache.presses(kind, found, gone=gone)
            queue.add(key, 0.0 if presses else controller.status_seconds)


def _settings(everywhere: bool) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    of_kopf.keep_nothing(settings)
    settings.persistence.finalizer = f"{GROUP}/unused"
    settings.scanning.disabled = not everywhere
    settings.watching.chunk_size = CHUNK
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    settings.networking.error_backoffs = BACKOFFS
    for kind in (Kind.JOB, Kind.POD):
        settings.watching.label_selectors[RESOURCES[kind]] = SELECTOR
    return settings
