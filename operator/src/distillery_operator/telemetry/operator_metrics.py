"""The operator's own metrics, on ``/metrics``."""

import asyncio
from importlib import metadata
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, start_http_server

from distillery_contract import listening
from distillery_operator.resource.sampler import SamplerType

REGISTRY: Final = CollectorRegistry()

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


def serve(port: int) -> int:
    """Serve ``/metrics`` from a thread; return the port, which the system chooses for 0."""
    server, _ = start_http_server(port, addr=listening.every_address(), registry=REGISTRY)
    return int(server.server_address[1])
