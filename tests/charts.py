"""The chart, as tests render and install it."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from cluster import access

Object = dict[str, Any]

CHART = Path(__file__).parents[1] / "charts" / "distillery"
RELEASE = NAMESPACE = "distillery"


def render(*options: str, program: str = "helm") -> list[Object]:
    """Return the objects of a release, by ``helm template``, hooks included."""
    text = access.helm(
        None, "template", RELEASE, str(CHART), "--namespace", NAMESPACE, *options, program=program
    )
    return [document for document in YAML(typ="safe").load_all(text) if document]


def install(kubeconfig: Path, *options: str, chart: Path = CHART) -> str:
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
