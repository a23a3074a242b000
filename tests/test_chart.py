"""The chart: what it renders, by Helm 4 and Helm 3, and what a real API server makes of it."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

import clusters
from charts import CHART, NAMESPACE, RELEASE, Object, install, kinds, one, render
from cluster import ControlPlane, Refused, access, binaries

ROOT = CHART.parents[1]
sys.path.append(str(CHART.parent))

import derive  # noqa: E402  in charts/, which is no package

DATABASES = ("Secret", "CloudNativePG", "Bundled", "SQLite")
PASSWORD = "--set=database.bundled.password=secret"  # else every rendering has another one

WHOLE = (
    "--set=database.type=Bundled",
    PASSWORD,
    "--set=trials.workspace.create=true",
    "--set=trials.queueName=gpus",
    "--set=trials.serviceAccounts={trainer}",
    "--set=prometheus.url=http://prometheus:9090",
)
"""Values of a release with everything that a bare cluster can hold."""


@pytest.fixture(scope="module", autouse=True)
def helm() -> None:
    """Build Helm, or skip where that is impossible."""
    clusters.need(lambda: locate("helm"))


@pytest.fixture(scope="module")
def helm3() -> None:
    """Build Helm 3, or skip where that is impossible."""
    clusters.need(lambda: locate("helm3"))


def locate(*names: str) -> None:
    binaries.locate(*names)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that only this module's releases are on."""
    with ControlPlane(tmp_path_factory.mktemp("chart") / "plane") as plane:
        yield plane


def values() -> Any:
    return YAML(typ="safe").load((CHART / "values.yaml").read_text())


def paths(part: Any, prefix: str = "") -> Iterator[str]:
    """Yield the path of each value that holds no further ones."""
    for key, value in part.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value and path not in FREE:
            yield from paths(value, f"{path}.")
        else:
            yield path


FREE = {path for path, _ in derive.described((CHART / "values.yaml").read_text())}
"""Described values: what is below them is Kubernetes' own."""


def test_the_chart_has_no_fault_that_helm_knows() -> None:
    access.helm(None, "lint", "--strict", str(CHART))


def test_every_value_is_described_and_in_the_readme() -> None:
    assert set(paths(values())) == FREE
    assert derive.table((CHART / "values.yaml").read_text()) in (CHART / "README.md").read_text()


def test_every_value_has_a_rule_and_every_rule_a_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def ruled(part: Object, prefix: str = "") -> Iterator[str]:
        for key, found in part["properties"].items():
            path = f"{prefix}{key}"
            if "$ref" in found:
                found = schema["definitions"][found["$ref"].rpartition("/")[2]]
            if found.get("additionalProperties") is False and path not in FREE:
                yield from ruled(found, f"{path}.")
            elif key != "global":
                yield path

    assert set(ruled(schema)) == FREE


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("replicas=2", "replicas"),
        ("database.type=MySQL", "database"),
        ("trials.workspace.sise=1Gi", "sise"),
        ("image.digest=latest", "digest"),
        ("watchNamespaces=all", "watchNamespaces"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(option: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        render(f"--set={option}")


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("scope", [(), ("--set=watchNamespaces={one,two}",)], ids=["all", "named"])
@pytest.mark.usefixtures("helm3")
def test_helm_3_renders_what_helm_4_renders(database: str, scope: tuple[str, ...]) -> None:
    options = (*WHOLE, f"--set=database.type={database}", *scope)
    assert render(*options, program="helm3") == render(*options)


def test_a_release_of_the_whole_cluster_has_these_objects() -> None:
    assert kinds(render()) == [
        ("NetworkPolicy", "distillery-trials"),
        ("NetworkPolicy", "distillery"),
        ("ServiceAccount", "distillery"),
        ("CustomResourceDefinition", "distillationexperiments.distillery.dev"),
        ("ClusterRole", "distillery-view"),
        ("ClusterRole", "distillery-edit"),
        ("ClusterRole", "distillery-operator"),
        ("ClusterRoleBinding", "distillery-operator"),
        ("Service", "distillery"),
        ("Deployment", "distillery"),
    ]


def test_the_crd_is_the_generated_one_and_stays() -> None:
    crd = one(render(), "CustomResourceDefinition")
    written = YAML(typ="safe").load((ROOT / "manifests" / "crd.yaml").read_text())
    assert crd["spec"] == written["spec"]
    assert crd["metadata"]["name"] == written["metadata"]["name"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in one(render("--set=crds.keep=false"), crd["kind"])["metadata"]
    assert crd["kind"] not in dict(kinds(render("--set=crds.enabled=false")))


def test_an_api_server_takes_a_release_of_every_kind(plane: ControlPlane) -> None:
    for options in ((), WHOLE, ("--set=database.type=SQLite",)):
        install(plane.kubeconfig, *options)
    plane.kubectl("get", "dexp", "--all-namespaces")
    deployment = json.loads(
        plane.kubectl("get", "deployment", RELEASE, f"--namespace={NAMESPACE}", "--output=json")
    )
    assert deployment["spec"]["strategy"]["type"] == "Recreate"
    access.helm(plane.kubeconfig, "uninstall", RELEASE, f"--namespace={NAMESPACE}")
    assert plane.kubectl("get", "crd", "--output=name").strip().endswith(".distillery.dev")
