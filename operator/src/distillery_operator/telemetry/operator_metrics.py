"""The operator's own metrics, on ``/metrics``."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from distillery_contract.listening import EVERYWHERE
from distillery_operator.errors import DatabaseUnavailable, Unusable
from distillery_operator.resource.sampler import SamplerType

log = logging.getLogger(__name__)

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)  # memory, CPU, open files, start time
# A second series for each counter, which nothing reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Buckets in seconds for calls and visits."""
LONG: Final = (10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Buckets in seconds for trainings."""

RECONCILES = Counter(
    "distillery_reconcile", "Visits to an experiment.", ["result"], registry=REGISTRY
)
for _result in ("done", "requeue", "error"):  # a rate shows a first error only from 0 on
    RECONCILES.labels(_result)
RECONCILE_SECONDS = Histogram(
    "distillery_reconcile_duration_seconds",
    "Time of one visit to an experiment.",
    buckets=FAST,
    registry=REGISTRY,
)
LEADER = Gauge(
    "distillery_leader", "1 in the process that works, 0 in one that stands by.", registry=REGISTRY
)
NOT_OWNED = Gauge(
    "distillery_experiments_not_owned",
    "Experiments that this operator leaves alone, for they belong to another one.",
    registry=REGISTRY,
)
NAMESPACE_WATCHED = Gauge(
    "distillery_namespace_watched",
    "1 while a namespace is watched that was named or has the labels, 0 while it refuses that.",
    ["namespace"],
    registry=REGISTRY,
)
QUEUE_DEPTH = Gauge(
    "distillery_workqueue_depth", "Experiments that wait for a visit.", registry=REGISTRY
)
QUEUE_AGE = Gauge(
    "distillery_workqueue_oldest_age_seconds",
    "For how long the first of them has waited.",
    registry=REGISTRY,
)
WATCH_EVENT = Gauge(
    "distillery_watch_last_event_timestamp_seconds",
    "When a watch last showed something.",
    ["resource"],
    registry=REGISTRY,
)
WATCH_MISSED = Counter(
    "distillery_watch_missed",
    "Objects that a list of all had or lacked long before a watch showed it.",
    ["resource"],
    registry=REGISTRY,
)
API_REQUESTS = Counter(
    "distillery_api_requests",
    "Requests to the API server; code 0 means that it did not answer.",
    ["verb", "resource", "code"],
    registry=REGISTRY,
)
API_SECONDS = Histogram(
    "distillery_api_request_duration_seconds",
    "Time of requests to the API server.",
    ["verb", "resource"],
    buckets=FAST,
    registry=REGISTRY,
)
STORAGE_SECONDS = Histogram(
    "distillery_storage_operation_duration_seconds",
    "Time of operations on the study, suggestions included.",
    ["operation"],
    buckets=FAST,
    registry=REGISTRY,
)
STORAGE_ERRORS = Counter(
    "distillery_storage_errors", "Operations on the study that failed.", registry=REGISTRY
)
STORAGE_UP = Gauge(
    "distillery_storage_up",
    "Whether the database answered when it was asked last, each half minute: 1 or 0.",
    registry=REGISTRY,
)
STORAGE_UP.set(1)  # until it is asked, which is at once
SUGGEST_SECONDS = Histogram(
    "distillery_suggest_duration_seconds",
    "Time to suggest and store new trials.",
    ["sampler"],
    buckets=FAST,
    registry=REGISTRY,
)
for _sampler in SamplerType:
    SUGGEST_SECONDS.labels(str(_sampler))
LAG = Gauge(
    "distillery_event_loop_lag_seconds",
    "Longest delay of the event loop within the last ten seconds.",
    registry=REGISTRY,
)
TRIALS_ENDED = Counter(
    "distillery_trials_ended",
    "Trials that ended, by state and reason.",
    ["namespace", "experiment", "state", "reason"],
    registry=REGISTRY,
)
ATTEMPTS_STARTED = Counter(
    "distillery_attempts_started",
    "Processes that were started, by stage.",
    ["namespace", "experiment", "stage"],
    registry=REGISTRY,
)
ATTEMPTS_INTERRUPTED = Counter(
    "distillery_attempts_interrupted",
    "Trainings that eviction, preemption or the loss of a pod has interrupted, and that resume.",
    ["namespace", "experiment"],
    registry=REGISTRY,
)
METRICS_SOURCE = Counter(
    "distillery_trial_metrics_source",
    "Trials by the channel that their final metrics came by.",
    ["source"],
    registry=REGISTRY,
)
PROMETHEUS_ERRORS = Counter(
    "distillery_prometheus_errors",
    "Questions that the configured Prometheus server did not answer.",
    registry=REGISTRY,
)
METRICS_MISSING = Counter(
    "distillery_trial_metrics_missing",
    "Trials that ended well, but whose final metrics no channel had.",
    registry=REGISTRY,
)
TRIAL_SECONDS = Histogram(
    "distillery_trial_duration_seconds",
    "Run time of a trial, all attempts together.",
    ["namespace", "experiment"],
    buckets=LONG,
    registry=REGISTRY,
)
BUILD = Info("distillery_build", "Version of the operator.", registry=REGISTRY)
BUILD.info({"version": metadata.version("distillery-operator")})

STORAGE_ASKED_SECONDS: Final = 30.0

LAG_SECONDS: Final = 0.1
LAG_WINDOW: Final = 100


def observe_request(verb: str, resource: str, code: int, seconds: float) -> None:
    """Count a request to the API server."""
    API_REQUESTS.labels(verb, resource, str(code)).inc()
    API_SECONDS.labels(verb, resource).observe(seconds)


async def watch_lag() -> None:
    """Measure for ever by how much the event loop is late."""
    loop, worst = asyncio.get_running_loop(), [0.0] * LAG_WINDOW
    number = 0
    while True:
        due = loop.time() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        worst[number % LAG_WINDOW] = loop.time() - due
        LAG.set(max(worst))
        number += 1


async def watch_storage(answer: Callable[[], Awaitable[None]]) -> None:
    """Ask the database for ever whether it answers, whatever the experiments want of it.

    Args:
        answer: raises DatabaseUnavailable if it does not.
    """
    up = True
    while True:
        before = up
        try:
            await answer()
            up = True
        except DatabaseUnavailable as error:
            up = False
            if before:  # once: experiments say it too, each time that they need it
                log.warning("%s", error)
        if up and not before:
            log.info("the database answers again")
        STORAGE_UP.set(up)
        await asyncio.sleep(STORAGE_ASKED_SECONDS)


def serve(
    port: int, address: str = EVERYWHERE, tls: Path | None = None, clients: bool = False
) -> int:
    """Serve ``/metrics`` from a thread; return the port.

    Args:
        port: to listen at; the system chooses one for 0.
        address: to listen at.
        tls: folder with ``tls.crt`` and ``tls.key``, and ``ca.crt``; None for plain HTTP.
        clients: whether clients need a certificate by ``ca.crt``.

    Raises:
        Unusable: the certificates cannot be read.
    """
    secured = _certificates(tls, clients) if tls else {}
    server, _ = start_http_server(port, addr=address, registry=REGISTRY, **secured)
    return int(server.server_address[1])


def _certificates(folder: Path, clients: bool) -> dict[str, Any]:
    """Return the options of a server with these certificates, which are tried first."""
    certificate, key, authority = (str(folder / name) for name in ("tls.crt", "tls.key", "ca.crt"))
    tried = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        tried.load_cert_chain(certificate, key)
        if clients:
            tried.load_verify_locations(authority)
    except (ssl.SSLError, OSError) as error:
        raise Unusable(f"the certificates in {folder} cannot be read: {error}") from error
    options: dict[str, Any] = {"certfile": certificate, "keyfile": key}
    return options | ({"client_cafile": authority, "client_auth_required": True} if clients else {})
