"""Pods as a Prometheus server discovers them, by a file: Debian's has no discovery of Kubernetes.

The labels are those that its discovery would give; what becomes of them is up to the scrape
configuration that docs/observe.md shows.
"""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from support.cluster import Node, Refused

Object = dict[str, Any]
ROOT = Path(__file__).parents[2]


def target(address: str, port: str, metadata: Object, phase: str = "Running") -> Object:
    """Return a container's port as discovery with the role pod shows it."""
    labels = {
        "namespace": metadata["namespace"],
        "pod_name": metadata["name"],
        "pod_phase": phase,
        "pod_container_port_name": port,
        **{
            f"pod_label_{re.sub('[^a-zA-Z0-9_]', '_', name)}": value
            for name, value in metadata.get("labels", {}).items()
        },
    }
    meta = {f"__meta_kubernetes_{name}": value for name, value in labels.items()}
    return {"targets": [address], "labels": meta}


def targets(node: Node) -> list[Object]:
    """Return every port of every pod of a cluster."""
    pods = json.loads(node.plane.kubectl("get", "pods", "-A", "-o", "json"))["items"]
    return [
        target(f"{address}:{port['containerPort']}", port.get("name", ""), pod["metadata"], phase)
        for pod in pods
        if (address := pod["status"].get("podIP")) and (phase := pod["status"]["phase"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    ]


@contextmanager
def following(node: Node, path: Path, others: Sequence[Object] = ()) -> Iterator[None]:
    """Keep a file of a cluster's targets, and of others, up to date."""
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.5):
            with suppress(Refused):  # the API server may be busy; what was found stands
                found = json.dumps([*others, *targets(node)])
                part = path.with_suffix(".part")
                part.write_text(found)
                part.replace(path)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def configuration(path: Path) -> Object:
    """Return the documented configuration of Prometheus, with discovery by a file."""
    (text,) = re.findall(
        r"```yaml\n(rule_files.*?)```", (ROOT / "docs/observe.md").read_text(), re.DOTALL
    )
    found: Object = YAML(typ="safe").load(text)
    found["rule_files"] = [str(ROOT / pattern) for pattern in found["rule_files"]]
    found["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in found["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
        job["file_sd_configs"] = [{"files": [str(path)], "refresh_interval": "1s"}]
        job.pop("scrape_interval", None)
    return found
