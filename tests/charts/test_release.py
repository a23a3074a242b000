"""Releases of the chart on a real API server: installed, upgraded, used and uninstalled.

No node runs the operator's pod, so that a process stands in for it: with the pod's own arguments
and its service account's rights. A pretend kubelet runs the trials.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from distillery_operator.resource import label_names
from support import charts, definitions, kubelet, worlds
from support.charts import CHART, NAMESPACE, RELEASE, Object
from support.cluster import ControlPlane, Refused, access
from support.cluster.access import Cluster
from support.operators import COMMAND, Operator, until
from support.programs import go
from support.spaces import Space

DOCS = CHART.parents[1] / "docs"

SECONDS = 1.5
"""Run time of a trial: long enough for others to run while a release changes."""


pytestmark = pytest.mark.needs("control_plane", "helm")


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of this module's own, with a pretend kubelet."""
    with (
        ControlPlane(tmp_path_factory.mktemp("release") / "plane") as plane,
        kubelet.playing(kubelet.Kubelet(plane.kubeconfig, SECONDS)),
    ):
        yield plane


@pytest.fixture
def plane(control: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane with nothing on it but, maybe, the CRD of an earlier release."""
    control.kubectl("create", "namespace", NAMESPACE)
    yield control
    place = f"--namespace={NAMESPACE}"
    access.helm(control.kubeconfig, "uninstall", RELEASE, place, "--ignore-not-found")
    control.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def deployed(cluster: Cluster, folder: Path) -> Operator:
    """Return the operator of a release as a process: its arguments, its service account."""
    pod = deployment(cluster)["spec"]["template"]["spec"]
    kubeconfig = of_account(cluster, folder, pod["serviceAccountName"])
    _, *arguments = pod["containers"][0]["args"]
    return Operator(kubeconfig, f"sqlite:///{folder}", folder / "operator.log", *arguments)


def of_account(cluster: Cluster, folder: Path, account: str) -> Path:
    """Write a kubeconfig with the rights of a service account of the release."""
    token = cluster.kubectl(f"--namespace={NAMESPACE}", "create", "token", account)
    config = YAML(typ="safe").load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token.strip()}
    path = folder / f"{account}.kubeconfig"
    path.write_text(json.dumps(config))
    return path


def deployment(cluster: Cluster) -> Object:
    asked = "get", "deployment", RELEASE, f"--namespace={NAMESPACE}", "--output=json"
    found: Object = json.loads(cluster.kubectl(*asked))
    return found


def older(folder: Path) -> Path:
    """Return a copy of the chart as an earlier version of it."""
    copy = folder / "older"
    shutil.copytree(CHART, copy)
    chart = copy / "Chart.yaml"
    text = chart.read_text()
    version = YAML(typ="safe").load(text)["version"]
    chart.write_text(text.replace(f"ersion: {version}", "ersion: 0.0.1"))
    return copy


def test_an_upgrade_keeps_what_runs_and_an_uninstall_keeps_what_is_known(
    plane: ControlPlane, tmp_path: Path
) -> None:
    charts.install(plane.kubeconfig, chart=older(tmp_path))
    space = Space(plane)
    with deployed(plane, tmp_path):
        space.apply(maxTrials=10, parallelism=2)
        until(lambda: space.status().get("trials", {}).get("completed", 0) >= 2)
    before = deployment(plane)
    charts.install(plane.kubeconfig, "--set=trials.queueName=gpus")
    after = deployment(plane)
    images = [d["spec"]["template"]["spec"]["containers"][0]["image"] for d in (before, after)]
    assert images[0] == "distillery-operator:0.0.1" != images[1]
    with deployed(plane, tmp_path) as operator:
        until(lambda: space.condition("TrainerAccepted").get("reason") == "TrainerChanged")
        assert "distillery-trainer:0.0.1" in space.condition("TrainerAccepted")["message"]
        space.patch(trainerChange="Allow")
        until(space.reached("Succeeded"))
        counts = space.status()["trials"]
        assert (counts["total"], counts["failed"], counts["infeasible"]) == (10, 0, 0)
        jobs = space.trials()
        assert len(jobs) == 10, "none was started again"
        assert {j["metadata"]["labels"].get(label_names.QUEUE) for j in jobs} == {None, "gpus"}
        space.apply(name="other", maxTrials=40, parallelism=4)
        until(lambda: space.state("other") == "Running" and len(space.live()) == 4)
        assert operator.exit_code is None
    access.helm(plane.kubeconfig, "uninstall", RELEASE, f"--namespace={NAMESPACE}", "--wait")
    assert space.state() == "Succeeded"
    assert space.status()["front"]
    assert space.state("other") == "Running"
    assert left(plane) == {"customresourcedefinition.apiextensions.k8s.io"}
    space.kubectl("delete", "dexp", "--all", "--timeout=30s")
    until(lambda: not space.objects("jobs") and not space.objects("pods"))
    plane.kubectl("delete", "namespace", space.name, NAMESPACE, "--timeout=60s")
    assert "distillationexperiments" in plane.kubectl("get", "crd", "--output=name")


def test_a_definition_that_is_there_is_taken_over(plane: ControlPlane) -> None:
    plane.kubectl("delete", "crd", "--all")
    plane.kubectl("apply", "--server-side", f"--filename={CHART / 'files' / 'crd.yaml'}")
    with pytest.raises(Refused, match="invalid ownership metadata"):
        charts.install(plane.kubeconfig)
    charts.install(plane.kubeconfig, "--take-ownership")
    charts.install(plane.kubeconfig, "--set=trials.queueName=gpus")


def left(cluster: Cluster) -> set[str]:
    """Return the kinds of objects that a release has left."""
    listed = "--verbs=list", "--output=name"
    kinds = ",".join(cluster.kubectl("api-resources", *listed).split())
    selector = f"--selector=app.kubernetes.io/instance={RELEASE},app.kubernetes.io/part-of"
    names = cluster.kubectl("get", kinds, "--all-namespaces", selector, "--output=name")
    return {name.partition("/")[0] for name in names.split()}


def test_an_operator_of_some_namespaces_needs_no_rights_elsewhere(
    plane: ControlPlane, tmp_path: Path
) -> None:
    watched, other, earlier = Space(plane), Space(plane), len(plane.audit_log.read_text())
    charts.install(plane.kubeconfig, f"--set=watchNamespaces={{{watched.name}}}")
    with deployed(plane, tmp_path) as operator:
        for space in (watched, other):
            space.apply(maxTrials=2)
        until(watched.reached("Succeeded"))
        assert operator.exit_code is None
    assert other.status() == {}
    user = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
    entries = map(json.loads, plane.audit_log.read_text()[earlier:].splitlines())
    answers = {
        (e["objectRef"].get("namespace"), e["responseStatus"]["code"] // 100)
        for e in entries
        if e["user"]["username"] == user
        and e.get("objectRef", {}).get("resource", "leases") != "leases"
    }
    which_cluster = ("kube-system", 4)  # asked once; it works without the answer
    assert answers == {(watched.name, 2), which_cluster}


def test_a_namespace_that_refuses_holds_up_no_other_and_comes_back_without_a_restart(
    plane: ControlPlane, tmp_path: Path
) -> None:
    lost, other = Space(plane), Space(plane)
    charts.install(plane.kubeconfig, f"--set=watchNamespaces={{{lost.name},{other.name}}}")
    watched = f'distillery_namespace_watched{{namespace="{lost.name}"}}'
    with deployed(plane, tmp_path) as operator:
        until(lambda: operator.serving and operator.metrics().get(watched) == 1)
        binding = lost.kubectl("get", "rolebinding", "distillery-operator", "--output=json")
        lost.kubectl("delete", "rolebinding", "distillery-operator")
        until(lambda: operator.metrics()[watched] == 0)
        for space in (lost, other):
            space.apply(maxTrials=2)
        until(other.reached("Succeeded"))
        assert lost.status() == {}
        metadata = {"name": "distillery-operator", "namespace": lost.name}
        again = {**json.loads(binding), "metadata": metadata}
        lost.kubectl("create", "--filename=-", stdin=json.dumps(again))
        until(lost.reached("Succeeded"))
        assert operator.exit_code is None


def test_namespaces_are_followed_by_their_labels_without_a_restart(
    plane: ControlPlane, tmp_path: Path
) -> None:
    space = Space(plane)
    charts.install(plane.kubeconfig, "--set=watchNamespaceSelector.matchLabels.team=nlp")
    with deployed(plane, tmp_path) as operator:
        until(lambda: operator.serving)
        space.apply(maxTrials=2)
        plane.kubectl("label", "namespace", space.name, "team=nlp")
        until(space.reached("Succeeded"))
        plane.kubectl("label", "namespace", space.name, "team-")
        until(lambda: "NotWatched" in space.kubectl("get", "events"))
        assert operator.exit_code is None


def test_a_template_names_only_the_service_accounts_that_are_allowed(
    plane: ControlPlane, tmp_path: Path
) -> None:
    charts.install(plane.kubeconfig, "--set=trials.serviceAccounts={trainer}")
    space = Space(plane)
    for account in ("trainer", "deployer"):
        space.kubectl("create", "serviceaccount", account)
    with deployed(plane, tmp_path):
        space.apply(maxTrials=2, template={"spec": {"serviceAccountName": "deployer"}})
        until(lambda: space.condition("TemplateValid").get("status") == "False")
        assert space.condition("TemplateValid")["message"] == (
            "spec.template.spec.serviceAccountName: must be one that the operator allows trials,"
            ' ["default","trainer"], but got "deployer"'
        )
        assert space.objects("jobs") == []
        space.patch(template={"spec": {"serviceAccountName": "trainer"}})
        until(space.reached("Succeeded"))
    accounts = {p["spec"]["serviceAccountName"] for p in space.objects("pods")}
    assert accounts == {"trainer"}


def blocks(word: str) -> list[str]:
    """Return the blocks of YAML of docs/cluster.md that have a word in them."""
    found = re.findall(r"```yaml\n(.*?)```", (DOCS / "cluster.md").read_text(), re.DOTALL)
    return [block for block in found if word in block]


def test_the_queues_of_the_documentation_are_what_kueue_takes(plane: ControlPlane) -> None:
    crds = go.fetched("kueue", "sigs.k8s.io/kueue") / "config" / "components" / "crd" / "bases"
    plurals = ("resourceflavors", "clusterqueues", "localqueues")
    files = [crds / f"kueue.x-k8s.io_{plural}.yaml" for plural in plurals]
    definitions.apply_files(plane, files)
    (queues,) = blocks("kind: LocalQueue")
    place = f"--namespace={NAMESPACE}"
    said = plane.kubectl("create", place, "--filename=-", stdin=queues)
    assert said.count(" created") == len(plurals)
    plane.kubectl("delete", *(f"--filename={file}" for file in files))


def test_the_templates_of_the_documentation_are_taken(plane: ControlPlane, tmp_path: Path) -> None:
    specs = [YAML(typ="safe").load(block) for block in blocks("  template:\n")]
    assert len(specs) >= 3
    charts.install(plane.kubeconfig)
    space = Space(plane)
    plane.kubectl("create", "priorityclass", "batch", "--value=1")
    with deployed(plane, tmp_path):
        for number, spec in enumerate(specs):
            space.apply(f"sample-{number}", **spec)
        for number in range(len(specs)):
            name = f"sample-{number}"
            until(partial(space.condition, "TemplateValid", name))
            condition = space.condition("TemplateValid", name)
            assert condition["status"] == "True", condition["message"]
    space.kubectl("delete", "dexp", "--all")


def test_the_admission_policy_refuses_what_the_operator_would(plane: ControlPlane) -> None:
    options = "--set=admissionPolicy.enabled=true", "--set=trials.serviceAccounts={trainer}"
    charts.install(plane.kubeconfig)
    space = Space(plane)
    space.apply("older", maxTrials=2, template={"spec": {"automountServiceAccountToken": True}})
    charts.install(plane.kubeconfig, *options)
    wanted = "spec.template.spec.serviceAccountName must be one that trials may have"
    until(lambda: refusal(space, {"serviceAccountName": "deployer"}))  # a policy takes a moment
    assert wanted in refusal(space, {"serviceAccountName": "deployer"})
    assert wanted in refusal(space, {"serviceAccount": "deployer"})
    assert wanted in refusal(space, {"serviceAccountName": ["default"]})
    assert "need no API token" in refusal(space, {"automountServiceAccountToken": True})
    token = projected({"configMap": {"name": "a"}}, {"serviceAccountToken": {"path": "t"}})
    assert "must have no projected serviceAccountToken" in refusal(space, token)
    for spec in (
        {},
        {"serviceAccountName": "trainer"},
        {"serviceAccountName": "default"},
        projected({"configMap": {"name": "a"}}),
        {"volumes": "none"},
        {"volumes": [7, {"name": "a", "projected": {"sources": "none"}}]},
    ):
        assert refusal(space, spec) == ""
    space.apply("silent", maxTrials=2)
    space.apply("odd", maxTrials=2, template={"spec": "no object"})
    space.patch("silent", maxTrials=3)
    with pytest.raises(Refused, match=wanted):
        space.patch("silent", template={"spec": {"serviceAccountName": "deployer"}})
    edit_what_is_older_than_the_policy(space)
    let_only_the_platform_give_a_template(plane, space)


def let_only_the_platform_give_a_template(plane: ControlPlane, space: Space) -> None:
    """But to the chart's own test, which makes its data in a container of its template."""
    tried = f"{NAMESPACE}:{RELEASE}-try"
    space.kubectl(
        "create", "rolebinding", "try", "--clusterrole=admin", f"--serviceaccount={tried}"
    )
    only = "--set=admissionPolicy.enabled=true", "--set=admissionPolicy.templates=false"
    charts.install(plane.kubeconfig, *only)
    until(lambda: "spec.template must be absent" in refusal(space, {}))
    until(lambda: refusal(space, {}, f"--as=system:serviceaccount:{tried}") == "")
    space.apply("plain", maxTrials=2)
    space.patch("odd", maxTrials=3)


def projected(*sources: Object) -> Object:
    return {"volumes": [{"name": "all", "projected": {"sources": [*sources]}}]}


def edit_what_is_older_than_the_policy(space: Space) -> None:
    """Everything but its template may be, and nothing holds up its end."""
    space.patch("older", suspend=True, maxTrials=5)
    space.kubectl("label", "dexp", "older", "team=nlp")
    with pytest.raises(Refused, match="need no API token"):
        space.patch("older", template={"spec": {"automountServiceAccountToken": True, "a": 1}})
    held = ("patch", "dexp", "older", "--type=merge", "--patch")
    space.kubectl(*held, json.dumps({"metadata": {"finalizers": ["example.com/hold"]}}))
    space.kubectl("delete", "dexp", "older", "--wait=false")
    space.kubectl(*held, json.dumps({"metadata": {"finalizers": None}}))
    until(lambda: not space.kubectl("get", "dexp", "older", "--ignore-not-found"))


def refusal(space: Space, spec: Object, *options: str) -> str:
    """Return why an experiment with a pod spec is not taken."""
    document = worlds.document(template={"spec": spec})
    name = document["metadata"]["name"]
    try:
        space.kubectl("create", *options, "--filename=-", stdin=json.dumps(document))
    except Refused as error:
        return str(error)
    space.kubectl("delete", "dexp", name)
    return ""


def test_who_may_view_or_edit_a_namespace_may_view_or_edit_its_experiments(
    plane: ControlPlane,
) -> None:
    charts.install(plane.kubeconfig)
    space = Space(plane)
    for role in ("view", "edit", "admin"):
        space.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}")

    def may(role: str, verb: str, part: str = "") -> bool:
        resource = "distillationexperiments.distillery.dev", f"--subresource={part}"
        asked = "auth", "can-i", verb, *resource, f"--as={role}"
        try:
            return space.kubectl(*asked).strip() == "yes"
        except Refused:
            return False

    until(lambda: may("view", "list"))  # the roles are put together meanwhile
    until(lambda: may("admin", "create"))
    for verb, roles in {
        "get": {"view", "edit", "admin"},
        "watch": {"view", "edit", "admin"},
        "create": {"edit", "admin"},
        "patch": {"edit", "admin"},
        "delete": {"edit", "admin"},
    }.items():
        assert {role for role in ("view", "edit", "admin") if may(role, verb)} == roles
    assert may("edit", "patch", "scale")
    assert not may("admin", "patch", "status")


