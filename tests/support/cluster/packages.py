"""Commands that come as Debian packages: installed where they are missing.

Everything here that runs such a command asks `locate` for it; so may tests that want PostgreSQL,
Prometheus or buildah.
"""

import glob
import os
import shutil
import subprocess

from support.cluster import cache
from support.cluster.errors import Missing

# command -> packages that bring it and what it needs at work
PACKAGES = {
    "buildah": ("buildah",),
    "containerd": ("containerd", "runc"),
    "debootstrap": ("debootstrap",),
    "etcd": ("etcd-server",),
    "gcc": ("gcc", "libc6-dev"),
    "host-local": ("containernetworking-plugins",),
    "ip": ("iproute2",),
    "nft": ("nftables",),
    "openssl": ("openssl",),
    "postgres": ("postgresql",),
    "prometheus": ("prometheus",),
    "promtool": ("prometheus",),
    "skopeo": ("skopeo",),
    "umoci": ("umoci",),
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


def locate(*commands: str) -> list[str]:
    """Return the commands' paths, in order, after installing those that are missing."""
    missing = [command for command in commands if _which(command) is None]
    if missing:
        with cache.locked("packages"):
            _install(missing)
    return [_which(command) or command for command in commands]


def search_path() -> str:
    """Return a PATH on which all of these commands are."""
    folders = [folder for pattern in FOLDERS for folder in sorted(glob.glob(pattern))]
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])


def _which(command: str) -> str | None:
    return shutil.which(command, path=search_path())


def _install(commands: list[str]) -> None:
    wanted = sorted({package for command in commands for package in PACKAGES[command]})
    rule = f"{', '.join(commands)} must be installed (Debian packages: {' '.join(wanted)})"
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
