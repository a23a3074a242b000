"""Ways into a cluster: a kubeconfig, kubectl with it, and a cluster that was given."""

import base64
import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Protocol

from cluster import binaries
from cluster.errors import Refused


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
    [binary] = binaries.locate("kubectl")
    own = {
        "KUBECONFIG": str(kubeconfig),
        "KUBECACHEDIR": str(kubeconfig.parent / "kubectl"),
        "KUBECTL_KUBERC": "false",  # a user's own defaults and aliases have no say here
    }
    done = subprocess.run(
        [binary, *arguments],
        input=stdin,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Refused(f"kubectl {' '.join(arguments)} must succeed, but: {done.stderr.strip()}")
    return done.stdout
