"""The Prometheus operator itself reads the chart's monitors and rules, on a real API server.

No node runs the Prometheuses that it wants: what it writes for them is looked at.
"""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from support import certificates, charts, monitoring, programs
from support.charts import NAMESPACE, RELEASE, Object
from support.cluster import ControlPlane, Refused, processes
from support.documentation import ROOT
from support.operators import answers, free_port, until

pytestmark = pytest.mark.needs("prometheus_operator", "helm", "control_plane", "openssl")

KINDS = (
    *monitoring.KINDS,
    *("alertmanagerconfigs", "alertmanagers", "probes", "prometheusagents", "prometheuses"),
    *("scrapeconfigs", "thanosrulers"),
)
PLAIN, ENFORCING, EXCLUDING = "plain", "enforcing", "excluding"
LABEL = {"release": "prometheus"}
SELECTED = {"matchLabels": LABEL}
EVERYWHERE: Object = {}
OBSERVED = ("serviceMonitor", "podMonitor", "prometheusRule")
MONITORS = {f"serviceMonitor/{NAMESPACE}/{RELEASE}/0", f"podMonitor/{NAMESPACE}/{RELEASE}-trials/0"}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with the operator, its admission and three Prometheuses; then the chart."""
    folder = tmp_path_factory.mktemp("neighbour")
    operator, webhook = programs.locate("prometheus-operator", "admission-webhook")
    with ControlPlane(folder / "plane") as plane:
        monitoring.define_kinds(plane, *KINDS)
        plane.kubectl("create", "namespace", monitoring.NAMESPACE)
        port = free_port()
        # The API server knows the admission by it.
        certificates.make(folder, "tls", "admission", "-addext", "subjectAltName=IP:127.0.0.1")
        tls = (f"--web.cert-file={folder}/tls.crt", f"--web.key-file={folder}/tls.key")
        listening = (f"--web.listen-address=127.0.0.1:{port}", "--web.enable-tls=true", *tls)
        admission = processes.start([webhook, *listening], folder / "admission.log")
        kubeconfig = f"KUBECONFIG={plane.kubeconfig}"
        address = f"--web.listen-address=127.0.0.1:{free_port()}"
        controller = processes.start(
            ["env", kubeconfig, operator, address], folder / "operator.log"
        )
        try:
            until(lambda: answers(port))
            apply(plane, admitting(folder, port))
            for document in prometheuses():
                apply(plane, document)
            options = [f"--set-json=metrics.{kind}={json.dumps(switch())}" for kind in OBSERVED]
            charts.install(plane.kubeconfig, *options)
            yield plane
        finally:
            for process in (admission, controller):
                processes.stop(process)


def switch() -> Object:
    return {"enabled": True, "additionalLabels": LABEL}


def admitting(folder: Path, port: int) -> Object:
    """Return what lets the API server ask the admission, as kube-prometheus-stack has it."""
    rule = {
        "apiGroups": [monitoring.GROUP],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["prometheusrules"],
    }
    hook = {
        "name": "prometheusrulevalidate.monitoring.coreos.com",
        "rules": [rule],
        "clientConfig": {
            "url": f"https://127.0.0.1:{port}/admission-prometheusrules/validate",
            "caBundle": base64.b64encode((folder / "tls.crt").read_bytes()).decode(),
        },
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "prometheus"},
        "webhooks": [hook],
    }


def prometheuses() -> Iterator[Object]:
    """Yield a plain Prometheus, one that enforces namespaces, and that of docs/observe.md."""
    text = (ROOT / "docs" / "observe.md").read_text()
    (documented,) = re.findall(r"```yaml\n(kind: Prometheus\n.*?)```", text, re.DOTALL)
    excluding = YAML(typ="safe").load(documented)["spec"]
    enforcing = {"enforcedNamespaceLabel": excluding["enforcedNamespaceLabel"]}
    for name, own in ((PLAIN, {}), (ENFORCING, enforcing), (EXCLUDING, excluding)):
        selecting = {
            f"{kind}{what}": value
            for kind in ("serviceMonitor", "podMonitor", "rule")
            for what, value in (("Selector", SELECTED), ("NamespaceSelector", EVERYWHERE))
        }
        yield {
            "apiVersion": f"{monitoring.GROUP}/v1",
            "kind": "Prometheus",
            "metadata": {"name": name, "namespace": monitoring.NAMESPACE},
            "spec": {**selecting, **own},
        }


def apply(plane: ControlPlane, document: Object) -> None:
    plane.kubectl("apply", "--filename=-", stdin=json.dumps(document))


def jobs(plane: ControlPlane, prometheus: str) -> dict[str, Object]:
    """Return the scrape jobs that the operator has written for a Prometheus, by name."""

    def written() -> dict[str, Object]:
        place = (f"--namespace={monitoring.NAMESPACE}", "--output=json", "--ignore-not-found")
        found = plane.kubectl("get", "secret", f"prometheus-{prometheus}", *place)
        if not found:
            return {}
        packed = json.loads(found)["data"]["prometheus.yaml.gz"]
        config = YAML(typ="safe").load(gzip.decompress(base64.b64decode(packed)))
        return {job["job_name"]: job for job in config.get("scrape_configs") or []}

    until(lambda: written().keys() >= MONITORS)
    return written()


def rules(plane: ControlPlane, prometheus: str) -> dict[str, Object]:
    """Return the alerts that the operator has written for a Prometheus, by name."""

    def written() -> dict[str, Object]:
        chosen = f"--selector=prometheus-name={prometheus}"
        place = (f"--namespace={monitoring.NAMESPACE}", "--output=json")
        maps = json.loads(plane.kubectl("get", "configmaps", chosen, *place))["items"]
        files = [text for found in maps for text in found.get("data", {}).values()]
        return {
            rule["alert"]: rule
            for text in files
            for group in YAML(typ="safe").load(text)["groups"]
            for rule in group["rules"]
            if "alert" in rule
        }

    until(lambda: written().keys() >= {"DistilleryOperatorDown", "DistilleryExperimentFailed"})
    return written()


def targets(job: Object, part: str = "relabel_configs") -> dict[str, Object]:
    return {each["target_label"]: each for each in job[part] if "target_label" in each}


@pytest.mark.parametrize("prometheus", [PLAIN, EXCLUDING])
def test_it_scrapes_what_the_monitors_select_and_labels_it_as_dashboards_expect(
    plane: ControlPlane, prometheus: str
) -> None:
    found = jobs(plane, prometheus)
    operator, trials = (found[name] for name in sorted(MONITORS, reverse=True))
    assert operator["honor_labels"] is True
    kept = {"endpoints": "service", "endpointslice": "service", "pod": "pod"}
    for job, label, value in (
        (operator, "app_kubernetes_io_component", "operator"),
        (trials, "app_kubernetes_io_managed_by", "distillery"),
    ):
        source = kept[job["kubernetes_sd_configs"][0]["role"]]
        wanted = f"__meta_kubernetes_{source}_label_{label}"
        keeping = [r for r in job["relabel_configs"] if wanted in r.get("source_labels", [])]
        assert [each["action"] for each in keeping] == ["keep"]
        assert re.fullmatch(keeping[0]["regex"], f"{value};true")
        assert "namespace" not in targets({"r": job.get("metric_relabel_configs") or []}, "r")
    labelled = targets(trials)
    assert {"namespace", "pod", "experiment", "stage", "attempt", "trial"} <= labelled.keys()
    assert labelled["trial"]["regex"] == "train;(.+)"


def test_one_that_enforces_namespaces_overwrites_that_of_experiments(plane: ControlPlane) -> None:
    """Which is why docs/observe.md excludes the chart's objects."""
    (operator,) = (job for name, job in jobs(plane, ENFORCING).items() if "service" in name)
    enforced = targets(operator, "metric_relabel_configs")["namespace"]
    assert enforced["replacement"] == NAMESPACE
    down = rules(plane, ENFORCING)["DistilleryOperatorDown"]
    assert f'namespace="{NAMESPACE}"' in down["expr"]


