"""Distillery in a cluster as a platform team installs it: the chart, its database, Prometheus.

The end-to-end test and `make demo-cluster` share it. The operator and the database are in one
namespace, the experiments in another, for who may create experiments runs pods; all namespaces are
restricted. Volumes are folders of this machine, by the manifest for who has no provisioner. The
API server takes the chart's NetworkPolicies, but no network here enforces them.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from distillery_operator.cluster import pod_template
from support import charts, monitoring
from support.cluster import access, images
from support.cluster.access import Cluster
from support.cluster.images import Image

Object = dict[str, Any]

OPERATOR: Final = charts.NAMESPACE
"""Namespace of the operator and the database."""
TEAM: Final = "team"
"""Namespace of the experiments."""
SERVER: Final = "app.kubernetes.io/component=operator"
DASHBOARD: Final = "app.kubernetes.io/component=optuna-dashboard"
MONITOR: Final = "app.kubernetes.io/name=prometheus"
NAMESPACES: Final = (OPERATOR, TEAM, monitoring.NAMESPACE)
RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}
OBSERVED: Final = ("serviceMonitor", "podMonitor", "prometheusRule", "dashboards")
CLAIM: Final = "distillery"
VOLUMES: Final = charts.CHART.parents[1] / "manifests" / "volumes.yaml"


def parts() -> list[Image]:
    """Return the images that the stack runs, built where they are missing."""
    return [images.operator(), images.trainer(), images.postgres(), images.prometheus()]


def install(cluster: Cluster, folder: Path) -> None:
    """Install everything and wait until it works; the volumes are in the folder."""
    for namespace in NAMESPACES:
        labelled = {"name": namespace, "labels": RESTRICTED}
        apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": labelled})
    for document in volumes(folder):
        apply(cluster, document)
    monitoring.define(cluster)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as values:
        json.dump(settings(), values)
        values.flush()
        charts.install(cluster.kubeconfig, f"--values={values.name}", "--wait", "--timeout=180s")
    monitoring.install(cluster, images.prometheus().name)


def hand_over(workspace: Path) -> None:
    """Give the files of the trials' volume to the trials' user, as a copy by a pod would."""
    for path in (workspace, *workspace.rglob("*")):
        os.chown(path, pod_template.USER, pod_template.USER)


def team(cluster: Cluster, *arguments: str) -> str:
    """Run kubectl in the namespace of the experiments."""
    return cluster.kubectl(f"--namespace={TEAM}", *arguments)


def addresses(cluster: Cluster) -> dict[str, str]:
    """Return what this machine can look at in the cluster."""
    return {
        "Prometheus": f"http://{address(cluster, monitoring.NAMESPACE, MONITOR)}:9090",
        "optuna-dashboard": f"http://{address(cluster, OPERATOR, DASHBOARD)}:8082",
        "operator's metrics": f"http://{address(cluster, OPERATOR, SERVER)}:8000/metrics",
    }


def address(cluster: Cluster, namespace: str, labels: str) -> str:
    """Return the address of the one pod with some labels."""
    place = (f"--namespace={namespace}", f"--selector={labels}")
    return cluster.kubectl("get", "pods", *place, "--output=jsonpath={.items[0].status.podIP}")


def uninstall(cluster: Cluster) -> None:
    """Remove everything that `install` made."""
    helm(cluster, "uninstall", charts.RELEASE, "--ignore-not-found", "--wait")
    cluster.kubectl("delete", "namespace", *NAMESPACES, "--ignore-not-found", "--timeout=120s")
    cluster.kubectl("delete", "persistentvolume", "workspace", "database", "--ignore-not-found")


def settings() -> Object:
    """Return the chart's values for this machine's images."""
    return {
        "image": reference(images.operator()),
        "trials": {
            "image": reference(images.trainer()),
            "namespaces": [TEAM],
            "workspace": {"claim": CLAIM, "create": True, "size": "1Gi"},
            "scrapeSeconds": 2,
        },
        "database": {
            "type": "Bundled",
            "bundled": {"image": reference(images.postgres()), "size": "1Gi"},
        },
        "prometheus": {"url": monitoring.URL},
        "optunaDashboard": {"enabled": True},
        "metrics": {kind: {"enabled": True} for kind in OBSERVED},
    }


def reference(image: Image) -> dict[str, str]:
    """Return an image's name as the chart's values have it."""
    registry, _, rest = image.name.partition("/")
    repository, _, tag = rest.partition(":")
    return {"registry": registry, "repository": repository, "tag": tag}


def volumes(folder: Path) -> list[Object]:
    """Return the volumes that trials and database claim, as folders in a folder."""
    documents: list[Object] = list(YAML(typ="safe").load_all(VOLUMES.read_text()))
    for document in documents:
        path = folder / document["metadata"]["name"]
        path.mkdir(parents=True, exist_ok=True)
        document["spec"]["local"] = {"path": str(path)}
        if document["spec"]["claimRef"]["name"] == CLAIM:
            document["spec"]["claimRef"]["namespace"] = TEAM
    return documents


def apply(cluster: Cluster, document: Object) -> None:
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(document))


def helm(cluster: Cluster, *arguments: str) -> str:
    return access.helm(cluster.kubeconfig, f"--namespace={OPERATOR}", *arguments)


def distillery(cluster: Cluster, *arguments: str) -> None:
    """Run the command as a user of the cluster does: by a kubeconfig."""
    command = [sys.executable, "-m", "distillery_operator", *arguments]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    subprocess.run(command, env=environment, check=True)
