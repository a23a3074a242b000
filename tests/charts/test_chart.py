"""The chart: what it renders, by Helm 4 and Helm 3, and what a real API server makes of it."""

import base64
import ipaddress
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from sqlalchemy.engine import make_url

from distillery_contract.request import Stage
from distillery_operator.cluster import jobs
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.resource import parsing
from support import charts, definitions, documentation, monitoring, shapes
from support.charts import CHART, NAMESPACE, RELEASE, Object, install, kinds, one, render
from support.cluster import ControlPlane, Refused, access
from support.programs import go

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
    "--set=rbac.readers[0].kind=ServiceAccount,rbac.readers[0].name=ml,rbac.readers[0].namespace=ml",
)
"""Values of a release with everything that a bare cluster can hold."""

DASHBOARD = (
    "--set=optunaDashboard.enabled=true",
    "--set=optunaDashboard.ingress.enabled=true,optunaDashboard.ingress.host=optuna.example.com",
    "--set=optunaDashboard.allowFrom[0].podSelector.matchLabels.app=nginx",
)
"""Values of optuna-dashboard, which needs PostgreSQL."""


pytestmark = pytest.mark.needs("helm")


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
            closed = found.get("additionalProperties") is False and path not in FREE
            if closed or path == "global":
                yield from ruled(found, f"{path}.")
            else:
                yield path

    assert set(ruled(schema)) == FREE


def test_no_section_of_values_may_be_taken_away() -> None:
    """For what is left out by `null` is not there, and templates look into each section."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    for path in {path.rpartition(".")[0] for path in FREE} - {"", "global"}:
        part = schema
        for key in path.split("."):
            assert key in part["required"], path
            part = part["properties"][key]
            if "$ref" in part:
                part = schema["definitions"][part["$ref"].rpartition("/")[2]]


def test_every_value_is_used() -> None:
    templates = "".join(path.read_text() for path in (CHART / "templates").rglob("*.*"))
    words = set(re.findall(r"\w+", templates))
    assert {path for path in FREE if path.rpartition(".")[2] not in words} == set()


def test_the_chart_installs_the_operator_of_its_own_version() -> None:
    chart = YAML(typ="safe").load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "operator" / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"]


def test_what_a_catalogue_shows_of_the_chart_is_true() -> None:
    annotations = YAML(typ="safe").load((CHART / "Chart.yaml").read_text())["annotations"]
    told = {
        key.removeprefix("artifacthub.io/"): YAML(typ="safe").load(text)
        for key, text in annotations.items()
    }
    objects = render("--set=database.type=Bundled", PASSWORD)
    used = {container(objects)["image"], options_of(objects)["trainer-image"]}
    database = one(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    used |= {c["image"] for c in database}
    assert {image["image"] for image in told["images"]} == used
    (example,) = told["crdsExamples"]
    assert parsing.parse(example).metadata.name == "my-experiment"
    (crd,) = told["crds"]
    assert crd["name"] == one(objects, "CustomResourceDefinition")["metadata"]["name"]


def test_labels_of_ones_own_are_on_every_object_and_objects_of_ones_own_are_rendered() -> None:
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-own"}}
    extra = f"--set-json=extraObjects=[{json.dumps(own)}]"
    *objects, last = render(*WHOLE, "--set=commonLabels.team=nlp", extra, "--skip-tests")
    made = [o for o in [*objects, last] if o["metadata"]["name"] != "distillery-own"]
    assert len(made) == len(objects)
    assert {o["metadata"]["labels"].get("team") for o in made} == {"nlp"}


def test_two_operators_are_rolled_out_and_share_a_lease_but_no_file() -> None:
    objects = render("--set=replicas=2")
    (deployment,) = [o for o in objects if o["kind"] == "Deployment" and o["spec"]["replicas"] == 2]
    assert deployment["spec"]["strategy"]["type"] == "RollingUpdate"
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--lease={NAMESPACE}/{RELEASE}" in arguments
    (role,) = [o for o in objects if o["metadata"]["name"] == f"{RELEASE}-operator-lease"
               and o["kind"] == "Role"]  # fmt: skip
    assert role["metadata"]["namespace"] == NAMESPACE
    assert [rule.get("resourceNames") for rule in role["rules"]] == [None, [RELEASE]]
    with pytest.raises(Refused, match="replicas must be 1 with a database of type SQLite"):
        render("--set=replicas=2", "--set=database.type=SQLite")


def test_labels_of_ones_own_are_on_every_pod() -> None:
    """Policies that ask for an owner or a cost centre ask pods."""
    objects = render(*WHOLE, *DASHBOARD, "--set=commonLabels.team=nlp")
    pods = [o for o in objects if o["kind"] == "Pod"]
    pods += [o["spec"]["template"] for o in objects if o["kind"] in ("Deployment", "StatefulSet")]
    assert len(pods) == 4
    assert {pod["metadata"]["labels"].get("team") for pod in pods} == {"nlp"}
    assert template_of(objects)["metadata"]["labels"] == {"team": "nlp"}


def options_of(objects: list[Object]) -> dict[str, str]:
    """Return the operator's options, as it gets them."""
    words = [word.replace("$$", "$") for word in container(objects)["args"]]
    return dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)


def template_of(objects: list[Object]) -> Any:
    """Return the template below that of every experiment."""
    return json.loads(options_of(objects)["template"])


