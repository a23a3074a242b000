"""What a dashboard marks in time: starts of operators, beginnings and ends of experiments, alerts.

As Grafana reads annotations of Prometheus from files; the SDK has no builder for these fields.
"""

from typing import Any

from dashboards.colours import BAD, COLOURS
from dashboards.panels import (
    CLUSTER,
)

EXPERIMENT = f'{CLUSTER}, namespace="$namespace", experiment="$experiment"'
SELECTED = {
    "distillery-overview": f'{CLUSTER}, namespace=~"$namespace"',
    "distillery-experiment": EXPERIMENT,
    "distillery-trial": EXPERIMENT,
    "distillery-operator": f'{CLUSTER}, namespace="$namespace"',
}
"""What each dashboard shows."""
NAME = "{{namespace}}/{{experiment}}"


def of(uid: str) -> list[dict[str, Any]]:
    """Return the annotations of a dashboard."""
    shown = SELECTED[uid]
    started = (
        f"time() - process_start_time_seconds{{{CLUSTER}}} < 120"
        f" and on (cluster, namespace, pod) distillery_build_info{{{CLUSTER}}}"
    )
    firing = f'ALERTS{{alertname=~"Distillery.*", alertstate="firing", {shown}}}'
    made = [
        _annotation("Starts of the operator", started, COLOURS["Stopped"], "{{pod}}"),
        _annotation("Alerts", firing, BAD, "{{alertname}} {{experiment}}"),
    ]
    if "experiment" in shown:
        times = "distillery_experiment_{}_timestamp_seconds"
        for title, word, colour in (
            ("Beginning", "start", COLOURS["Running"]),
            ("End", "completion", COLOURS["Completed"]),
        ):
            expr = f"max by (namespace, experiment) ({times.format(word)}{{{shown}}}) * 1000"
            made.append({**_annotation(title, expr, colour, NAME), "useValueForTime": True})
    return made


def _annotation(title: str, expr: str, colour: str, text: str) -> dict[str, Any]:
    return {
        "name": title,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "enable": True,
        "hide": False,
        "expr": expr,
        "step": "60s",
        "iconColor": colour,
        "titleFormat": title,
        "textFormat": text,
    }
