"""Programs that come as Debian packages: installed where they are not here."""

import glob
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

from support.programs import cache
from support.programs.errors import Missing


@dataclass(frozen=True)
class Program:
    """The packages that bring a program and what it needs at work; their download in seconds."""

    packages: tuple[str, ...]
    seconds: float = 5.0


PROGRAMS: Final = {
    "amtool": Program(("prometheus-alertmanager",)),
    "buildah": Program(("buildah",)),
    "chromedriver": Program(("chromium-driver",)),
    "chromium": Program(("chromium",), 30.0),
    "containerd": Program(("containerd", "runc")),
    "debootstrap": Program(("debootstrap",)),
    "etcd": Program(("etcd-server",)),
    "gcc": Program(("gcc", "libc6-dev"), 15.0),
    "host-local": Program(("containernetworking-plugins",)),
    "ip": Program(("iproute2",)),
    "nft": Program(("nftables",)),
    "openssl": Program(("openssl",)),
    "pgbouncer": Program(("pgbouncer",)),
    "postgres": Program(("postgresql",), 15.0),
    "prometheus": Program(("prometheus",), 15.0),
    "prometheus-alertmanager": Program(("prometheus-alertmanager",)),
    "promtool": Program(("prometheus",), 15.0),
}

# Debian keeps some programs off the search path.
FOLDERS = ("/usr/sbin", "/sbin", "/usr/lib/cni", "/usr/lib/postgresql/*/bin")

# The packages' services stay stopped: what would start them does nothing for this apt-get alone.
APT_GET = """
mount --bind /bin/true /usr/sbin/invoke-rc.d
mount --bind /bin/true /usr/bin/deb-systemd-invoke
apt-get update
exec apt-get install --yes --no-install-recommends --option DPkg::Lock::Timeout=600 "$@"
"""


def locate(*names: str) -> dict[str, str]:
    """Return the programs' paths, after installing those that are not here."""
    missing = [name for name in names if not here(name)]
    if missing:
        with cache.locked("packages"):
            _install(missing)
    return {name: _which(name) or name for name in names}


def here(name: str) -> bool:
    """Tell whether a program is here already."""
    return _which(name) is not None


def search_path() -> str:
    """Return a PATH on which all of these programs are."""
    folders = [folder for pattern in FOLDERS for folder in sorted(glob.glob(pattern))]
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])


def _which(name: str) -> str | None:
    # etcd of the tests' binaries of Kubernetes, where somebody has them, goes first.
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    given = shutil.which(name, path=assets) if assets and name == "etcd" else None
    return given or shutil.which(name, path=search_path())


def _install(names: list[str]) -> None:
    wanted = sorted({package for name in names for package in PROGRAMS[name].packages})
    rule = f"{', '.join(names)} must be installed (Debian packages: {' '.join(wanted)})"
    if os.geteuid() != 0:
        raise Missing(f"{rule}; only root can, but this is user {os.geteuid()}")
    if shutil.which("apt-get") is None:
        raise Missing(f"{rule}, but there is no apt-get here")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-e", "-c", APT_GET, "sh", *wanted],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Missing(f"{rule}, but apt-get failed: {done.stderr.strip()[-1000:]}")
