"""Kinds of resources that a cluster is taught by CustomResourceDefinitions."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support.cluster.access import Cluster
from support.operators import until

Object = dict[str, Any]


def apply(cluster: Cluster, text: str) -> None:
    """Make kinds known, by their definitions in YAML, and wait until each is served."""
    cluster.kubectl("apply", "--server-side", "--filename=-", stdin=text)
    wait(cluster, text)


def apply_files(cluster: Cluster, files: Iterable[Path]) -> None:
    """Make the kinds of files known, and wait until each is served."""
    apply(cluster, "\n---\n".join(file.read_text() for file in files))


def wait(cluster: Cluster, text: str) -> None:
    """Wait until kinds are served that were made known.

    `kubectl wait` fails for a definition that has no condition yet, so it may come too early.
    """
    until(lambda: all(map(_served, _found(cluster, text))), what="kinds that are served")


def _found(cluster: Cluster, text: str) -> list[Object]:
    found = json.loads(cluster.kubectl("get", "--filename=-", "--output=json", stdin=text))
    many: list[Object] = found["items"] if found["kind"] == "List" else [found]
    return many


def _served(definition: Object) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
