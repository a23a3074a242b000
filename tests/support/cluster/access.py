"""Ways into a cluster: a kubeconfig, kubectl and Helm with it, and a cluster that was given."""

import base64
import dataclasses
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from support import programs
from support.cluster.errors import Refused


class Cluster(Protocol):
    """What every cluster offers, also one that was given."""

    @property
    def kubeconfig(self) -> Path:
        """The file that lets its holder do everything."""

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output; raise what it says when it fails."""


@dataclasses.dataclass(frozen=True)
class Given:
    """A cluster that runs already."""

    kubeconfig: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output; raise what it says when it fails."""
        return kubectl(self.kubeconfig, *arguments, stdin=stdin)


def given() -> Given | None:
    """Return the cluster of DISTILLERY_TEST_KUBECONFIG, if that is set."""
    path = os.environ.get("DISTILLERY_TEST_KUBECONFIG")
    return Given(Path(path)) if path else None


def write(kubeconfig: Path, *, server: str, authority: Path, token: str) -> None:
    """Write a kubeconfig that stands alone: it holds the certificate and the token."""
    certificate = base64.b64encode(authority.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "distillery",
                "cluster": {"server": server, "certificate-authority-data": certificate},
            }
        ],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "distillery", "context": {"cluster": "distillery", "user": "admin"}}],
        "current-context": "distillery",
    }
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(json.dumps(config), encoding="utf-8")


def kubectl(kubeconfig: Path, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl and return its output; raise what it says when it fails."""
    own = {
        "KUBECONFIG": str(kubeconfig),
        "KUBECACHEDIR": str(kubeconfig.parent / "kubectl"),
        "KUBECTL_KUBERC": "false",  # a user's own defaults and aliases have no say here
    }
    return _run("kubectl", *arguments, stdin=stdin, environment=own)


def helm(kubeconfig: Path | None, *arguments: str, program: str = "helm") -> str:
    """Run Helm 4, or ``helm3``, and return its output; raise what it says when it fails.

    Without a kubeconfig it reaches no cluster.
    """
    with tempfile.TemporaryDirectory() as folder:  # a user's own repositories have no say here
        own = {f"HELM_{part}_HOME": f"{folder}/{part}" for part in ("CACHE", "CONFIG", "DATA")}
        own["KUBECONFIG"] = str(kubeconfig or "/dev/null")
        return _run(program, *arguments, stdin=None, environment=own)


def _run(program: str, *arguments: str, stdin: str | None, environment: Mapping[str, str]) -> str:
    [binary] = programs.locate(program)
    done = subprocess.run(
        [binary, *arguments],
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Refused(f"{program} {' '.join(arguments)} must succeed, but: {done.stderr.strip()}")
    return done.stdout