def test_one_template_lies_below_that_of_every_experiment() -> None:
    given: Object = {
        "metadata": {"annotations": {"a": "b"}},
        "spec": {"containers": [{"name": "trainer", "env": [{"name": "P", "value": "$(A) $B"}]}]},
    }
    pull = "--set=trials.imagePullSecrets[0].name=registry"
    found = template_of(render(f"--set-json=trials.template={json.dumps(given)}", pull))
    secrets = {"imagePullSecrets": [{"name": "registry"}]}
    assert found == {**given, "spec": {**given["spec"], **secrets}}
    assert "template" not in options_of(render())
    with pytest.raises(Refused, match="finalizers"):
        render("--set=trials.template.metadata.finalizers={a}")


def test_a_cluster_that_chooses_users_itself_is_left_to_do_so() -> None:
    objects = render("--set=openshift=true", *DASHBOARD)
    for deployment in (o for o in objects if o["kind"] == "Deployment"):
        context = deployment["spec"]["template"]["spec"]["securityContext"]
        assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert template_of(objects)["spec"]["securityContext"] == {
        "runAsUser": None,
        "runAsGroup": None,
        "fsGroup": None,
    }


@pytest.mark.parametrize(
    ("database", "own"),
    [
        ("Secret", ["distillery-database"]),
        ("CloudNativePG", ["distillery-database-app"]),
        ("Bundled", ["distillery-database", "data-distillery-database-0"]),
        ("SQLite", ["distillery-database"]),
    ],
)
def test_no_template_may_name_what_is_the_operators_own(database: str, own: list[str]) -> None:
    objects = render(f"--set=database.type={database}", PASSWORD)
    found = [word for word in container(objects)["args"] if word.startswith("--private=")]
    assert found == [f"--private={NAMESPACE}/{name}" for name in own]
    if database == "Secret":
        more = "--set=optunaDashboard.enabled=true,optunaDashboard.secret.name=reader"
        found = container(render(more, "--set=metrics.tls.secretName=tls"))["args"]
        assert {f"--private={NAMESPACE}/{name}" for name in ("reader", "tls")} <= {*found}
    names = {o["metadata"]["name"] for o in objects} | {"data-distillery-database-0"}
    if database in ("Bundled", "SQLite"):
        assert {*own} <= names


def test_only_a_platform_that_says_so_lets_templates_have_credentials() -> None:
    policy = "--set=admissionPolicy.enabled=true"
    strict, lax = render(policy), render(policy, "--set=trials.allowCredentials=true")
    for objects, allowed in ((strict, False), (lax, True)):
        assert ("--allow-credentials" in container(objects)["args"]) is allowed
        rules = one(objects, "ValidatingAdmissionPolicy")["spec"]["validations"]
        said = " ".join(rule["message"] for rule in rules)
        assert "serviceAccountName" in said
        assert ("need no API token" in said) is not allowed


def test_caps_of_a_namespace_are_options_of_the_operator() -> None:
    given = {"parallelism": 100_000_000, "trials": 5, "gpuHours": 2.5}
    found = options_of(render(f"--set-json=trials.caps={json.dumps(given)}"))
    names = ("namespace-parallelism", "namespace-trials", "namespace-gpu-hours")
    assert [found[name] for name in names] == ["100000000", "5", "2.5"]
    assert not {*names} & options_of(render()).keys()