@pytest.mark.parametrize(
    ("options", "told", "untold"),
    [
        (
            (),
            ["waits for this Secret", "Make the PersistentVolumeClaim", "no prometheus.url"],
            ["no trials.workspace.claim", "bundled PostgreSQL", "crds.enabled"],
        ),
        (
            (
                "--set=database.type=Bundled",
                "--set=trials.workspace.create=true",
                "--set=prometheus.url=http://prometheus",
                "--set=crds.enabled=false",
            ),
            ["bundled PostgreSQL is for trying out", "crds.enabled is false"],
            ["waits for this Secret", "Make the PersistentVolumeClaim", "no prometheus.url"],
        ),
        (
            ("--set=database.type=SQLite", "--set=trials.workspace.claim="),
            ["SQLite is for one node", "no trials.workspace.claim"],
            ["waits for this Secret", "Make the PersistentVolumeClaim"],
        ),
    ],
)
def test_an_install_tells_what_to_do_next_and_what_is_not_set(
    plane: ControlPlane, options: tuple[str, ...], told: list[str], untold: list[str]
) -> None:
    notes = charts.install(plane.kubeconfig, *options, "--dry-run=server")
    assert [words for words in told if words not in notes] == []
    assert [words for words in untold if words in notes] == []
    assert f"helm test {RELEASE} --namespace {NAMESPACE}" in notes


