"""The operator's process: everything that runs in it. ``distillery operator`` calls it."""

import asyncio
import gc
import logging
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from distillery_operator.cluster import lease
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key
from distillery_operator.controller import api_retries, event_writer, resync, watches
from distillery_operator.controller.controller import Controller
from distillery_operator.controller.event_writer import Announcer
from distillery_operator.controller.health import Health
from distillery_operator.controller.namespaces import Namespaces
from distillery_operator.controller.settings import Settings
from distillery_operator.controller.work_queue import WorkQueue
from distillery_operator.measurements.scraping import Scraper
from distillery_operator.results import trials_server
from distillery_operator.study.database import Database
from distillery_operator.study.workers import Workers
from distillery_operator.telemetry import operator_metrics

log = logging.getLogger(__name__)

SWITCH_SECONDS: Final = 0.001
"""Time that a thread with a study may hold the interpreter while the event loop waits for it."""

GARBAGE: Final = (20_000, 5, 200)
"""Allocations, and smaller collections, after which garbage is collected. kopf leaves each event of
a watch in a cycle: short collections, and often, for each stops the event loop, and seldom one of
everything."""

VISITORS: Final = 16
"""Experiments that are looked at at the same time."""

THREADS: Final = 2
"""Threads of the studies, and so connections to the database. Few, here and below: for the
interpreter the event loop stands in line with all that compute, and each has its turn first."""

DECIDERS: Final = 1
"""Threads that decide and derive statuses: two would compute no more than one in the same time."""


async def run(
    settings: Settings,
    *,
    database_url: Callable[[], str],
    prometheus_url: str,
    namespaces: Sequence[str],
    namespace_selector: str,
    lease_place: Key | None,
    metrics_port: int,
    metrics_tls: Path | None,
    metrics_clients: bool,
    health_port: int,
    trials_port: int,
) -> None:
    """Run the operator until a signal ends it.

    Args:
        settings: of the controller.
        database_url: returns that of the studies; asked for each connection's user and password.
        prometheus_url: of a server that scrapes the trials; empty for none.
        namespaces: to watch.
        namespace_selector: labels of namespaces to watch; the whole cluster if it is empty and
            there are no names.
        lease_place: the Lease that whoever works holds; None if nobody else could work.
        metrics_port: of ``/metrics``.
        metrics_tls: folder with its certificate; None for plain HTTP.
        metrics_clients: whether its clients need certificates, too.
        health_port: of ``/healthz`` and ``/readyz``.
        trials_port: of the trials, which are served if the settings name a Service for it.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(DECIDERS))
    gc.set_threshold(*GARBAGE)
    gc.freeze()  # what is loaded by now stays, and need not be looked at again
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    api, cache = Api(operator_metrics.observe_request), Cache()
    queue = WorkQueue[Key](owner=lambda key: key.namespace)
    database, scraper = (
        Database(database_url, THREADS),
        Scraper(prometheus_url, operator_metrics.PROMETHEUS_ERRORS.inc),
    )
    await api.open()
    port = operator_metrics.serve(metrics_port, tls=metrics_tls, clients=metrics_clients)
    log.info("serving /metrics on port %d", port)
    async with AsyncExitStack() as closing:
        workers = closing.enter_context(Workers(THREADS))
        closing.callback(database.close)
        closing.push_async_callback(api.close)
        closing.push_async_callback(scraper.close)
        health = Health(database.check)
        closing.push_async_callback(health.close)
        await health.open(health_port)  # first, for the API server may have to be waited for
        announcing = Announcer(api)
        watched = Namespaces(
            api, cache, queue, announcing, names=namespaces, selector=namespace_selector
        )
        await api_retries.patiently(watched.look)
        settings = replace(settings, cluster=await api_retries.cluster(api))
        controller = Controller(
            api,
            cache,
            queue,
            database=database,
            workers=workers,
            scraper=scraper,
            announcer=announcing,
            settings=settings,
        )
        closing.push_async_callback(controller.close)
        trials = trials_server.Server(cache, database, workers, settings.defaults)
        closing.push_async_callback(trials.close)
        if settings.trials_service:
            await trials.open(trials_port)

        async def work() -> None:
            """Visit experiments, for ever."""
            operator_metrics.LEADER.set(1)
            operator_metrics.QUEUE_DEPTH.set_function(lambda: queue.depth)
            operator_metrics.QUEUE_AGE.set_function(lambda: queue.oldest_seconds)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(event_writer.WRITERS):
                    tasks.create_task(announcing.write())
                for _ in range(VISITORS):
                    tasks.create_task(queue.work(controller.visit))

        async def lead() -> None:
            """Work, once no other process of the release does."""
            if lease_place is None:
                await work()
            else:
                identity = f"{socket.gethostname()}_{uuid.uuid4()}"
                await lease.lead(api.lock(lease_place, identity), work)

        async with asyncio.TaskGroup() as group:  # a fault in one ends them all
            tasks = [
                group.create_task(operator_metrics.watch_lag()),
                group.create_task(operator_metrics.watch_storage(health.database)),
                group.create_task(resync.resync(api, cache, queue, watched)),
                group.create_task(lead()),
            ]
            await watches.watch(cache, queue, controller, watched, stop)
            for task in tasks:
                task.cancel()