SAMPLES = sorted(CHART.glob("values-*.yaml"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_of_values_render(sample: Path) -> None:
    assert container(render(f"--values={sample}"))["args"][0] == "operator"


def test_all_samples_together_are_an_installation_without_internet_on_openshift() -> None:
    assert [path.stem for path in SAMPLES] == [
        "values-airgap",
        "values-openshift",
        "values-production",
    ]
    objects = render(*(f"--values={path}" for path in reversed(SAMPLES)))
    images = {container(objects)["image"], options_of(objects)["trainer-image"]}
    images |= {c["image"] for o in objects if o["kind"] == "Pod" for c in o["spec"]["containers"]}
    assert {image.rpartition("/")[0] for image in images} == {"mirror.example.com/ml"}
    policy = one(objects, "NetworkPolicy", "distillery-trials")
    assert not reaches(policy, "151.101.0.223", 443)
    assert not reaches(policy, "151.101.0.223", 53)
    (trainer,) = template_of(objects)["spec"]["containers"]
    assert trainer["env"] == [{"name": "HF_HUB_OFFLINE", "value": "1"}]
    assert template_of(objects)["spec"]["priorityClassName"] == "batch"


def test_the_pod_that_copies_into_the_workspace_is_as_free_as_a_trial() -> None:
    text = (charts.MANIFEST.parent / "loader.yaml").read_text()
    pod = YAML(typ="safe").load(text)["spec"]
    of, launch = shapes.experiment(), Launch(Stage.TRAIN, 0, 1)
    trial = jobs.job(of, launch, requests.order(of, launch), shapes.DEFAULTS)
    made = trial["spec"]["template"]["spec"]
    assert pod["securityContext"] == made["securityContext"]
    (loader,), (trainer,) = pod["containers"], made["containers"]
    for part in ("securityContext", "volumeMounts", "workingDir"):
        assert loader[part] == trainer[part]
    (claim, _) = pod["volumes"]
    assert claim["persistentVolumeClaim"]["claimName"] == values()["trials"]["workspace"]["claim"]


def test_serving_trials_can_be_switched_off() -> None:
    objects = render("--set=trials.serve=false")
    assert "trials-service" not in options_of(objects)
    assert [port["name"] for port in container(objects)["ports"]] == ["metrics", "health"]
    assert [p["name"] for p in one(objects, "Service")["spec"]["ports"]] == ["metrics"]
    assert ("Role", "distillery-trials") not in kinds(objects)
    policy = one(objects, "NetworkPolicy", "distillery")["spec"]
    assert [[p["port"] for p in rule["ports"]] for rule in policy["ingress"]] == [["metrics"]]


def test_metrics_are_served_and_scraped_by_tls() -> None:
    tls = "--set=metrics.tls.secretName=metrics-tls", "--set=metrics.tls.clientCertificates=true"
    monitor = "--set=metrics.serviceMonitor.enabled=true"
    endpoint = "--set=metrics.serviceMonitor.endpointConfig."
    more = f"{endpoint}tlsConfig.cert.secret.name=prometheus", f"{endpoint}scrapeTimeout=9s"
    objects = render(*tls, monitor, *more)
    assert "--metrics-client-certificates" in container(objects)["args"]
    folder = options_of(objects)["metrics-tls"]
    mount = {"name": "metrics-tls", "mountPath": folder, "readOnly": True}
    assert mount in container(objects)["volumeMounts"]
    (found,) = one(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert (found["scheme"], found["scrapeTimeout"]) == ("https", "9s")
    assert found["tlsConfig"] == {
        "ca": {"secret": {"name": "metrics-tls", "key": "ca.crt"}},
        "cert": {"secret": {"name": "prometheus"}},
        "serverName": "distillery.distillery.svc",
    }
    pods = "--set=metrics.podMonitor.enabled=true", "--set=metrics.podMonitor.endpointConfig."
    own = f"{pods[1]}relabelings[0].targetLabel=own", f"{pods[1]}sampleLimit=9"
    (trials,) = one(render(pods[0], *own), "PodMonitor")["spec"]["podMetricsEndpoints"]
    labels = [rule["targetLabel"] for rule in trials["relabelings"]]
    assert labels == ["experiment", "stage", "attempt", "trial", "own"]
    assert trials["sampleLimit"] == 9
    (plain,) = one(render(monitor), "ServiceMonitor")["spec"]["endpoints"]
    assert plain.keys() == {"port", "interval", "honorLabels"}


@pytest.mark.parametrize(
    ("kind", "monitor"), [("ServiceMonitor", "serviceMonitor"), ("PodMonitor", "podMonitor")]
)
def test_a_monitor_lies_and_limits_as_its_prometheus_wants(kind: str, monitor: str) -> None:
    switch, place = f"--set=metrics.{monitor}.enabled=true", f"--set=metrics.{monitor}."
    own = ("namespace=monitoring", "annotations.owner=sre", "spec.sampleLimit=5000")
    found = one(render(switch, *(place + each for each in own)), kind)
    assert found["metadata"]["namespace"] == "monitoring"
    assert found["metadata"]["annotations"] == {"owner": "sre"}
    assert found["spec"]["sampleLimit"] == 5000
    plain = one(render(switch), kind)
    assert plain["metadata"]["namespace"] == "distillery"
    wanted = {"ServiceMonitor": {"matchNames": ["distillery"]}, "PodMonitor": {"any": True}}
    assert found["spec"]["namespaceSelector"] == plain["spec"]["namespaceSelector"] == wanted[kind]


def test_the_operator_has_neighbours_and_notes_of_ones_own() -> None:
    objects = render(
        "--set=extraContainers[0].name=proxy",
        "--set=initContainers[0].name=wait",
        "--set=deploymentAnnotations.reload=yes",
        "--set=service.annotations.a=b,service.labels.c=d",
        "--set=logging.format=json,logging.level=debug",
        "--set=terminationGracePeriodSeconds=60",
        "--set=podSpec.runtimeClassName=kata",
    )
    deployment = one(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert [c["name"] for c in pod["containers"]] == ["operator", "proxy"]
    assert [c["name"] for c in pod["initContainers"]] == ["wait"]
    assert pod["terminationGracePeriodSeconds"] == 60
    assert pod["runtimeClassName"] == "kata"
    assert deployment["metadata"]["annotations"] == {"reload": "yes"}
    metadata = one(objects, "Service")["metadata"]
    assert (metadata["annotations"], metadata["labels"]["c"]) == ({"a": "b"}, "d")
    words = pod["containers"][0]["args"]
    assert {"--log-format=json", "--log-level=debug"} <= {*words}


@pytest.mark.needs("control_plane")
def test_notes_say_what_to_do_next_in_this_release(plane: ControlPlane) -> None:
    def notes(*options: str) -> str:
        return install(plane.kubeconfig, *options, "--dry-run=server")

    plain = notes()
    assert f"helm test {RELEASE} --namespace {NAMESPACE} --timeout 1200s" in plain
    assert "WARNING: experiments run in the operator's own namespace" in plain
    apart = notes(
        "--set=trials.namespaces={team}",
        "--set=trials.queueName=gpus",
        "--set=trials.imagePullSecrets[0].name=registry",
        "--set=test.timeoutSeconds=2400",
        "--set=optunaDashboard.enabled=true",
    )
    assert "--timeout 2400s" in apart
    assert "operator's own namespace" not in apart
    assert "network policy for trials is only in team" in apart
    assert "LocalQueue gpus" in apart
    assert "pull the trainer's image: registry." in apart
    assert "the dashboard reads with the operator's own user" in apart
    assert "kubectl apply --namespace team" in apart


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("replicas=0", "replicas"),
        ("database.type=MySQL", "database"),
        ("trials.workspace.sise=1Gi", "sise"),
        ("image.digest=latest", "digest"),
        ("watchNamespaces=all", "watchNamespaces"),
        ("networkPolicy.notInternet={999.1.1.1/99}", "notInternet"),
        ("networkPolicy.notInternet={fc00::/129}", "notInternet"),
        ("database=null", "missing property 'database'"),
        ("metrics.tls=null", "missing property 'tls'"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(option: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        render(f"--set={option}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--set=watchNamespaces={one}", "--set=trials.namespaces={one,two}"),
            "must be among watchNamespaces, but got two",
        ),
        (
            ("--set=watchNamespaces={one}", "--set=watchNamespaceSelector.matchLabels.a=b"),
            "watchNamespaces and watchNamespaceSelector exclude each other",
        ),
        (
            ("--set=rbac.readers[0].kind=ServiceAccount,rbac.readers[0].name=ml",),
            "the ServiceAccount ml must have a namespace",
        ),
        (("--set=openshift=true", "--set=database.type=Bundled"), "must not be Bundled"),
        (("--set=metrics.tls.clientCertificates=true",), "needs metrics.tls.secretName"),
        (
            ("--set=podSpec.tolerations=",),
            r"podSpec must not have tolerations, which the chart sets",
        ),
        (("--set=test.podSpec.containers=",), r"test\.podSpec must not have containers"),
    ],
)
def test_values_that_do_not_fit_together_are_refused_with_a_sentence(
    options: tuple[str, ...], words: str
) -> None:
    with pytest.raises(Refused, match=words):
        render(*options)


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("scope", [(), ("--set=watchNamespaces={one,two}",)], ids=["all", "named"])
@pytest.mark.needs("helm3")
def test_helm_3_renders_what_helm_4_renders(database: str, scope: tuple[str, ...]) -> None:
    options = (*WHOLE, f"--set=database.type={database}", *scope)
    options += () if database == "SQLite" else DASHBOARD
    assert render(*options, program="helm3") == render(*options)


def test_a_release_of_the_whole_cluster_has_these_objects() -> None:
    assert kinds(render("--skip-tests")) == [
        ("NetworkPolicy", "distillery-trials"),
        ("NetworkPolicy", "distillery"),
        ("ServiceAccount", "distillery"),
        ("CustomResourceDefinition", "distillationexperiments.distillery.dev"),
        ("ClusterRole", "distillery-view"),
        ("ClusterRole", "distillery-edit"),
        ("ClusterRole", "distillery-operator"),
        ("ClusterRoleBinding", "distillery-operator"),
        ("Role", "distillery-operator-lease"),
        ("Role", "distillery-trials"),
        ("RoleBinding", "distillery-operator-lease"),
        ("Service", "distillery"),
        ("Deployment", "distillery"),
    ]


def rights_on_namespaces(objects: list[Object]) -> list[str]:
    """Return what the operator may do with namespaces, kube-system aside."""
    roles = [o for o in objects if o["metadata"]["name"] == "distillery-operator" and "rules" in o]
    rules = [rule for role in roles for rule in role["rules"] if "resourceNames" not in rule]
    return [verb for r in rules if "namespaces" in r["resources"] for verb in r["verbs"]]


def test_namespaces_may_be_chosen_by_their_labels() -> None:
    selector: Object = {
        "matchLabels": {"team": "nlp"},
        "matchExpressions": [
            {"key": "stage", "operator": "In", "values": ["dev", "prod"]},
            {"key": "gpu", "operator": "Exists"},
            {"key": "frozen", "operator": "DoesNotExist"},
        ],
    }
    policy = "--set=admissionPolicy.enabled=true"
    objects = render(f"--set-json=watchNamespaceSelector={json.dumps(selector)}", policy)
    said = [word for word in container(objects)["args"] if word.startswith("--namespace")]
    assert said == ["--namespace-selector=team=nlp,stage in (dev,prod),gpu,!frozen"]
    assert rights_on_namespaces(objects) == ["list"]
    constraints = one(objects, "ValidatingAdmissionPolicy")["spec"]["matchConstraints"]
    assert constraints["namespaceSelector"] == selector
    for options in ((), ("--set=watchNamespaces={one}",)):
        assert rights_on_namespaces(render(*options)) == []


def test_the_dashboard_is_read_by_a_user_of_its_own_on_a_host_of_its_own() -> None:
    on = "--set=optunaDashboard.enabled=true"
    pods, named = "Deployment", "distillery-optuna"
    own = one(render(on, "--set=optunaDashboard.secret.name=reader"), pods, named)
    (container,) = own["spec"]["template"]["spec"]["containers"]
    assert found_in(own["spec"]["template"]["spec"]) == ("reader", "url")
    assert container["args"] == ["dashboard", "--port=8082"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert own["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    ingress = "--set=optunaDashboard.ingress.enabled=true"
    allowed = "--set=optunaDashboard.allowFrom[0].podSelector.matchLabels.app=nginx"
    with pytest.raises(Refused, match="host of its own"):
        render(on, ingress, allowed)
    with pytest.raises(Refused, match="allowFrom must name the pods of the ingress controller"):
        render(on, ingress, "--set=optunaDashboard.ingress.host=a.example")
    with pytest.raises(Refused, match=r"must not be enabled without optunaDashboard\.enabled"):
        render(ingress)
    with pytest.raises(Refused, match="needs PostgreSQL"):
        render(on, "--set=database.type=SQLite")
    closed = one(render(on), "NetworkPolicy", named)["spec"]
    assert (closed["policyTypes"], closed["ingress"]) == (["Ingress"], [])
    options = "--set=optunaDashboard.podSpec.priorityClassName=low,optunaDashboard.podLabels.a=b"
    pod = one(render(on, options), pods, named)["spec"]["template"]
    assert pod["spec"]["priorityClassName"] == "low"
    assert pod["metadata"]["labels"]["a"] == "b"
    reached = render(on, "--set=optunaDashboard.allowFrom[0].podSelector.matchLabels.app=nginx")
    (rule,) = one(reached, "NetworkPolicy", named)["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app": "nginx"}}}]


def test_the_crd_is_the_generated_one_and_stays() -> None:
    crd = one(render(), "CustomResourceDefinition")
    written = YAML(typ="safe").load((ROOT / "manifests" / "crd.yaml").read_text())
    assert crd["spec"] == written["spec"]
    assert crd["metadata"]["name"] == written["metadata"]["name"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in one(render("--set=crds.keep=false"), crd["kind"])["metadata"]
    assert crd["kind"] not in dict(kinds(render("--set=crds.enabled=false")))


def test_what_is_applied_without_helm_is_what_helm_renders() -> None:
    assert charts.MANIFEST.read_text() == charts.manifest(), "`make manifest` writes it again"


@pytest.mark.needs("kubectl")
def test_what_kustomize_makes_has_ones_own_images_and_nothing_of_helms(tmp_path: Path) -> None:
    text = access.kubectl(tmp_path / "none", "kustomize", str(charts.MANIFEST.parent))
    objects = [document for document in YAML(typ="safe").load_all(text) if document]
    assert {"Namespace", "CustomResourceDefinition", "Deployment"} <= {o["kind"] for o in objects}
    assert "helm" not in text.lower()
    found = container(objects)
    assert found["image"] == "registry.example.com/ml/distillery-operator:0.1.0"
    assert options_of(objects)["trainer-image"] == (
        "registry.example.com/ml/distillery-trainer:0.1.0"
    )
    labels = one(objects, "Namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_operator_may_not_read_secrets_and_has_no_wildcard() -> None:
    roles = [o for o in render(*WHOLE) if o["kind"] in ("Role", "ClusterRole")]
    assert len(roles) >= 4
    for rule in (rule for role in roles for rule in role["rules"]):
        assert "secrets" not in rule["resources"]
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not {"escalate", "bind", "impersonate"} & {*rule["verbs"]}


def test_an_operator_of_some_namespaces_gets_a_role_in_each_and_nothing_of_the_cluster() -> None:
    objects = render("--set=watchNamespaces={one,two}", "--set=rbac.aggregate=false")
    assert not [o for o in objects if o["kind"].startswith("ClusterRole")]
    roles = [o for o in objects if o["kind"] == "Role" and "hook" not in str(o["metadata"])]
    operators = [r for r in roles if r["metadata"]["name"] == "distillery-operator"]
    assert [r["metadata"]["namespace"] for r in operators] == ["one", "two"]
    whole = one(render(), "ClusterRole", "distillery-operator")["rules"]
    beyond = [rule for rule in whole if rule not in operators[0]["rules"]]
    assert [rule["resources"] for rule in beyond] == [["namespaces"], ["customresourcedefinitions"]]
    assert beyond[0]["resourceNames"] == ["kube-system"]
    assert "--namespace=one" in container(objects)["args"]


def container(objects: list[Object]) -> Object:
    """Return the operator's container."""
    (found,) = one(objects, "Deployment", RELEASE)["spec"]["template"]["spec"]["containers"]
    made: Object = found
    return made


@pytest.mark.parametrize(
    ("database", "place"),
    [
        ("Secret", ("distillery-database", "url")),
        ("CloudNativePG", ("distillery-database-app", "uri")),
        ("Bundled", ("distillery-database", "url")),
    ],
)
def test_the_database_is_found_by_a_file_that_follows_its_secret(
    database: str, place: tuple[str, str]
) -> None:
    pod = one(render(f"--set=database.type={database}"), "Deployment")["spec"]["template"]["spec"]
    assert found_in(pod) == place


def found_in(pod: Object) -> tuple[str, str]:
    """Return the Secret and the key of the URL in a pod with one container."""
    (made,) = pod["containers"]
    variables = {v["name"]: v.get("value") for v in made["env"]}
    file = Path(variables["DISTILLERY_DATABASE_URL_FILE"])
    (mount,) = [m for m in made["volumeMounts"] if m["mountPath"] == str(file.parent)]
    assert "subPath" not in mount  # such a file would stay what it is
    (secret,) = [v["secret"] for v in pod["volumes"] if v["name"] == mount["name"]]
    (item,) = secret["items"]
    assert item["path"] == file.name
    return secret["secretName"], item["key"]


def test_distillery_prune_finds_in_the_operators_pod_what_its_jobs_need() -> None:
    options = ("--set=trials.image.registry=mine", "--set=trials.workspace.claim=work")
    made = container(render(*options))
    own = {v["name"]: v.get("value") for v in made["env"]}
    (image,) = [a for a in made["args"] if a.startswith("--trainer-image=")]
    assert image == f"--trainer-image={own['DISTILLERY_TRAINER_IMAGE']}"
    assert own["DISTILLERY_TRAINER_IMAGE"].startswith("mine/")
    assert own["DISTILLERY_WORKSPACE_CLAIM"] == "work"
    assert "DISTILLERY_TEMPLATE" not in own
    objects = render("--set=commonLabels.cost=$(A)")
    own = {v["name"]: v.get("value") for v in container(objects)["env"]}
    given = own["DISTILLERY_TEMPLATE"].replace("$$", "$")  # as the kubelet does
    assert json.loads(given) == template_of(objects) == {"metadata": {"labels": {"cost": "$(A)"}}}


def test_the_test_deletes_what_it_leaves() -> None:
    objects = render()
    (made,) = [o for o in objects if "experiment.yaml" in o.get("data", {})]
    text = made["data"]["experiment.yaml"]
    experiment = parsing.parse(YAML(typ="safe").load(text))
    assert experiment.spec.deletion_policy == "Delete"
    assert experiment.spec.data.train is not None
    assert experiment.spec.data.train.startswith("/tmp/")  # an emptyDir, and not the workspace


def test_a_cluster_of_cloudnativepg_is_asked_for() -> None:
    options = "--set=database.type=CloudNativePG", "--set=database.cloudNativePG."
    fields = f"{options[1]}spec.resources.limits.memory=2Gi", f"{options[1]}storageClassName=fast"
    cluster = one(render(options[0], *fields), "Cluster")
    assert cluster["apiVersion"] == "postgresql.cnpg.io/v1"
    assert cluster["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert cluster["spec"] == {
        "instances": 2,
        "storage": {"size": "10Gi", "storageClass": "fast"},
        "bootstrap": {"initdb": {"database": "distillery", "owner": "distillery"}},
        "resources": {"limits": {"memory": "2Gi"}},
    }


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"initdb": {"walSegmentSize": 32}}, "initdb"),
        ({"recovery": {"backup": {"name": "nightly"}}}, "recovery"),
        ({"pg_basebackup": {"source": "old"}}, "pg_basebackup"),
    ],
)
def test_a_cluster_of_cloudnativepg_begins_in_one_way_with_the_operators_database(
    given: Object, made: str
) -> None:
    """CloudNativePG refuses two ways; database and owner are those of the Secret that it makes."""
    spec = json.dumps({"bootstrap": given})
    options = "--set=database.type=CloudNativePG", f"--set-json=database.cloudNativePG.spec={spec}"
    found = one(render(*options), "Cluster")["spec"]["bootstrap"]
    assert found == {made: {"database": "distillery", "owner": "distillery", **given[made]}}


