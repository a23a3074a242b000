"""The operator itself: visits, queue, watches, API server, database."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.colours import BAD, GOOD, ODD
from dashboards.panels import (
    CLUSTER,
    Panel,
    Query,
    board,
    filled,
    lines,
    number,
    variable,
)

OWN = f'{CLUSTER}, namespace="$namespace"'

OF_IT = f"and on (cluster, pod) distillery_build_info{{{OWN}}}"
"""Of the chosen operator, for series of experiments have the namespaces of those."""


def build() -> Dashboard:
    """Return the dashboard."""
    made = board(
        "distillery-operator",
        "The health of the Distillery operator.",
        variable(
            "namespace", "Namespace", f"label_values(distillery_build_info{{{CLUSTER}}}, namespace)"
        ),
    )
    made = filled(made, *_numbers())
    made = filled(
        made,
        lines(
            "Visits",
            "Visits to experiments per second, by result. After an error, a visit is tried again,"
            " after a wait that grows.",
            "suffix: /s",
            Query(_rate("distillery_reconcile_total", "result"), "{{result}}"),
        ),
        lines(
            "Time of a visit",
            "Median and 99th percentile of the time of one visit.",
            "s",
            Query(_quantile(0.5, "distillery_reconcile_duration_seconds"), "median"),
            Query(_quantile(0.99, "distillery_reconcile_duration_seconds"), "99 %"),
        ),
        lines(
            "Queue",
            "Experiments that wait for a visit.",
            "short",
            Query(f"max(distillery_workqueue_depth{{{OWN}}})", "experiments"),
        ),
        lines(
            "Longest wait",
            "How long the first experiment of the queue has waited.",
            "s",
            Query(f"max(distillery_workqueue_oldest_age_seconds{{{OWN}}})", "waited"),
        ),
        lines(
            "Delay of the event loop",
            "Longest delay within ten seconds. If it is long, something blocks the event loop.",
            "s",
            Query(f"max(distillery_event_loop_lag_seconds{{{OWN}}})", "delay"),
        ),
        lines(
            "Ended trials",
            "Ended trials per hour of all experiments, by state.",
            "short",
            Query(
                f"3600 * sum by (state) (rate(distillery_trials_ended_total{{{CLUSTER}}}"
                f"[$__rate_interval]) {OF_IT})",
                "{{state}}",
            ),
        ),
        heading="Work",
    )
    made = filled(made, *_api(), heading="API server")
    made = filled(made, *_studies(), heading="Studies and metrics")
    made = filled(made, *_process(), heading="Process")
    return made


def _rate(metric: str, *labels: str) -> str:
    return f"sum by ({', '.join(labels)}) (rate({metric}{{{OWN}}}[$__rate_interval]))"


def _quantile(quantile: float, metric: str, *labels: str) -> str:
    return f"histogram_quantile({quantile}, {_rate(f'{metric}_bucket', 'le', *labels)})"


def _numbers() -> list[Panel]:
    return [
        number(
            "Version",
            "Version of the operator.",
            "short",
            Query(f"max by (version) (distillery_build_info{{{OWN}}})", "{{version}}", latest=True),
            names=True,
            empty="down",
        ),
        number(
            "Database",
            "Whether the database answered when the operator asked it last.",
            "short",
            Query(f"min(distillery_storage_up{{{OWN}}})", latest=True),
            texts={"1": ("answers", GOOD), "0": ("does not answer", BAD)},
            empty="unknown",
        ),
        number(
            "Longest wait now",
            "How long the first experiment of the queue has waited.",
            "s",
            Query(f"max(distillery_workqueue_oldest_age_seconds{{{OWN}}})", latest=True),
            steps=((None, GOOD), (60, ODD), (300, BAD)),
        ),
        number(
            "Experiments",
            "Experiments that the operator knows.",
            "short",
            Query(f"count(distillery_experiment_info{{{CLUSTER}}} {OF_IT})", latest=True),
        ),
        number(
            "Attempts",
            "Attempts of all experiments that run or wait.",
            "short",
            Query(f"sum(distillery_experiment_active{{{CLUSTER}}} {OF_IT})", latest=True),
        ),
        number(
            "Errors of the database",
            "Operations on studies that failed within the shown time.",
            "short",
            Query(
                f"sum(increase(distillery_storage_errors_total{{{OWN}}}[$__range]))", latest=True
            ),
            steps=((None, GOOD), (1, ODD)),
        ),
    ]


def _api() -> list[Panel]:
    return [
        lines(
            "Requests",
            "Requests to the API server per second, by verb, resource and status. Status 0: no"
            " answer.",
            "reqps",
            Query(
                _rate("distillery_api_requests_total", "verb", "resource", "code"),
                "{{verb}} {{resource}} {{code}}",
            ),
        ),
        lines(
            "Time of a request",
            "99th percentile of the time of a request, by verb.",
            "s",
            Query(_quantile(0.99, "distillery_api_request_duration_seconds", "verb"), "{{verb}}"),
        ),
        lines(
            "Since the last event",
            "How long each watch has shown nothing. Without experiments there is nothing to show.",
            "s",
            Query(
                f"time() - max by (resource)"
                f" (distillery_watch_last_event_timestamp_seconds{{{OWN}}} > 0)",
                "{{resource}}",
            ),
        ),
        lines(
            "Missed by watches",
            "Objects per hour whose creation or deletion no watch showed in time.",
            "short",
            Query(f"3600 * {_rate('distillery_watch_missed_total', 'resource')}", "{{resource}}"),
            width=12,
        ),
        lines(
            "Attempts started",
            "Started attempts per hour of all experiments, by stage.",
            "short",
            Query(
                f"3600 * sum by (stage) (rate(distillery_attempts_started_total{{{CLUSTER}}}"
                f"[$__rate_interval]) {OF_IT})",
                "{{stage}}",
            ),
            width=12,
        ),
    ]


def _process() -> list[Panel]:
    own = f"and on (cluster, namespace, pod) distillery_build_info{{{OWN}}}"
    return [
        lines(
            "Memory",
            "Resident memory of the operator; the chart sets its limit by resources.limits.memory.",
            "bytes",
            Query(f"process_resident_memory_bytes{{{OWN}}} {own}", "{{pod}}"),
        ),
        lines(
            "CPU",
            "Cores that the operator uses.",
            "short",
            Query(f"rate(process_cpu_seconds_total{{{OWN}}}[$__rate_interval]) {own}", "{{pod}}"),
        ),
        lines(
            "Time since the start",
            "How long the operator has run. It falls to 0 at a restart.",
            "s",
            Query(f"time() - process_start_time_seconds{{{OWN}}} {own}", "{{pod}}"),
        ),
    ]


def _studies() -> list[Panel]:
    return [
        lines(
            "Time of an operation",
            "99th percentile of the time of an operation on the database, by operation.",
            "s",
            Query(
                _quantile(0.99, "distillery_storage_operation_duration_seconds", "operation"),
                "{{operation}}",
            ),
        ),
        lines(
            "Time to suggest",
            "99th percentile of the time to suggest trials and to store them, by sampler.",
            "s",
            Query(_quantile(0.99, "distillery_suggest_duration_seconds", "sampler"), "{{sampler}}"),
        ),
        lines(
            "Source of final metrics",
            "Trials per hour by the channel of their final metrics; trials whose metrics no channel"
            " had; questions that Prometheus did not answer.",
            "short",
            Query(
                f"3600 * {_rate('distillery_trial_metrics_source_total', 'source')}", "{{source}}"
            ),
            Query(f"3600 * {_rate('distillery_trial_metrics_missing_total')}", "none"),
            Query(
                f"3600 * {_rate('distillery_prometheus_errors_total')}", "no answer of Prometheus"
            ),
        ),
    ]
