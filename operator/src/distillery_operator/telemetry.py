"""The operator's own metrics, on ``/metrics``.

Experiments are described as kube-state-metrics describes objects: gauges by namespace and name that
go with the experiment. Nothing here has a label per trial: those series come from the trials' pods
and end with them.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from importlib import metadata
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from distillery_operator.mirror import Key
from distillery_operator.resources import Experiment, Status

REGISTRY: Final = CollectorRegistry()

FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Buckets in seconds for calls and passes."""
LONG: Final = (10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Buckets in seconds for trainings."""

RECONCILES = Counter(
    "distillery_reconcile", "Passes over an experiment.", ["result"], registry=REGISTRY
)
RECONCILE_SECONDS = Histogram(
    "distillery_reconcile_duration_seconds",
    "Time of one pass over an experiment.",
    buckets=FAST,
    registry=REGISTRY,
)
QUEUE_DEPTH = Gauge(
    "distillery_workqueue_depth", "Experiments that wait for a pass.", registry=REGISTRY
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


class Experiments(Collector):
    """The state of every experiment, from the statuses written last."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[Experiment, Status]] = {}
        REGISTRY.register(self)

    def show(self, key: Key, experiment: Experiment, status: Status) -> None:
        """Take in a status."""
        self._known[key] = (experiment, status)

    def forget(self, key: Key) -> None:
        """Drop an experiment that was deleted, with all its series."""
        self._known.pop(key, None)
        for family in (TRIALS_ENDED, ATTEMPTS_STARTED, TRIAL_SECONDS):
            family.remove_by_labels({"namespace": key.namespace, "experiment": key.name})

    def collect(self) -> Iterable[Metric]:
        """Return the families, as a registry asks for them."""
        known = sorted(self._known.items())
        for name, help_text, labels, samples in FAMILIES:
            family = GaugeMetricFamily(
                f"distillery_experiment_{name}",
                help_text,
                labels=["namespace", "experiment", *labels],
            )
            for key, (experiment, status) in known:
                for values, value in samples(experiment, status):
                    family.add_metric([*key, *values], value)
            yield family


Samples = Iterator[tuple[list[str], float]]


def _info(experiment: Experiment, status: Status) -> Samples:
    spec = experiment.spec
    objectives = ",".join(objective.metric for objective in spec.objectives)
    yield [experiment.metadata.uid, str(spec.sampler.type), objectives, status.state], 1.0


def _conditions(experiment: Experiment, status: Status) -> Samples:
    for condition in status.conditions:
        for truth in ("True", "False", "Unknown"):
            yield [str(condition.type), truth.lower()], float(condition.status == truth)


def _trials(experiment: Experiment, status: Status) -> Samples:
    counts: Mapping[str, int] = status.trials.model_dump(exclude={"total"})
    for state, count in counts.items():
        yield [state.capitalize()], count


def _best(experiment: Experiment, status: Status) -> Samples:
    for best in status.best:
        yield [best.objective], best.value


def _time(timestamp: str | None) -> Samples:
    if timestamp:
        yield [], datetime.fromisoformat(timestamp).timestamp()


def _value(read: Callable[[Experiment, Status], float]) -> Callable[[Experiment, Status], Samples]:
    def samples(experiment: Experiment, status: Status) -> Samples:
        yield [], read(experiment, status)

    return samples


FAMILIES: Final[tuple[tuple[str, str, list[str], Callable[[Experiment, Status], Samples]], ...]] = (
    ("info", "An experiment.", ["uid", "sampler", "objectives", "state"], _info),
    ("status_condition", "A condition of an experiment.", ["condition", "status"], _conditions),
    ("trials", "Trials by state.", ["state"], _trials),
    ("spec_max_trials", "Trials wanted.", [], _value(lambda e, s: e.spec.max_trials)),
    ("spec_parallelism", "Trials at a time.", [], _value(lambda e, s: e.spec.parallelism)),
    ("active", "Attempts that run or wait.", [], _value(lambda e, s: s.active)),
    ("pareto_front_size", "Points of the front.", [], _value(lambda e, s: s.front_size)),
    (
        "hypervolume",
        "Volume that the front dominates.",
        [],
        _value(lambda e, s: s.hypervolume or 0.0),
    ),
    ("best_value", "Best feasible value of an objective.", ["objective"], _best),
    ("gpu_seconds", "Time of GPUs that was used.", [], _value(lambda e, s: 3600 * s.gpu_hours)),
    (
        "observed_generation",
        "Generation that the status speaks of.",
        [],
        _value(lambda e, s: s.observed_generation),
    ),
    (
        "metadata_generation",
        "Generation of the spec.",
        [],
        _value(lambda e, s: e.metadata.generation),
    ),
    (
        "start_timestamp_seconds",
        "When the study began.",
        [],
        lambda e, s: _time(s.start_time),
    ),
    (
        "completion_timestamp_seconds",
        "When the experiment ended.",
        [],
        lambda e, s: _time(s.completion_time),
    ),
)


def serve(port: int, address: str = "0.0.0.0") -> int:
    """Serve ``/metrics`` from a thread; return the port, which the system chooses for 0."""
    server, _ = start_http_server(port, addr=address, registry=REGISTRY)
    return int(server.server_address[1])
