"""`distillery status` and `report` of a cluster's experiments, as their users run them."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import kubelet
import operators
import postgres
from cluster.access import Cluster
from operators import Operator, until
from spaces import Space, install

SERVICE = "distillery/distillery:trials"
BASELINES = [{"name": "deep", "parameters": {"n_layers": 6}}]


@contextmanager
def playing(kubeconfig: Path) -> Iterator[None]:
    """Run the pods of a control plane."""
    stop = threading.Event()

    async def play() -> None:
        async with kubelet.Kubelet(kubeconfig, 0.5):
            await asyncio.to_thread(stop.wait)

    player = threading.Thread(target=asyncio.run, args=(play(),))
    player.start()
    try:
        yield
    finally:
        stop.set()
        player.join()


@pytest.fixture(scope="module")
def operator(
    control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator with PostgreSQL, whose trials the API server reaches by a Service."""
    folder = tmp_path_factory.mktemp("operator")
    kubeconfig = install(control_plane, folder)
    with postgres.running() as database, playing(control_plane.kubeconfig):
        made = Operator(
            kubeconfig,
            database.url("remote"),
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