def test_a_secret_that_is_there_is_not_asked_for(plane: ControlPlane) -> None:
    secret = "create", "secret", "generic", "distillery-database", "--from-literal=url=x"
    plane.kubectl(*secret, f"--namespace={NAMESPACE}")
    assert "waits for this Secret" not in charts.install(plane.kubeconfig, "--dry-run=server")


def test_pods_are_admitted_where_only_restricted_ones_are(plane: ControlPlane) -> None:
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    plane.kubectl("label", "namespace", NAMESPACE, enforce)
    charts.install(plane.kubeconfig, "--set=database.type=Bundled")

    def pods() -> set[Any]:
        text = plane.kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=json")
        labels = [pod["metadata"]["labels"] for pod in json.loads(text)["items"]]
        return {of.get("app.kubernetes.io/component") for of in labels}

    until(lambda: pods() >= {"operator", "database"})


def test_the_bundled_database_keeps_its_password(plane: ControlPlane) -> None:
    def secret() -> Any:
        asked = "get", "secret", f"{RELEASE}-database", f"--namespace={NAMESPACE}"
        return json.loads(plane.kubectl(*asked, "--output=json"))["data"]

    bundled = "--set=database.type=Bundled"
    charts.install(plane.kubeconfig, bundled)
    first = secret()
    assert set(first) == {"password", "url"}
    # No node here runs the pod that migrates studies before an upgrade; test_chart holds that hook.
    upgraded = ("--set=database.migrate.enabled=false", "--set=trials.queueName=gpus")
    charts.install(plane.kubeconfig, bundled, *upgraded)
    assert secret() == first
    access.helm(plane.kubeconfig, "uninstall", RELEASE, f"--namespace={NAMESPACE}")
    charts.install(plane.kubeconfig, bundled)
    assert secret() == first, "the database's volume stays, and with it the password"


