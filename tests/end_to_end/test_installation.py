"""Everything at once, as a platform team and its users have it.

The chart runs on a real node, with its database, Prometheus and the images that the repository's
Dockerfiles make; every pod is a restricted one.
"""

import copy
import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from distillery_operator.cluster import documents
from distillery_operator.resource import label_names
from distillery_quickstart import build
from support import charts, documentation, spaces, stack, worlds
from support.cluster import Node, Refused, access, images
from support.documentation import ROOT, Command
from support.fixtures.servers import Chromium
from support.operators import until

pytestmark = pytest.mark.needs("helm", "images", "node")

QUICKSTART = ROOT / "manifests" / "samples" / "quickstart.yaml"
ACCOUNT = f"system:serviceaccount:{stack.OPERATOR}:{charts.RELEASE}"
TRIALS = 4  # the three baselines and a suggestion

Object = dict[str, Any]
Right = tuple[str, str, str]  # API group, resource, verb


@dataclass(frozen=True)
class Installed:
    """The node, with everything on it, and the folder of its volumes."""

    node: Node
    folder: Path
    audited: int  # bytes of the audit log that are older

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        words = (f"--namespace={stack.TEAM}", *arguments)
        return self.node.plane.kubectl(*words, stdin=stdin)

    def apply(self, document: Object) -> None:
        self.kubectl("apply", "--filename=-", stdin=json.dumps(document))

    def object(self, kind: str, name: str) -> Object:
        found: Object = json.loads(self.kubectl("get", kind, name, "--output=json"))
        return found

    def status(self, name: str) -> Object:
        status: Object = self.object("dexp", name).get("status", {})
        return status

    def query(self, query: str) -> list[Object]:
        """Return what an instant query of the cluster's Prometheus finds."""
        words = urllib.parse.urlencode({"query": query})
        address = stack.addresses(self.node.plane)["Prometheus"]
        with urllib.request.urlopen(f"{address}/api/v1/query?{words}", timeout=10) as answer:
            found: list[Object] = json.load(answer)["data"]["result"]
        return found

    def requests(self) -> list[Object]:
        """Return what the operator asked of the API server, from the audit log."""
        with self.node.plane.audit_log.open() as log:
            log.seek(self.audited)
            entries = [json.loads(line) for line in log if ACCOUNT in line]
        return [entry for entry in entries if entry["user"]["username"] == ACCOUNT]