def test_no_pod_of_the_chart_may_fill_its_node() -> None:
    objects = render(*WHOLE, *DASHBOARD)
    pods = [o["spec"] for o in objects if o["kind"] == "Pod"]
    owners = [o for o in objects if o["kind"] in ("Deployment", "StatefulSet")]
    pods += [o["spec"]["template"]["spec"] for o in owners]
    folders = [v["emptyDir"] for pod in pods for v in pod["volumes"] if "emptyDir" in v]
    assert folders == [{"sizeLimit": "64Mi"}] * len(pods)


def test_a_password_is_quoted_in_the_url_of_the_bundled_database() -> None:
    password = "pa{ss}word?/:@ 100%+"
    objects = render(
        "--set=database.type=Bundled", f"--set-literal=database.bundled.password={password}"
    )
    data = {k: base64.b64decode(v).decode() for k, v in one(objects, "Secret")["data"].items()}
    assert data["password"] == password
    url = make_url(data["url"])
    assert (url.password, url.host, url.database) == (
        password,
        "distillery-database.distillery",
        "distillery",
    )


@pytest.mark.needs("control_plane")
def test_studies_are_brought_to_a_release_before_an_upgrade_where_the_database_is_there(
    plane: ControlPlane,
) -> None:
    def upgraded(*options: str) -> list[str]:
        text = install(plane.kubeconfig, *options, "--dry-run=server")
        return re.findall(r"^  name: distillery-migrate$", text, re.MULTILINE)

    bundled = ("--set=database.type=Bundled", PASSWORD)
    assert upgraded(*bundled) == []  # it is installed for the first time
    install(plane.kubeconfig)
    assert upgraded() == upgraded(*bundled) == []  # nobody has made the Secret
    install(plane.kubeconfig, *bundled)
    assert len(upgraded(*bundled)) == len(upgraded()) == 1
    assert upgraded("--set=database.secret.name=other") == []  # another database
    assert upgraded("--set=database.type=SQLite") == []
    assert upgraded(*bundled, "--set=database.migrate.enabled=false") == []
    job = "--dry-run=server", "--output=json", "--set=extraEnv[0].name=PGSSLROOTCERT"
    hooks = json.loads(install(plane.kubeconfig, *bundled, *job))["hooks"]
    (hook,) = [h for h in hooks if h["name"] == "distillery-migrate"]
    assert hook["events"] == ["pre-upgrade"]
    strictly = ("--dry-run=server", "--validate=strict", "--filename=-")
    plane.kubectl("create", *strictly, stdin=hook["manifest"])
    spec = YAML(typ="safe").load(hook["manifest"])["spec"]
    pod = spec["template"]["spec"]
    (made,) = pod["containers"]
    assert made["args"] == ["migrate", "--lenient"]
    assert [v["name"] for v in made["env"]] == ["DISTILLERY_DATABASE_URL_FILE", "PGSSLROOTCERT"]
    assert found_in(pod) == ("distillery-database", "url")
    assert (pod["automountServiceAccountToken"], spec["activeDeadlineSeconds"]) == (False, 240)
    policy = one(render(*bundled), "NetworkPolicy", "distillery-database")
    admitted = policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    assert admitted.items() <= spec["template"]["metadata"]["labels"].items()
    access.helm(plane.kubeconfig, "uninstall", RELEASE, f"--namespace={NAMESPACE}")
    plane.kubectl("delete", "secret", "distillery-database", f"--namespace={NAMESPACE}")


