"""A user of a cluster: applies, looks, edits and deletes, in a namespace of its own."""

import copy
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from distillery_operator.resource import label_names
from support import definitions, worlds
from support.cluster.access import Cluster

Object = dict[str, Any]
MANIFESTS = Path(__file__).parents[2] / "manifests"


def install(cluster: Cluster, folder: Path) -> Path:
    """Make a cluster ready for an operator that runs beside it; return the operator's kubeconfig.

    It may do what ``manifests/operator.yaml`` grants it, and nothing else.
    """
    definitions.apply_files(cluster, [MANIFESTS / "crd.yaml"])
    for document in _documents():
        cluster.kubectl("apply", "--filename=-", stdin=json.dumps(document))
    token = cluster.kubectl("--namespace=distillery", "create", "token", "distillery")
    config = YAML(typ="safe").load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token.strip()}
    path = folder / "operator.kubeconfig"
    path.write_text(json.dumps(config))
    return path


def uninstall(cluster: Cluster) -> None:
    """Remove what `install` made, with the experiments; nothing, where it was not called."""
    crd = f"--filename={MANIFESTS / 'crd.yaml'}"
    cluster.kubectl("delete", "--ignore-not-found", crd)
    for document in reversed(_documents()):
        cluster.kubectl("delete", "--ignore-not-found", "--filename=-", stdin=json.dumps(document))


def _documents() -> list[Object]:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "distillery"}}
    given = YAML(typ="safe").load_all((MANIFESTS / "operator.yaml").read_text())
    return [space, *(document for document in given if document["kind"] != "Deployment")]


class Space:
    """A namespace of its own, in which a test acts as a user."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.name = cluster, f"test-{uuid.uuid4().hex[:8]}"
        cluster.kubectl("create", "namespace", self.name)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.name, *arguments, stdin=stdin)

    def apply(self, name: str = "tiny", **spec: Any) -> None:
        document = copy.deepcopy(worlds.document(**spec))
        document["metadata"]["name"] = name
        self.kubectl("apply", "--filename=-", stdin=json.dumps(document))

    def get(self, name: str = "tiny") -> Object:
        found: Object = json.loads(self.kubectl("get", "dexp", name, "--output=json"))
        return found

    def status(self, name: str = "tiny") -> Object:
        found: Object = self.get(name).get("status", {})
        return found

    def condition(self, kind: str, name: str = "tiny") -> Object:
        conditions = self.status(name).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def reached(self, state: str, name: str = "tiny") -> Callable[[], bool]:
        return lambda: self.state(name) == state

    def state(self, name: str = "tiny") -> str:
        return str(self.status(name).get("state", ""))

    def objects(self, kind: str) -> list[Object]:
        found: list[Object] = json.loads(self.kubectl("get", kind, "--output=json"))["items"]
        return found

    def trials(self) -> list[Object]:
        """The Jobs of trainings."""
        return [
            j for j in self.objects("jobs") if j["metadata"]["labels"][label_names.STAGE] == "train"
        ]

    def live(self) -> list[Object]:
        return [j for j in self.objects("jobs") if j.get("status", {}).get("active")]

    def events(self) -> set[str]:
        return {event["reason"] for event in self.objects("events")}

    def patch(self, name: str = "tiny", **spec: Any) -> None:
        self.kubectl("patch", "dexp", name, "--type=merge", "--patch", json.dumps({"spec": spec}))


def template(workspace: Path, step_seconds: float = 0.05, **container: Any) -> Object:
    """Return a pod template with the workspace and one GPU for each trial."""
    env = [{"name": "QUICK_TRAINER_STEP_SECONDS", "value": str(step_seconds)}]
    trainer = {
        "name": "trainer",
        "env": env,
        "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "1Gi"}},
        **container,
    }
    volume = {"name": "workspace", "hostPath": {"path": str(workspace)}}
    return {"spec": {"containers": [trainer], "volumes": [volume]}}
