"""`distillery status` and `report` of a cluster's experiments, as their users run them."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from selenium.webdriver.common.by import By

from distillery_operator.errors import Incompatible, NotFound
from distillery_operator.results import cluster
from support import documentation, kubelet, operators
from support.cluster import Refused, access
from support.cluster.access import Cluster
from support.fixtures.servers import Chromium
from support.operators import Operator, until
from support.postgres import Postgres
from support.spaces import Space, install

SERVICE = "distillery/distillery:trials"
BASELINES = [{"name": "deep", "parameters": {"n_layers": 6}}]


@pytest.fixture(scope="module")
def operator(
    control_plane: Cluster, postgresql: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator with PostgreSQL, whose trials the API server reaches by a Service."""
    folder = tmp_path_factory.mktemp("operator")
    kubeconfig = install(control_plane, folder)
    pods = kubelet.Kubelet(control_plane.kubeconfig, 0.5)
    with kubelet.playing(pods):
        made = Operator(
            kubeconfig,
            postgresql.url("remote"),
            folder / "log",
            "--workspace-claim=work",
            f"--trials-service={SERVICE}",
        )
        operators.expose(control_plane, made.trials)
        with made:
            yield made
            assert made.exit_code is None, made.log.read_text()
            assert "fault of the program" not in made.log.read_text()


@pytest.fixture(scope="module")
def space(control_plane: Cluster, operator: Operator) -> Space:
    """A namespace with an experiment that has ended."""
    made = Space(control_plane)
    made.apply(baselines=BASELINES)
    until(made.reached("Succeeded"))
    return made


class User:
    """Somebody with a kubeconfig, who runs ``distillery`` in a folder of their own."""

    def __init__(self, space: Space, folder: Path, *roles: str) -> None:
        """Make a user who may do what the roles grant, as ``rolebinding`` arguments say it."""
        self.folder, self.kubeconfig = folder, folder / "kubeconfig"
        name = folder.name.replace("_", "-")[:40]
        space.kubectl("create", "serviceaccount", name)
        who = f"--serviceaccount={space.name}:{name}"
        for number, role in enumerate(roles):
            words = ["create", "rolebinding", f"{space.name}-{name}-{number}", who, *role.split()]
            space.cluster.kubectl(*words)
        config = YAML(typ="safe").load(space.cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": space.kubectl("create", "token", name).strip()}
        config["contexts"][0]["context"]["namespace"] = space.name
        self.kubeconfig.write_text(json.dumps(config))

    def run(self, *words: str, **environment: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "distillery_operator", *words],
            cwd=self.folder,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr


def viewer(space: Space) -> str:
    """Let a role see experiments of a namespace; return how to bind it."""
    rules = [
        {
            "apiGroups": ["distillery.dev"],
            "resources": ["distillationexperiments"],
            "verbs": ["get", "list", "watch"],
        }
    ]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "viewer", "namespace": space.name},
        "rules": rules,
    }
    space.kubectl("apply", "--filename=-", stdin=json.dumps(role))
    return f"--namespace={space.name} --role=viewer"


TRIALS = "--namespace=distillery --role=distillery-trials"


@pytest.fixture
def user(space: Space, tmp_path: Path) -> User:
    """Somebody who may see the experiments of the namespace, and use the operator's Service."""
    return User(space, tmp_path, viewer(space), TRIALS)


def shown(page: Path) -> dict[str, Any]:
    """Return the data of a report."""
    (text,) = re.findall(r'<script[^>]*id="data"[^>]*>(.*?)</script>', page.read_text(), re.DOTALL)
    document: dict[str, Any] = json.loads(text)
    return document


def test_a_report_has_every_trial_of_the_operators_database(space: Space, user: User) -> None:
    code, out, err = user.run("report", "tiny")
    assert (code, out.strip()) == (0, "tiny.html"), err
    page, status = shown(user.folder / "tiny.html"), space.status()
    assert [trial["number"] for trial in page["trials"]] == list(range(8))
    assert page["front"] == sorted((p["trial"] for p in status["front"]), key=page["front"].index)
    assert all(trial["metrics"]["exact"] > 0 for trial in page["trials"])
    assert page["namespace"] == space.name
    assert page["trials"][0]["source"] == "TerminationMessage"
    command = page["trials"][page["knee"]]["export"]
    assert command.startswith(f"distillery export --namespace {space.name} --experiment tiny ")


def test_its_status_is_told_as_on_one_machine(space: Space, user: User) -> None:
    for words in (("status", "tiny"), ("status", "--cluster"), ("status", "-n", space.name)):
        code, out, err = user.run(*words)
        assert code == 0, err
        assert "Succeeded=True MaxTrialsReached: " in out
        assert "8 trials ended" in out
        assert "Pareto front" in out


