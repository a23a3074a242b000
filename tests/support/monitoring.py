"""Prometheus in a cluster, told by PodMonitors, ServiceMonitors and PrometheusRules what to do.

On a user's cluster the Prometheus operator reads them. Here `config` does, for what the chart makes
use of; the objects' CustomResourceDefinitions are that operator's own.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from support import definitions
from support.cluster.access import Cluster
from support.programs import go

Object = dict[str, Any]

NAMESPACE: Final = "monitoring"
URL: Final = f"http://prometheus.{NAMESPACE}.svc:9090"
KINDS: Final = ("podmonitors", "servicemonitors", "prometheusrules")
GROUP: Final = "monitoring.coreos.com"
MODULE: Final = "prometheus-operator/prometheus-operator"
SCRAPE_SECONDS: Final = 2
MANIFEST: Final = Path(__file__).parent / "cluster" / "prometheus.yaml"

META: Final = "__meta_kubernetes"
NAMES: Final = {"namespace": "namespace", "container": "pod_container_name", "pod": "pod_name"}
"""What every target is labelled with, and where it comes from."""


def define(cluster: Cluster) -> None:
    """Make the kinds known, so that the chart's monitors can be installed."""
    define_kinds(cluster, *KINDS)


def define_kinds(cluster: Cluster, *plurals: str) -> None:
    """Make kinds of the Prometheus operator known, by their plurals."""
    sources = go.fetched("prometheus-operator", f"github.com/{MODULE}")
    crds = sources / "example" / "prometheus-operator-crd"
    definitions.apply_files(cluster, (crds / f"{GROUP}_{plural}.yaml" for plural in plurals))


def install(cluster: Cluster, image: str) -> None:
    """Start a Prometheus that does what the monitors and rules of the cluster say now."""
    names = ",".join(f"{kind}.{GROUP}" for kind in KINDS)
    found = json.loads(cluster.kubectl("get", names, "--all-namespaces", "--output=json"))["items"]
    monitors = [each for each in found if each["kind"] != "PrometheusRule"]
    files = {"prometheus.yml": config(monitors), "rules.json": rules(found)}
    given = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "prometheus", "namespace": NAMESPACE},
        "data": {name: json.dumps(content) for name, content in files.items()},
    }
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(given))
    manifest = MANIFEST.read_text().replace("docker.io/prom/prometheus", image)
    cluster.kubectl("apply", "--filename=-", stdin=manifest)
    ready = ("rollout", "status", "deployment/prometheus", "--timeout=120s")
    cluster.kubectl(f"--namespace={NAMESPACE}", *ready)


def config(monitors: list[Object]) -> Object:
    """Return Prometheus's configuration for PodMonitors and ServiceMonitors."""
    interval = f"{SCRAPE_SECONDS}s"
    jobs = [job for monitor in monitors for job in _jobs(monitor)]
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": ["/etc/prometheus/rules.json"],
        "scrape_configs": jobs,
    }


def rules(objects: list[Object]) -> Object:
    """Return a rule file for the PrometheusRules among objects."""
    found = [each for each in objects if each["kind"] == "PrometheusRule"]
    return {"groups": [group for rule in found for group in rule["spec"]["groups"]]}


def _jobs(monitor: Object) -> Iterator[Object]:
    """Yield a scrape configuration for each endpoint of a monitor.

    The monitor's own interval does not count: trials are over in less than that here.
    """
    of_pods = monitor["kind"] == "PodMonitor"
    metadata, spec = monitor["metadata"], monitor["spec"]
    source, port = ("pod", "pod_container_port") if of_pods else ("service", "endpoint_port")
    namespaces = spec.get("namespaceSelector", {})
    names = namespaces.get("matchNames", [metadata["namespace"]])
    where = {} if namespaces.get("any") else {"namespaces": {"names": names}}
    endpoints = spec["podMetricsEndpoints" if of_pods else "endpoints"]
    name = f"{metadata['namespace']}/{metadata['name']}"
    default = _copied("job", "service_name") if not of_pods else _set("job", name)
    labels = spec.get("podTargetLabels" if of_pods else "targetLabels", [])
    for endpoint in endpoints:
        yield {
            "job_name": f"{monitor['kind']}/{name}/{endpoint['port']}",
            "kubernetes_sd_configs": [{"role": "pod" if of_pods else "endpoints", **where}],
            "metrics_path": endpoint.get("path", "/metrics"),
            "honor_labels": endpoint.get("honorLabels", False),
            "relabel_configs": [
                _dropped("pod_phase", "Failed|Succeeded"),
                *_selected(source, spec["selector"]),
                _kept(f"{port}_name", endpoint["port"]),
                *(_copied(label, origin) for label, origin in NAMES.items()),
                *([] if of_pods else [_copied("service", "service_name")]),
                *(_copied(_plain(label), f"{source}_label_{_plain(label)}") for label in labels),
                default,
                *([_copied("job", f"{source}_label_{_plain(spec['jobLabel'])}")]
                  if "jobLabel" in spec else []),
                _set("endpoint", endpoint["port"]),
                *map(_relabeling, endpoint.get("relabelings", [])),
            ],
            "metric_relabel_configs": [*map(_relabeling, endpoint.get("metricRelabelings", []))],
        }  # fmt: skip


def _selected(source: str, selector: Object) -> Iterator[Object]:
    for label, value in selector.get("matchLabels", {}).items():
        yield _kept(f"{source}_label_{_plain(label)}", value)
    for rule in selector.get("matchExpressions", []):
        label, values = _plain(rule["key"]), "|".join(rule.get("values", []))
        yield {
            "In": _kept(f"{source}_label_{label}", values),
            "NotIn": _dropped(f"{source}_label_{label}", values),
            "Exists": _kept(f"{source}_labelpresent_{label}", "true"),
            "DoesNotExist": _dropped(f"{source}_labelpresent_{label}", "true"),
        }[rule["operator"]]


def _kept(origin: str, regex: str) -> Object:
    return {"action": "keep", "source_labels": [f"{META}_{origin}"], "regex": regex}


def _dropped(origin: str, regex: str) -> Object:
    return {**_kept(origin, regex), "action": "drop"}


def _copied(label: str, origin: str) -> Object:
    return {"source_labels": [f"{META}_{origin}"], "target_label": label, "regex": "(.+)"}


def _set(label: str, value: str) -> Object:
    return {"target_label": label, "replacement": value}


def _relabeling(given: Object) -> Object:
    """Return a monitor's relabeling in the words of Prometheus: source_labels for sourceLabels."""
    words = {re.sub("([A-Z])", r"_\1", key).lower(): value for key, value in given.items()}
    return {**words, "action": given.get("action", "replace").lower()}


def _plain(label: str) -> str:
    return re.sub(r"\W", "_", label)
