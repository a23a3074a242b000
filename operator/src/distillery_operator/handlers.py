"""EDGE: the watches. Only importer of kopf, which is used as an informer and for nothing else.

Every event puts the object into the mirror and its experiment's key into the queue. There is no
kopf state, finalizer, timer or daemon: what is to be done is decided by ``reconcile``, from what
there is. A watch that fails ends the process, and Kubernetes starts it again.
"""

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import kopf

from distillery_operator import announcer, cluster, serving, telemetry
from distillery_operator.announcer import Announcer
from distillery_operator.api import CHUNK, Api
from distillery_operator.controller import Controller, Settings
from distillery_operator.errors import ApiUnavailable, Refused
from distillery_operator.measurements import Scraper
from distillery_operator.mirror import RESOURCES, Key, Kind, Mirror, Resource
from distillery_operator.resources import GROUP
from distillery_operator.storage import Database
from distillery_operator.workers import Workers
from distillery_operator.workqueue import WorkQueue

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 0.5
"""Life of what kopf makes for an object after its last event: it holds the whole object."""

SWITCH_SECONDS: Final = 0.001
"""For how long a thread with a study may hold the interpreter while the event loop waits for it."""

GARBAGE: Final = (20_000, 5, 200)
"""Allocations, and smaller collections, after which garbage is collected. kopf leaves each event of
a watch in a cycle: short collections, and often, for each stops the event loop, and seldom one of
everything."""

RESYNC_SECONDS: Final = 300.0
"""Between two lists of everything that is watched."""

LATE_SECONDS: Final = 60.0
"""Age of an object that every watch must have shown by then."""

VISITORS: Final = 16
"""Experiments that are looked at at the same time."""

THREADS: Final = 2
"""Threads of the studies, and so connections to the database. Few, here and below: for the
interpreter the event loop stands in line with all that compute, and each has its turn first."""

DECIDERS: Final = 2
"""Threads that decide and derive statuses."""

STUCK_SECONDS: Final = 600.0
"""Age of the oldest key in the queue at which the operator counts as stuck."""