def test_what_the_documentation_tells_users_of_a_cluster_to_type_works(
    space: Space, user: User
) -> None:
    commands = (c for c in documentation.commands() if c.program == "distillery")
    words = [shlex.split(c.text)[1:] for c in commands if "--namespace" in c.text]
    assert {line[0] for line in words} == {"status", "report", "export", "suggest"}
    names = {"my-experiment": "tiny", "squad2-distilbert": "tiny"}
    names |= dict.fromkeys(["team", "squad"], space.name)
    for line in words:
        if line[0] not in ("export", "suggest"):  # they run in test_node and test_installation
            code, _, err = user.run(*(names.get(word, word) for word in line))
            assert code == 0, err


def test_what_is_in_the_workspace_is_not_looked_for_on_a_cluster(user: User) -> None:
    here = user.folder / "experiments" / "tiny"
    here.mkdir(parents=True)
    (here / "experiment.yaml").touch()
    code, _, err = user.run("status", "tiny")
    assert (code, "must hold one document" in err) == (2, True)
    assert user.run("status", "tiny", "--cluster")[0] == 0


def test_an_experiment_that_is_nowhere_is_told_with_those_that_are(
    space: Space, user: User
) -> None:
    code, _, err = user.run("report", "tinny")
    assert code == 2
    here, there = err.splitlines()
    assert "no experiment 'tinny' in " in here
    assert there == f"there is no experiment 'tinny' in namespace {space.name}; known are ['tiny']"


def test_without_a_kubeconfig_only_the_workspace_is_looked_at(user: User) -> None:
    absent = str(user.folder / "absent")
    code, _, err = user.run("report", "tiny", KUBECONFIG=absent)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "no experiment 'tiny' in " in err
    code, _, err = user.run("report", "tiny", "--cluster", KUBECONFIG=absent)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "there must be a kubeconfig" in err


def test_a_context_that_is_not_in_the_kubeconfig_is_told(user: User) -> None:
    code, _, err = user.run("status", "tiny", "--context=elsewhere")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "elsewhere" in err


def test_who_may_not_see_experiments_is_told_so(space: Space, tmp_path: Path) -> None:
    code, _, err = User(space, tmp_path).run("report", "tiny", "--cluster")
    assert code == 2
    assert 'cannot get resource "distillationexperiments"' in err


def test_who_may_not_use_the_service_is_told_what_is_missing(space: Space, tmp_path: Path) -> None:
    user = User(space, tmp_path, viewer(space))
    assert user.run("status", "tiny", "--cluster")[0] == 0
    code, _, err = user.run("report", "tiny", "--cluster")
    assert code == 2
    assert 'cannot get resource "services/proxy"' in err
    assert "binds you to the operator's Role" in err


def test_who_may_use_the_service_reads_nothing_of_other_namespaces(
    space: Space, tmp_path: Path
) -> None:
    user = User(space, tmp_path, TRIALS)
    path = space.status()["trialsPath"]
    guess = path.partition("?")[0] + "?key=guess"
    with pytest.raises(Refused, match="could not find the requested resource"):
        access.kubectl(user.kubeconfig, "get", "--raw", guess)
    read = json.loads(access.kubectl(user.kubeconfig, "get", "--raw", path))
    assert len(read["trials"]) == 8  # so the key is what keeps others out


def test_a_path_survives_the_operator_and_its_absence_is_told(
    space: Space, user: User, operator: Operator
) -> None:
    before = space.status()["trialsPath"]
    operator.stop()
    code, _, err = user.run("report", "tiny", "--cluster")
    assert code == 2
    assert "the operator is not reached by /api/v1/namespaces/distillery/services/" in err
    assert "connection refused" in err
    operator.start()
    until(lambda: operator.serving)
    until(lambda: user.run("report", "tiny", "--cluster")[0] == 0)
    assert space.status()["trialsPath"] == before


def test_the_report_of_a_cluster_looks_as_it_should(
    user: User, chromium: Chromium, tmp_path_factory: pytest.TempPathFactory
) -> None:
    user.run("report", "tiny", "--output=page.html")
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        driver.get((user.folder / "page.html").as_uri())
        driver.save_screenshot(str(user.folder / "page.png"))
        faults = [e for e in driver.get_log("browser") if e["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
        assert faults == []
        assert "namespace test-" in driver.find_element(By.CLASS_NAME, "brand").text.lower()
        assert "termination message" in driver.find_element(By.ID, "trial").text


def test_a_status_of_another_release_or_none_is_told() -> None:
    metadata = {"name": "tiny"}
    with pytest.raises(NotFound, match="tiny has no status yet"):
        cluster.status({"metadata": metadata})
    with pytest.raises(NotFound, match="tiny has no status yet"):
        cluster.status({"metadata": metadata, "status": {"owner": "a/b"}})
    newer = {"observedGeneration": 1, "conditions": [], "trialsPath": "/x", "shine": 1}
    with pytest.raises(Incompatible, match="but shine: Extra inputs"):
        cluster.status({"metadata": metadata, "status": newer})