@pytest.fixture(scope="module")
def installed(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The chart and everything it needs, without an experiment."""
    folder = tmp_path_factory.mktemp("volumes")
    build.build(folder / "workspace", build.default_cache())
    for split in ("train", "validation"):
        shorten(folder / "workspace" / f"{split}.json")
    stack.hand_over(folder / "workspace")
    for image in [*stack.parts(), images.quick_trainer()]:
        node.load(image.archive)
    spaces.uninstall(node.plane)  # another module's
    for name in stack.NAMESPACES:
        assert not node.plane.kubectl("get", "namespace", name, "--ignore-not-found")
    crd = ("crd", "distillationexperiments.distillery.dev")
    audited = node.plane.audit_log.stat().st_size
    stack.install(node.plane, folder)
    yield Installed(node, folder, audited)
    node.plane.kubectl("delete", *crd, "--timeout=60s")
    stack.uninstall(node.plane)


def shorten(path: Path) -> None:
    """Keep a few of the questions: how well students learn is the demos' affair."""
    document = json.loads(path.read_text())
    for article in document["data"]:
        article["paragraphs"] = article["paragraphs"][::16]
    path.write_text(json.dumps(document))


@pytest.fixture(scope="module")
def quickstart(installed: Installed) -> Object:
    """The status of the quickstart after its first trials: three baselines, and a suggestion."""
    document = YAML(typ="safe").load(QUICKSTART)
    document["spec"]["maxTrials"] = TRIALS
    document["spec"]["baselines"] = document["spec"]["baselines"][: TRIALS - 1]
    installed.apply(document)
    until(lambda: installed.status("quickstart").get("completionTime"), 900)
    return installed.status("quickstart")


@pytest.fixture(scope="module")
def paused(installed: Installed) -> Object:
    """The status of a quick search that was paused, with trials that ran and some that waited."""
    image = images.quick_trainer().name
    pace = {"name": "QUICK_TRAINER_STEP_SECONDS", "value": "0.3"}
    gpu = {"limits": {"nvidia.com/gpu": "1"}}
    container = {"name": documents.TRAINER, "image": image, "env": [pace], "resources": gpu}
    document = copy.deepcopy(worlds.document(maxTrials=6, parallelism=6))
    document["metadata"]["name"] = "paused"
    document["spec"]["template"] = {"spec": {"containers": [container]}}

    def suspend(value: bool) -> None:
        patch = json.dumps({"spec": {"suspend": value}})
        installed.kubectl("patch", "dexp", "paused", "--type=merge", f"--patch={patch}")

    def pods(phase: str) -> int:
        label = f"{label_names.EXPERIMENT}=paused,{label_names.STAGE}=train"
        field = f"--field-selector=status.phase={phase}"
        return len(installed.kubectl("get", "pods", "-l", label, field, "-o", "name").split())

    installed.apply(document)
    until(lambda: pods("Running") == 4 and pods("Pending") == 2)
    suspend(True)
    until(lambda: not pods("Running") and not pods("Pending"))
    suspend(False)
    until(lambda: installed.status("paused").get("completionTime"))
    return installed.status("paused")


def test_the_quickstart_reaches_its_front(installed: Installed, quickstart: Object) -> None:
    assert quickstart["state"] == "Succeeded"
    trials = quickstart["trials"]  # the suggestion collapses: stopped, if it is seen to in time
    assert trials["completed"] + trials["infeasible"] + trials["stopped"] == TRIALS
    for point in quickstart["front"]:
        assert point["metrics"]["exact"] >= 55
        folder = installed.folder / "workspace" / point["model"]
        assert (folder / "model.safetensors").exists()


def test_pods_that_may_be_root_are_refused_where_it_all_runs(installed: Installed) -> None:
    for namespace in stack.NAMESPACES:
        with pytest.raises(Refused, match="restricted"):
            installed.node.plane.kubectl("run", "root", "--image=hello", "-n", namespace)


def test_a_paused_search_gives_up_its_pods_and_goes_on(paused: Object) -> None:
    assert paused["state"] == "Succeeded"
    assert paused["trials"]["failed"] == 0
    assert paused["gpuHours"] > 0


def test_prometheus_has_the_trials_and_the_operator(
    installed: Installed, quickstart: Object
) -> None:
    front = {str(point["trial"]) for point in quickstart["front"]}
    found = installed.query(
        f'last_over_time(distillery_trial_metric{{metric="exact",namespace="{stack.TEAM}"}}[1h])'
    )
    assert front <= {sample["metric"]["trial"] for sample in found}
    (size,) = installed.query('distillery_experiment_pareto_front_size{experiment="quickstart"}')
    assert int(size["value"][1]) == quickstart["frontSize"]


PATIENT = {("", "events", "list"), ("kueue.x-k8s.io", "workloads", "list")}
"""Rights that are asked for only where something waits for long."""


def test_the_operator_may_do_what_it_does_and_nothing_else(
    installed: Installed, quickstart: Object, paused: Object
) -> None:
    """A run in which trials end, pods wait, and a search is paused asks for everything."""
    answers = [r["responseStatus"] for r in installed.requests()]
    # Until an API server has discovered a new resource definition, it forbids owners of that kind.
    early = "cannot find RESTMapping for APIVersion distillery.dev/"
    refused = [a for a in answers if a["code"] in (401, 403) and early not in a.get("message", "")]
    assert refused == []
    used = {right for request in installed.requests() for right in asked(request)}
    granted = set(rights(installed.node))
    assert granted - used <= PATIENT
    assert used - granted == set()


def asked(request: Object) -> Iterator[Right]:
    """Yield the rights that a request needed; discovery is everybody's."""
    found = request.get("objectRef", {})
    if "resource" not in found:
        return
    names = [found["resource"], *([found["subresource"]] if "subresource" in found else [])]
    yield found.get("apiGroup", ""), "/".join(names), request["verb"]
    if (names, request["verb"]) == (["jobs"], "create"):
        # Asked by the API server itself, for the Job names an owner whose deletion it blocks.
        yield "distillery.dev", "distillationexperiments/finalizers", "update"


def rights(node: Node) -> Iterator[Right]:
    """Yield what the operator's account is granted."""
    subject = {"kind": "ServiceAccount", "name": charts.RELEASE, "namespace": stack.OPERATOR}
    kinds = "clusterrolebindings,rolebindings"
    found = json.loads(node.plane.kubectl("get", kinds, "-A", "-o", "json"))["items"]
    for binding in (each for each in found if subject in each.get("subjects", [])):
        where = ("--namespace", binding["metadata"].get("namespace", "default"))
        name = (binding["roleRef"]["kind"], binding["roleRef"]["name"])
        role = json.loads(node.plane.kubectl("get", *name, *where, "-o", "json"))
        for rule in role["rules"]:
            yield from product(rule["apiGroups"], rule["resources"], rule["verbs"])


def test_its_report_is_a_page_for_a_browser(
    installed: Installed, quickstart: Object, chromium: Chromium, tmp_path: Path
) -> None:
    page = tmp_path / "quickstart.html"
    stack.distillery(
        installed.node.plane, "report", "quickstart", f"--namespace={stack.TEAM}", f"-o{page}"
    )
    with chromium(tmp_path / "profile") as driver:
        driver.get(page.as_uri())
        assert "quickstart" in driver.title
        rows = driver.find_elements(By.CSS_SELECTOR, "#table tr[data-trial]")
        assert len(rows) == TRIALS
        assert driver.save_screenshot(str(tmp_path / "report.png"))
        assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_optuna_dashboard_shows_the_study(
    installed: Installed, quickstart: Object, chromium: Chromium, tmp_path: Path
) -> None:
    with chromium(tmp_path / "profile") as driver:
        driver.get(stack.addresses(installed.node.plane)["optuna-dashboard"])
        wait = WebDriverWait(driver, 60)
        link = wait.until(lambda d: d.find_element(By.PARTIAL_LINK_TEXT, "quickstart"))
        link.click()
        wait.until(lambda d: d.find_elements(By.CSS_SELECTOR, ".js-plotly-plot"))
        assert driver.save_screenshot(str(tmp_path / "dashboard.png"))


ELSEWHERE = {
    "kubectl top": "needs a metrics server",
    " workloads ": "needs Kueue",
    "kubectl exec": "needs a pod that still runs",
    "loader": "needs an image of a registry",
    "kubectl create namespace distillery": "is there",
    "--from-file=url": "would name another database",
    "kubectl create secret docker-registry": "no registry asks who pulls",
    "--previous": "needs an operator that was started again",
    "manifests/operator.yaml": "is what `spaces.install` applies for the operator's tests",
}
"""Commands of the documentation that cannot run here, and why."""

OURS = {
    "squad2-distilbert": "quickstart",
    "my-experiment": "quickstart",
    "squad": stack.TEAM,
    "17": "0",
}
"""Whose report and model there are here, for the reader's."""


def test_what_the_documentation_says_of_a_cluster_works(
    installed: Installed, quickstart: Object, tmp_path: Path
) -> None:
    for name in ("charts", "manifests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "values.yaml").write_text(json.dumps(stack.settings()))
    (tmp_path / "experiment.yaml").write_text(documentation.yaml("README.md", "my-experiment"))
    kubeconfig = tmp_path / "kubeconfig"
    shutil.copy(installed.node.plane.kubeconfig, kubeconfig)
    context = ("config", "set-context", "--current", f"--namespace={stack.TEAM}")
    access.kubectl(kubeconfig, *context)
    label = f"--selector={label_names.EXPERIMENT}=quickstart"
    (pod, *_) = installed.kubectl("get", "pods", label, "--output=name").split()
    places = {  # what readers put in
        "NAMESPACE": stack.TEAM,
        "EXPERIMENT": "quickstart",
        "NUMBER": "0",
        "POD": pod.removeprefix("pod/"),
    }
    commands = {
        command.text: command  # each once
        for command in documentation.commands()
        if command.file != "docs/operations.md"  # test_operations takes them in their order
    }
    # What deletes comes last, for the rest speaks of what is then gone.
    for command in sorted(commands.values(), key=lambda c: " delete " in c.text):
        if command.on_a_cluster and not any(part in command.text for part in ELSEWHERE):
            words = places | (OURS if command.program == "distillery" else {})
            said = run(command, words, tmp_path, kubeconfig)
            assert said == "" or "already exists" in said, f"{command}\n{said}"
            shutil.rmtree(tmp_path / "my-model", ignore_errors=True)  # for the next who exports
    installed.node.plane.kubectl("delete", "namespace", "squad", "--wait=false")


def run(command: Command, words: dict[str, str], folder: Path, kubeconfig: Path) -> str:
    """Run a command, some words replaced, up to its first pipe; return what it says if it fails."""
    text = re.sub(
        r"\b(" + "|".join(map(re.escape, words)) + r")\b", lambda m: words[m[0]], command.text
    )
    limit = 180 if command.ends else 5
    try:
        done = documentation.shell(text.split(" | ")[0], folder, kubeconfig, limit)
    except subprocess.TimeoutExpired as late:
        return str(late) if command.ends else ""
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_a_database_that_is_moved_starts_on_what_it_left(
    installed: Installed, quickstart: Object
) -> None:
    plane, place = installed.node.plane, f"--namespace={stack.OPERATOR}"
    plane.kubectl("delete", "pod", "distillery-database-0", place)
    plane.kubectl("rollout", "status", "statefulset/distillery-database", place, "--timeout=120s")
    patch = json.dumps({"spec": {"maxDurationSeconds": 3600}})  # asks for a look at the study
    installed.kubectl("patch", "dexp", "quickstart", "--type=merge", f"--patch={patch}")
    generation = installed.object("dexp", "quickstart")["metadata"]["generation"]
    until(lambda: reached(installed.status("quickstart"), generation))
    assert installed.status("quickstart")["front"] == quickstart["front"]


def reached(status: Object, generation: int) -> bool:
    """Tell whether the database has answered for a generation."""
    conditions = {found["type"]: found for found in status["conditions"]}
    answer = conditions["StorageReachable"]
    return bool(answer["observedGeneration"] == generation and answer["status"] == "True")


def test_an_uninstalled_chart_leaves_the_experiments_readable_and_nothing_stuck(
    installed: Installed, quickstart: Object
) -> None:
    before = installed.status("quickstart")
    stack.helm(installed.node.plane, "uninstall", charts.RELEASE, "--wait")
    pods = ("get", "pods", f"--namespace={stack.OPERATOR}", "--output=name")
    until(lambda: not installed.node.plane.kubectl(*pods))
    assert installed.status("quickstart") == before
    installed.kubectl("delete", "dexp", "--all", "--timeout=60s")