async def run(
    settings: Settings,
    *,
    database_url: str,
    prometheus_url: str,
    namespaces: Sequence[str],
    metrics_port: int,
    health_port: int,
    trials_port: int,
) -> None:
    """Run the operator until a signal ends it.

    Args:
        settings: of the controller.
        database_url: of the studies.
        prometheus_url: of a server that scrapes the trials; empty for none.
        namespaces: to watch; none for the whole cluster.
        metrics_port: of ``/metrics``.
        health_port: of ``/healthz``.
        trials_port: of the trials, which are served if the settings name a Service for it.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(DECIDERS))
    gc.set_threshold(*GARBAGE)
    gc.freeze()  # what is loaded by now stays, and need not be looked at again
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    api, mirror, queue = Api(telemetry.observe_request), Mirror(), WorkQueue[Key]()
    database, scraper = (
        Database(database_url, THREADS),
        Scraper(prometheus_url, telemetry.PROMETHEUS_ERRORS.inc),
    )
    await api.open()
    port = telemetry.serve(metrics_port)
    telemetry.QUEUE_DEPTH.set_function(lambda: queue.depth)
    telemetry.QUEUE_AGE.set_function(lambda: queue.oldest_seconds)
    log.info("serving /metrics on port %d", port)
    with Workers(THREADS) as workers:
        announcing = Announcer(api)
        controller = Controller(
            api,
            mirror,
            queue,
            database=database,
            workers=workers,
            scraper=scraper,
            announcer=announcing,
            settings=settings,
        )
        trials, tasks = serving.Server(mirror, database, workers, settings.defaults), []
        try:
            # Before the first decision everything that runs must be known.
            for kind in (Kind.JOB, Kind.POD):
                for namespace in namespaces or [""]:
                    async for found in api.found(kind, namespace, cluster.SELECTOR):
                        key = mirror.put(kind, found)
                        if key and mirror.held(key):  # its experiment may be gone meanwhile
                            queue.add(key)
            if settings.trials_service:
                await trials.open(trials_port)
            tasks = [
                asyncio.create_task(telemetry.watch_lag()),
                asyncio.create_task(_resync(api, mirror, queue, namespaces)),
                *(asyncio.create_task(announcing.write()) for _ in range(announcer.WRITERS)),
                *(asyncio.create_task(queue.work(controller.visit)) for _ in range(VISITORS)),
            ]
            await _watch(mirror, queue, controller, namespaces, health_port, stop)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await trials.close()
            await controller.close()
            await scraper.close()
            await api.close()
            database.close()


async def _resync(
    api: Api, mirror: Mirror, queue: WorkQueue[Key], namespaces: Sequence[str]
) -> None:
    """Find, now and then, what vanished while a watch was interrupted: kopf does not tell."""
    while True:
        await asyncio.sleep(RESYNC_SECONDS)
        try:
            for kind in RESOURCES:
                missed = await _find_missed(kind, api, mirror, queue, namespaces)
                telemetry.WATCH_MISSED.labels(RESOURCES[kind].plural).inc(missed)
        except (ApiUnavailable, Refused) as error:
            log.warning("the cluster could not be listed: %s", error)


async def _find_missed(
    kind: Kind, api: Api, mirror: Mirror, queue: WorkQueue[Key], namespaces: Sequence[str]
) -> int:
    """Forget what has vanished; return the objects whose beginning or end no watch has shown."""
    before, listed = mirror.known(kind), set()
    late = datetime.now(UTC) - timedelta(seconds=LATE_SECONDS)
    unseen = 0
    selector = "" if kind is Kind.EXPERIMENT else cluster.SELECTOR
    for namespace in namespaces or [""]:
        async for found in api.found(kind, namespace, selector):
            listed.add(found["metadata"]["uid"])
            created = datetime.fromisoformat(found["metadata"]["creationTimestamp"])
            unseen += created < late and mirror.lacks(kind, found)
    lost = (before.keys() - listed) & mirror.known(kind).keys()
    for uid in lost:
        key, gone = before[uid]
        mirror.lose(kind, key, gone)
        queue.add(key)
    return unseen + len(lost)


async def _watch(
    mirror: Mirror,
    queue: WorkQueue[Key],
    controller: Controller,
    namespaces: Sequence[str],
    health_port: int,
    stop: asyncio.Event,
) -> None:
    registry = kopf.OperatorRegistry()
    for kind, resource in RESOURCES.items():
        _handle(registry, kind, resource, mirror, queue, controller)

    @kopf.on.probe(id="queue", registry=registry)
    async def queue_moves(**_: Any) -> float:
        if queue.oldest_seconds > STUCK_SECONDS:
            raise RuntimeError(f"an experiment has waited for {queue.oldest_seconds:.0f} s")
        return queue.oldest_seconds

    @kopf.on.login(registry=registry)
    async def login(**given: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)

    await kopf.operator(
        registry=registry,
        settings=_settings(namespaces),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        liveness_endpoint=f"http://0.0.0.0:{health_port}/healthz",
        stop_flag=stop,
    )


def _handle(
    registry: kopf.OperatorRegistry,
    kind: Kind,
    resource: Resource,
    mirror: Mirror,
    queue: WorkQueue[Key],
    controller: Controller,
) -> None:
    seen = telemetry.WATCH_EVENT.labels(resource.plural)
    telemetry.WATCH_MISSED.labels(resource.plural)  # an increase shows only from 0 on

    @kopf.on.event(*resource, id=str(kind), registry=registry)
    async def changed(event: Any, **_: Any) -> None:
        seen.set(time.time())
        found, gone = event["object"], event["type"] == "DELETED"
        if key := (mirror.drop if gone else mirror.put)(kind, found):
            presses = mirror.presses(kind, found, gone=gone)
            queue.add(key, 0.0 if presses else controller.status_seconds)


def _settings(namespaces: Sequence[str]) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.finalizer = f"{GROUP}/unused"
    settings.persistence.diffbase_storage = _NoStates()
    settings.persistence.progress_storage = _NoProgress()
    settings.queueing.idle_timeout = IDLE_SECONDS
    settings.scanning.disabled = bool(namespaces)
    settings.watching.chunk_size = CHUNK
    for kind in (Kind.JOB, Kind.POD):
        settings.watching.label_selectors[RESOURCES[kind]] = cluster.SELECTOR
    return settings


class _NoStates(kopf.DiffBaseStorage):
    """Keeps no states of objects to compare; kopf would copy each object at each event for it."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()  # as build: what differs not is cheap to compare

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.AnnotationsProgressStorage):
    """Looks for no traces of handlers that go on after a failure: there are none."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence
