"""Kueue itself beside a cluster: its kinds, its webhooks, and its manager as a process.

The manager does what the configuration of its own release says, but for addresses and certificates,
and for what a test asks for. The API server reaches its webhooks by URL.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from support import certificates, definitions, programs
from support.cluster import ControlPlane, processes
from support.operators import answers, free_port
from support.programs import go
from support.spaces import Space

Object = dict[str, Any]

GROUP: Final = "kueue.x-k8s.io"
FLAVOR: Final = "any"
GPU: Final = "nvidia.com/gpu"
PARTS: Final = ("crd", "webhook")

# The manager looks for the certificate of its metrics in one place, whatever it is told: this shows
# it to the manager alone.
RUN: Final = """
mount -t tmpfs tmpfs /etc
mkdir -p /etc/kueue/metrics/certs
cp tls.crt tls.key /etc/kueue/metrics/certs
exec "$1" --config=kueue.json
"""


class Kueue:
    """Kueue of a cluster, for the length of a block.

    Attributes:
        log: what the manager says.
    """

    def __init__(self, cluster: ControlPlane, folder: Path) -> None:
        """Put Kueue beside a cluster; what it needs lies in an empty folder."""
        self._cluster, self._folder = cluster, folder
        self._webhooks, self._health = free_port(), free_port()
        self._sources = go.fetched("kueue", "sigs.k8s.io/kueue") / "config" / "components"
        self._process: processes.Process | None = None
        self.log = folder / "kueue.log"

    def __enter__(self) -> "Kueue":
        # The API server knows the webhooks by it.
        certificates.make(self._folder, "tls", "kueue", "-addext", "subjectAltName=IP:127.0.0.1")
        crds, hooks = (self._documents(part) for part in PARTS)
        definitions.apply(self._cluster, _list(crds))
        self.start()
        self._apply(hooks)
        flavor = {"apiVersion": f"{GROUP}/v1beta2", "kind": "ResourceFlavor"}
        self._apply([{**flavor, "metadata": {"name": FLAVOR}}])
        return self

    def __exit__(self, *_: object) -> None:
        """End the manager, and remove what it has made known; its queues must be gone."""
        self._cluster.kubectl("delete", f"resourceflavors.{GROUP}", FLAVOR, "--timeout=60s")
        for part in reversed(PARTS):
            text = _list(self._documents(part))
            self._cluster.kubectl("delete", "--filename=-", "--timeout=60s", stdin=text)
        self.stop()

    def start(self, **settings: Any) -> None:
        """Start the manager, with settings that differ from those of its release."""
        text = (self._sources / "manager" / "controller_manager_config.yaml").read_text()
        config = {
            **YAML(typ="safe").load(text),
            "health": {"healthProbeBindAddress": f"127.0.0.1:{self._health}"},
            "metrics": {"bindAddress": "0"},
            "webhook": {
                "host": "127.0.0.1",
                "port": self._webhooks,
                "certDir": str(self._folder),
            },
            "leaderElection": {"leaderElect": False},
            "internalCertManagement": {"enable": False},
            "featureGates": {"VisibilityOnDemand": False},  # it needs an API service of its own
            **settings,
        }
        (self._folder / "kueue.json").write_text(json.dumps(config))
        (kueue,) = programs.locate("kueue")
        own = ["env", f"KUBECONFIG={self._cluster.kubeconfig}", "unshare", "--mount"]
        command = [*own, "sh", "-e", "-c", RUN, "sh", kueue]
        self._process = process = processes.start(command, self.log)
        processes.until(lambda: answers(self._webhooks), "Kueue", process, self.log)

    def stop(self) -> None:
        """End the manager: whatever asks its webhooks is refused meanwhile."""
        if self._process is not None:
            processes.stop(self._process)

    def queue(self, space: Space, name: str, quotas: Mapping[str, int | str]) -> None:
        """Give a namespace a queue with a quota of its own, in which higher priorities go first."""
        resources = [{"name": each, "nominalQuota": quota} for each, quota in quotas.items()]
        covered = {
            "coveredResources": [*quotas],
            "flavors": [{"name": FLAVOR, "resources": resources}],
        }
        spec = {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}},
            "resourceGroups": [covered],
            "preemption": {"withinClusterQueue": "LowerPriority"},
        }
        version = {"apiVersion": f"{GROUP}/v1beta2"}
        theirs, ours = {"name": space.name}, {"name": name, "namespace": space.name}
        self._apply(
            [
                {**version, "kind": "ClusterQueue", "metadata": theirs, "spec": spec},
                {
                    **version,
                    "kind": "LocalQueue",
                    "metadata": ours,
                    "spec": {"clusterQueue": space.name},
                },
            ]
        )
        active = ("wait", "--for=condition=Active", f"clusterqueue/{space.name}", "--timeout=60s")
        self._cluster.kubectl(*active)

    def reserved(self, space: Space) -> dict[str, str]:
        """Return how much of each resource of its queue a namespace holds."""
        found = json.loads(self._cluster.kubectl("get", "clusterqueue", space.name, "-ojson"))
        flavors = found["status"].get("flavorsReservation", [])
        return {r["name"]: r["total"] for flavor in flavors for r in flavor["resources"]}

    def remove_queue(self, space: Space) -> None:
        """Remove the queues of a namespace whose Jobs are gone."""
        space.kubectl("delete", f"localqueues.{GROUP}", "--all", "--timeout=60s")
        self._cluster.kubectl("delete", "clusterqueue", space.name, "--timeout=60s")

    def _documents(self, part: str) -> list[Object]:
        """Return the objects of a part of its release, which name its webhooks by URL."""
        text = self._cluster.kubectl("kustomize", str(self._sources / part))
        found = [document for document in YAML(typ="safe").load_all(text) if document]
        return [self._by_url(each) for each in found if each["kind"] != "Service"]

    def _by_url(self, part: Any) -> Any:
        if isinstance(part, list):
            return [self._by_url(each) for each in part]
        if not isinstance(part, dict):
            return part
        return dict(self._replaced(*each) for each in part.items())

    def _replaced(self, name: str, part: Any) -> tuple[str, Any]:
        if name != "clientConfig":
            return name, self._by_url(part)
        authority = base64.b64encode((self._folder / "tls.crt").read_bytes()).decode()
        url = f"https://127.0.0.1:{self._webhooks}{part['service']['path']}"
        return name, {"url": url, "caBundle": authority}

    def _apply(self, documents: list[Object]) -> None:
        self._cluster.kubectl("apply", "--server-side", "--filename=-", stdin=_list(documents))


def _list(documents: list[Object]) -> str:
    return json.dumps({"kind": "List", "apiVersion": "v1", "items": documents})