def test_images_are_named_by_registry_and_digest() -> None:
    digest = f"sha256:{'a' * 64}"
    options = "--set=global.imageRegistry=mirror.example:5000", f"--set=image.digest={digest}"
    found = container(render(*options, "--set-string=trials.image.tag=2"))
    assert found["image"] == f"mirror.example:5000/distillery-operator@{digest}"
    assert "--trainer-image=mirror.example:5000/distillery-trainer:2" in found["args"]


def reaches(policy: Object, address: str, port: int) -> bool:
    """Tell whether egress rules let pods reach an address that is no pod's."""
    ip = ipaddress.ip_address(address)
    for rule in policy["spec"]["egress"]:
        anybody = [{"ipBlock": {"cidr": f"{ip}/{ip.max_prefixlen}"}}]
        blocks = [to["ipBlock"] for to in rule.get("to", anybody) if "ipBlock" in to]
        inside = any(
            ip in ipaddress.ip_network(block["cidr"])
            and not any(ip in ipaddress.ip_network(out) for out in block.get("except", []))
            for block in blocks
        )
        if inside and port in {allowed["port"] for allowed in rule["ports"]}:
            return True
    return False


def test_trials_reach_the_internet_and_neither_the_api_server_nor_a_database() -> None:
    policy = one(render(), "NetworkPolicy", "distillery-trials")
    for private in (
        "10.96.0.1",
        "192.168.7.7",
        "172.20.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "fd00::1",
        "64:ff9b::a00:1",
    ):
        for port in (443, 80, 6443, 5432):
            assert not reaches(policy, private, port)
    for public in ("151.101.0.223", "2a04:4e42::223"):
        assert reaches(policy, public, 443)
        assert not reaches(policy, public, 5432)
    closed = one(render("--set=networkPolicy.internet=false"), "NetworkPolicy", "distillery-trials")
    assert not reaches(closed, "151.101.0.223", 443)
    assert reaches(closed, "10.96.0.10", 53)
    assert reaches(closed, "10.96.0.10", 5353)  # of OpenShift
    server = "--set=networkPolicy.dns[0].ipBlock.cidr=10.96.0.10/32"
    asked = one(render(server), "NetworkPolicy", "distillery-trials")
    assert reaches(asked, "10.96.0.10", 53)
    assert not reaches(asked, "151.101.0.223", 53)
    assert not [
        o for o in render("--set=networkPolicy.enabled=false") if o["kind"] == "NetworkPolicy"
    ]