@pytest.mark.parametrize("prometheus", [PLAIN, EXCLUDING])
def test_every_rule_arrives_as_the_chart_wrote_it(plane: ControlPlane, prometheus: str) -> None:
    options = [f"--set-json=metrics.{kind}={json.dumps(switch())}" for kind in OBSERVED]
    made = [o for o in charts.render(*options) if o["kind"] == "PrometheusRule"]
    own = [r for o in made for group in o["spec"]["groups"] for r in group["rules"]]
    expected = {rule["alert"]: rule["expr"].strip() for rule in own if "alert" in rule}
    found = rules(plane, prometheus)
    assert {name: rule["expr"].strip() for name, rule in found.items()} == expected
    assert not [rule for rule in found.values() if "namespace" in rule["labels"]]


def test_its_admission_refuses_a_rule_that_is_none(plane: ControlPlane) -> None:
    """Which shows that it was asked about the chart's."""
    (rule, *_) = json.loads(plane.kubectl("get", "prometheusrules", f"--namespace={NAMESPACE}",
                                          "--output=json"))["items"]  # fmt: skip
    broken: dict[str, Any] = {
        "apiVersion": rule["apiVersion"],
        "kind": rule["kind"],
        "metadata": {"name": "broken", "namespace": NAMESPACE},
        "spec": json.loads(json.dumps(rule["spec"])),
    }
    broken["spec"]["groups"][0]["rules"][0]["expr"] = "sum by ("
    with pytest.raises(Refused, match="could not parse expression"):
        apply(plane, broken)
