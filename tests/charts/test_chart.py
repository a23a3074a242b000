"""The chart: what it renders, by Helm 4 and Helm 3, and what a real API server makes of it."""

import base64
import ipaddress
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML
from sqlalchemy.engine import make_url

from support import charts, monitoring
from support.charts import CHART, NAMESPACE, RELEASE, Object, install, kinds, one, render
from support.cluster import ControlPlane, Refused, access

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


def test_every_value_is_used() -> None:
    templates = "".join(path.read_text() for path in (CHART / "templates").rglob("*.*"))
    words = set(re.findall(r"\w+", templates))
    assert {path for path in FREE if path.rpartition(".")[2] not in words} == set()


def test_the_chart_installs_the_operator_of_its_own_version() -> None:
    chart = YAML(typ="safe").load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "operator" / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"]


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
    assert deployment["spec"]["strategy"] == {"type": "RollingUpdate"}
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--lease={NAMESPACE}/{RELEASE}" in arguments
    (role,) = [o for o in objects if o["metadata"]["name"] == f"{RELEASE}-operator-lease"
               and o["kind"] == "Role"]  # fmt: skip
    assert role["metadata"]["namespace"] == NAMESPACE
    assert [rule.get("resourceNames") for rule in role["rules"]] == [None, [RELEASE]]
    with pytest.raises(Refused, match="replicas must be 1 with a database of type SQLite"):
        render("--set=replicas=2", "--set=database.type=SQLite")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("replicas=0", "replicas"),
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
        ("Role", "distillery-trials"),
        ("Service", "distillery"),
        ("Deployment", "distillery"),
    ]


def test_the_dashboard_is_read_by_a_user_of_its_own_on_a_host_of_its_own() -> None:
    on = "--set=optunaDashboard.enabled=true"
    pods, named = "Deployment", "distillery-optuna"
    own = one(render(on, "--set=optunaDashboard.secret.name=reader"), pods, named)
    (container,) = own["spec"]["template"]["spec"]["containers"]
    assert container["env"][0]["valueFrom"]["secretKeyRef"] == {"name": "reader", "key": "url"}
    assert container["args"] == ["dashboard", "--port=8082"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert own["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    with pytest.raises(Refused, match="host of its own"):
        render(on, "--set=optunaDashboard.ingress.enabled=true")
    with pytest.raises(Refused, match="needs PostgreSQL"):
        render(on, "--set=database.type=SQLite")
    closed = one(render(on), "NetworkPolicy", named)["spec"]
    assert (closed["policyTypes"], closed["ingress"]) == (["Ingress"], [])
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
    assert [rule["resources"] for rule in beyond] == [["customresourcedefinitions"]]
    assert "--namespace=one" in container(objects)["args"]


def container(objects: list[Object]) -> Object:
    """Return the operator's container."""
    (found,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    made: Object = found
    return made


@pytest.mark.parametrize(
    ("database", "place"),
    [
        ("Secret", {"name": "distillery-database", "key": "url"}),
        ("CloudNativePG", {"name": "distillery-database-app", "key": "uri"}),
        ("Bundled", {"name": "distillery-database", "key": "url"}),
    ],
)
def test_the_database_is_found_by_a_secret(database: str, place: Object) -> None:
    (variable,) = container(render(f"--set=database.type={database}"))["env"]
    assert variable["name"] == "DISTILLERY_DATABASE_URL"
    assert variable["valueFrom"] == {"secretKeyRef": place}


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
    assert [v["name"] for v in made["env"]] == ["DISTILLERY_DATABASE_URL", "PGSSLROOTCERT"]
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
        blocks = [
            to["ipBlock"]
            for to in rule.get("to", [{"ipBlock": {"cidr": f"{ip}/{ip.max_prefixlen}"}}])
        ]
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
        "fd00::1",
    ):
        for port in (443, 80, 6443, 5432):
            assert not reaches(policy, private, port)
    for public in ("151.101.0.223", "2a04:4e42::223"):
        assert reaches(policy, public, 443)
        assert not reaches(policy, public, 5432)
    closed = one(render("--set=networkPolicy.internet=false"), "NetworkPolicy", "distillery-trials")
    assert not reaches(closed, "151.101.0.223", 443)
    assert reaches(closed, "10.96.0.10", 53)
    assert not [
        o for o in render("--set=networkPolicy.enabled=false") if o["kind"] == "NetworkPolicy"
    ]


def test_dashboards_and_alerts_are_taken_as_they_are() -> None:
    on = [f"--set=metrics.{part}.enabled=true" for part in ("dashboards", "prometheusRule")]
    objects = render(*on, "--set=metrics.prometheusRule.additionalLabels.release=prom")
    rules = sorted((CHART / "rules").glob("*.yaml"))
    made = [o for o in objects if o["kind"] == "PrometheusRule"]
    assert [o["spec"] for o in made] == [YAML(typ="safe").load(path.read_text()) for path in rules]
    assert rules
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


def test_runbooks_may_be_kept_elsewhere() -> None:
    on = "--set=metrics.prometheusRule.enabled=true"
    elsewhere = "https://wiki.example/distillery"
    objects = render(on, f"--set=metrics.prometheusRule.runbooks={elsewhere}")
    made = [o for o in objects if o["kind"] == "PrometheusRule"]
    rules = [rule for o in made for group in o["spec"]["groups"] for rule in group["rules"]]
    links = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule}
    assert links == {name: f"{elsewhere}#{name.lower()}" for name in links}
    assert links


@pytest.mark.needs("control_plane")
def test_an_api_server_takes_a_release_of_every_kind(plane: ControlPlane) -> None:
    """But a CloudNativePG Cluster, whose definition is not to be had here."""
    monitoring.define(plane)
    observed = [
        f"--set=metrics.{part}.enabled=true"
        for part in ("serviceMonitor", "podMonitor", "prometheusRule", "dashboards")
    ]
    whole = (*WHOLE, *DASHBOARD, *observed, "--set=admissionPolicy.enabled=true")
    for options in ((), whole, ("--set=database.type=SQLite",)):
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


@pytest.mark.parametrize(
    ("database", "secret"),
    [
        ("Secret", "distillery/distillery-database"),
        ("CloudNativePG", "distillery/distillery-database-app"),
        ("Bundled", "distillery/distillery-database"),
        ("SQLite", None),
    ],
)
def test_the_operator_knows_the_secret_that_no_template_may_name(
    database: str, secret: str | None
) -> None:
    arguments = container(charts.render(f"--set=database.type={database}"))["args"]
    named = [a.partition("=")[2] for a in arguments if a.startswith("--database-secret")]
    assert named == ([secret] if secret else [])
    assert "--allow-credentials" not in arguments


def test_a_platform_may_allow_credentials() -> None:
    objects = charts.render(
        "--set=trials.allowCredentials=true", "--set=admissionPolicy.enabled=true"
    )
    assert "--allow-credentials" in container(objects)["args"]
    (policy,) = [o for o in objects if o["kind"] == "ValidatingAdmissionPolicy"]
    assert "automountServiceAccountToken" not in str(policy)