def test_what_the_operator_may_reach_can_be_named() -> None:
    """By the sample of the page on security: the API server, the database, and nothing else."""
    sample = YAML(typ="safe").load(documentation.yaml("docs/security.md", "operatorEgress"))
    given = f"--set-json=networkPolicy={json.dumps(sample['networkPolicy'])}"
    objects = render(*DASHBOARD, given)
    for name in ("distillery", "distillery-optuna"):
        policy = one(objects, "NetworkPolicy", name)
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert policy["spec"]["ingress"]
        assert reaches(policy, "10.0.0.1", 6443)
        assert reaches(policy, "10.0.7.7", 5432)
        assert reaches(policy, "10.96.0.10", 53)
        assert not reaches(policy, "151.101.0.223", 443)
        assert not reaches(policy, "10.0.0.1", 443)
        trials = [rule for rule in policy["spec"]["egress"] if "metrics" in str(rule["ports"])]
        (to,) = trials[0]["to"]
        labels = {"app.kubernetes.io/managed-by": "distillery"}
        assert to == {"namespaceSelector": {}, "podSelector": {"matchLabels": labels}}
        free = one(render(*DASHBOARD), "NetworkPolicy", name)["spec"]
        assert free["policyTypes"] == ["Ingress"]


def test_dashboards_and_alerts_are_taken_as_they_are() -> None:
    on = [f"--set=metrics.{part}.enabled=true" for part in ("dashboards", "prometheusRule")]
    page = "docs/runbooks.md"
    on += [f"--set=metrics.prometheusRule.runbooks=https://wiki.example/{page}"]
    objects = render(*on, "--set=metrics.prometheusRule.additionalLabels.release=prom")
    texts = [path.read_text() for path in sorted((CHART / "rules").glob("*.yaml"))]
    rules = [YAML(typ="safe").load(t.replace(page, f"https://wiki.example/{page}")) for t in texts]
    assert rules
    made = [o for o in objects if o["kind"] == "PrometheusRule"]
    assert [o["spec"] for o in made] == rules
    assert {o["metadata"]["labels"]["release"] for o in made} == {"prom"}
    boards = {path.name: path.read_text() for path in (CHART / "dashboards").glob("*.json")}
    found = [o for o in objects if o["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert {k: v for o in found for k, v in o["data"].items()} == boards


def test_an_alert_is_changed_by_its_name() -> None:
    alerts = "--set=metrics.prometheusRule.enabled=true", "--set=metrics.prometheusRule.alerts."
    changes = (
        f"{alerts[1]}DistilleryQueueStuck.threshold=900",
        f"{alerts[1]}DistilleryQueueStuck.for=1h",
        f"{alerts[1]}DistilleryQueueStuck.labels.severity=critical",
        f"{alerts[1]}DistilleryWatchStale.enabled=false",
    )

    def found(*options: str) -> dict[str, Object]:
        groups = [
            o["spec"]["groups"]
            for o in render(alerts[0], *options)
            if "groups" in o.get("spec", {})
        ]
        return {
            rule["alert"]: rule
            for group in groups
            for part in group
            for rule in part["rules"]
            if "alert" in rule
        }

    before, after = found(), found(*changes)
    assert before.keys() - after.keys() == {"DistilleryWatchStale"}
    stuck = after["DistilleryQueueStuck"]
    assert stuck["expr"].endswith("> 900")
    assert (stuck["for"], stuck["labels"]["severity"]) == ("1h", "critical")
    assert [name for name, rule in after.items() if rule != before[name]] == [
        "DistilleryQueueStuck"
    ]
    with pytest.raises(Refused, match="must name alerts that there are, but got DistilleryNone"):
        found(f"{alerts[1]}DistilleryNone.enabled=false")
    with pytest.raises(Refused, match=r"DistilleryOperatorDown\.threshold must not be set"):
        found(f"{alerts[1]}DistilleryOperatorDown.threshold=1")


def test_an_alert_leads_to_where_the_runbooks_are_or_nowhere() -> None:
    elsewhere = "https://wiki.example/distillery"

    def links(address: str) -> dict[str, str | None]:
        on = "--set=metrics.prometheusRule.enabled=true"
        objects = render(on, f"--set=metrics.prometheusRule.runbooks={address}")
        made = [o for o in objects if o["kind"] == "PrometheusRule"]
        rules = [rule for o in made for group in o["spec"]["groups"] for rule in group["rules"]]
        alerts = [rule for rule in rules if "alert" in rule]
        return {rule["alert"]: rule["annotations"].get("runbook_url") for rule in alerts}

    found = links(elsewhere)
    assert found
    assert found == {name: f"{elsewhere}#{name.lower()}" for name in found}
    assert links("") == dict.fromkeys(found)


@pytest.mark.needs("control_plane")
def test_an_api_server_takes_every_set_of_values_that_is_shown_to_people(
    plane: ControlPlane, tmp_path: Path
) -> None:
    monitoring.define(plane)
    plane.kubectl("create", "namespace", "squad")
    files = list(SAMPLES)
    for page in ("README", "docs/cluster", "docs/observe", "docs/security", "docs/sizing"):
        for number, sample in enumerate(documentation.samples(f"{page}.md")):
            (first, *others) = YAML(typ="safe").load_all(sample)
            if not others and set(first) <= set(values()):
                files.append(tmp_path / f"{Path(page).name}-{number}.yaml")
                files[-1].write_text(sample)
    assert len(files) >= len(SAMPLES) + 7
    for file in files:
        install(plane.kubeconfig, f"--values={file}", "--no-hooks")
        place = f"--namespace={NAMESPACE}"
        access.helm(plane.kubeconfig, "uninstall", RELEASE, place, "--no-hooks")
        plane.kubectl("delete", "pvc", "--all", "--namespace=squad")  # it stays
    plane.kubectl("delete", "namespace", "squad", "--wait=false")


def define_clusters_of_cloudnativepg(plane: ControlPlane) -> None:
    sources = go.fetched("cloudnative-pg", "github.com/cloudnative-pg/cloudnative-pg")
    definitions.apply_files(plane, [sources / "config/crd/bases/postgresql.cnpg.io_clusters.yaml"])


@pytest.mark.needs("control_plane")
def test_an_api_server_takes_a_release_of_every_kind(plane: ControlPlane, tmp_path: Path) -> None:
    monitoring.define(plane)
    define_clusters_of_cloudnativepg(plane)
    restored = tmp_path / "restored.yaml"
    restored.write_text(documentation.yaml("docs/database.md", "bootstrap"))
    observed = [
        f"--set=metrics.{part}.enabled=true"
        for part in ("serviceMonitor", "podMonitor", "prometheusRule", "dashboards")
    ]
    whole = (*WHOLE, *DASHBOARD, *observed, "--set=admissionPolicy.enabled=true")
    clusters = ("--set=database.type=CloudNativePG", f"--values={restored}")
    for options in ((), whole, *([option] for option in clusters), ["--set=database.type=SQLite"]):
        install(plane.kubeconfig, *options)
    odd = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "dta": {}}
    with pytest.raises(Refused, match="dta"):  # so no field of the others is misspelt
        install(plane.kubeconfig, f"--set-json=extraObjects=[{json.dumps(odd)}]", "--no-hooks")
    plane.kubectl("get", "dexp", "--all-namespaces")
    deployment = json.loads(
        plane.kubectl("get", "deployment", RELEASE, f"--namespace={NAMESPACE}", "--output=json")
    )
    assert deployment["spec"]["strategy"]["type"] == "Recreate"  # the last one has SQLite
    access.helm(plane.kubeconfig, "uninstall", RELEASE, f"--namespace={NAMESPACE}")
    assert "distillationexperiments" in plane.kubectl("get", "crd", "--output=name")