def test_the_charts_own_test_sees_an_experiment_end_and_leaves_nothing(
    plane: ControlPlane, tmp_path: Path
) -> None:
    """``helm test``, but that its pod is a process with the pod's arguments and rights."""
    charts.install(plane.kubeconfig)
    hooks = charts.render("--show-only=templates/tests/try.yaml")
    pod = charts.one(hooks, "Pod")
    for hook in (hook for hook in hooks if hook is not pod):
        plane.kubectl("apply", "--filename=-", stdin=json.dumps(hook))
    (container,) = pod["spec"]["containers"]
    *options, place = container["args"]
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == "experiment"]
    (name,) = (data := charts.one(hooks, "ConfigMap")["data"])
    assert place == f"{mount['mountPath']}/{name}"
    file = tmp_path / name
    file.write_text(data[name])
    kubeconfig = of_account(plane, tmp_path, pod["spec"]["serviceAccountName"])

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *options, *more, str(file)],
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        )

    alone = run("--timeout-seconds=2")
    assert alone.returncode == 2, alone.stderr
    assert "no operator has looked at it" in alone.stdout
    assert alone.stderr == "the experiment must end within 2 s, but it has not\n"
    with deployed(plane, tmp_path):
        done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Succeeded; 2/2" in done.stdout
    assert plane.kubectl("get", "dexp", f"--namespace={NAMESPACE}", "--output=name") == ""
