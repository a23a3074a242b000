"""The chart, as tests render and install it.

cd tests && python -m support.charts        write manifests/operator.yaml, as `make manifest` does
"""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from support.cluster import access

Object = dict[str, Any]

CHART = Path(__file__).parents[2] / "charts" / "distillery"
RELEASE = NAMESPACE = "distillery"

MANIFEST = CHART.parents[1] / "manifests" / "operator.yaml"
OF_HELM = r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): (distillery-.*|Helm)\n"
"""Labels by which Helm knows what it manages, which it does not here."""
HEAD = """\
# The operator for a whole cluster, without Helm: written by `make manifest` from charts/distillery.
# Before it: manifests/crd.yaml, and the database's URL:
#   kubectl apply --filename manifests/namespace.yaml
#   kubectl create secret generic distillery-database --namespace distillery \\
#     --from-literal=url=postgresql://USER:PASSWORD@HOST/DATABASE
# Set both images, as kustomization.yaml does. Trials find their workspace in the
# PersistentVolumeClaim `distillery` of their namespace.
"""


def render(*options: str, program: str = "helm") -> list[Object]:
    """Return the objects of a release, by ``helm template``, hooks included."""
    text = template(*options, program=program)
    return [document for document in YAML(typ="safe").load_all(text) if document]


def template(*options: str, program: str = "helm") -> str:
    """Return what ``helm template`` prints."""
    release = "template", RELEASE, str(CHART), "--namespace", NAMESPACE
    return access.helm(None, *release, *options, program=program)


def manifest() -> str:
    """Return the operator's objects for kubectl."""
    text = template("--set=crds.enabled=false", "--skip-tests")
    return HEAD + re.sub(OF_HELM, "", text, flags=re.MULTILINE)


def install(kubeconfig: Path, *options: str, chart: Path | str = CHART) -> str:
    """Install the chart, or upgrade what is installed, and return what Helm says."""
    return access.helm(
        kubeconfig,
        *("upgrade", "--install", RELEASE, str(chart)),
        *("--namespace", NAMESPACE, "--create-namespace", *options),
    )


def kinds(objects: list[Object]) -> list[tuple[str, str]]:
    """Return kind and name of each object."""
    return [(found["kind"], found["metadata"]["name"]) for found in objects]


def one(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """Return the only object of a kind and, if given, a name."""
    (found,) = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    return found


if __name__ == "__main__":
    MANIFEST.write_text(manifest(), encoding="utf-8")
