"""The images that the tests run, built by buildah from the repository's own Dockerfiles.

    cd tests && python -m cluster.images

Archives and layers are kept outside the checkout. An archive is named by a hash of all that it is
made from: what is there already takes milliseconds, and after a change of sources alone the layers
below them, base and requirements, stay as they are. To start anew, remove the whole folder.
"""

from __future__ import annotations

import configparser
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distillery" / "images"
)

SUITE: Final = "trixie"
PACKAGES: Final = ("ca-certificates", "python3")
SETTINGS: Final = {
    "etc/apt/apt.conf.d/container": 'APT::Keep-Downloaded-Packages "false";\n'
    'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n',
    "etc/dpkg/dpkg.cfg.d/container": "path-exclude /usr/share/doc/*\n"
    "path-include /usr/share/doc/*/copyright\n"
    "path-exclude /usr/share/locale/*\npath-exclude /usr/share/man/*\n",
}
"""As in Debian's own images: no packages kept, no manuals, no translations."""

KEPT: Final = 3
"""Archives of one image; older ones are removed. A trainer's takes more than a gigabyte."""

BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
INDEXES: Final = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
PIP_SETTINGS: Final = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")


@dataclass(frozen=True)
class Image:
    """An image by its full name, the docker-archive that holds it, and the archive's bytes."""

    name: str
    archive: Path
    size: int


def base() -> Image:
    """A Debian of its smallest kind with Python, in place of one that a registry would serve."""
    made_from = json.dumps([SUITE, PACKAGES, SETTINGS])
    return _kept("base", hashlib.sha256(made_from.encode()), _bootstrap)


def operator() -> Image:
    return _built("distillery-operator", ROOT / "operator" / "Dockerfile")


def trainer() -> Image:
    """The trainer with a CPU build of torch."""
    return _built("distillery-trainer", ROOT / "trainer" / "Dockerfile", TORCH="cpu")


def quick_trainer() -> Image:
    """The trainer of ``quick_trainer.py``: it speaks the contract and is done in a second."""
    return _built("distillery-quick-trainer", Path(__file__).with_name("quick.Dockerfile"))


def buildah(*arguments: str | Path) -> str:
    """Run buildah on the tests' own storage and return what it prints.

    Raises:
        RuntimeError: it failed; the message ends with the last lines of what it said.
    """
    storage = ("--root", FOLDER / "storage", "--runroot", FOLDER / "run")
    return _run("buildah", *storage, "--storage-driver", _driver(), *arguments)


def _built(name: str, dockerfile: Path, **arguments: str) -> Image:
    arguments["BASE_IMAGE"] = base().name
    project = dockerfile.with_name("pyproject.toml")
    if project.exists():
        arguments["VERSION"] = tomllib.loads(project.read_text())["project"]["version"]
    made_from = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode())
    for path in (dockerfile, ROOT / ".dockerignore", *_copied(dockerfile)):
        made_from.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        made_from.update(path.read_bytes())

    def build(tag: str) -> None:
        with _index_settings() as settings:
            buildah(
                *("bud", "--layers", "--force-rm", "--isolation", "chroot", "--network", "host"),
                *(f"--build-arg={key}={value}" for key, value in arguments.items()),
                *settings,
                *("--file", dockerfile, "--tag", tag, ROOT),
            )

    return _kept(name, made_from, build)


def _copied(dockerfile: Path) -> Iterator[Path]:
    """Yield the files that a Dockerfile copies from the repository."""
    for line in dockerfile.read_text().splitlines():
        if line.startswith("COPY ") and not line.startswith("COPY --from="):
            for path in (ROOT / word for word in line.split()[1:-1]):
                found = [path] if path.is_file() else sorted(path.rglob("*"))
                yield from (f for f in found if f.is_file() and "__pycache__" not in f.parts)


def _kept(name: str, made_from: hashlib._Hash, make: Callable[[str], None]) -> Image:
    key = made_from.hexdigest()[:16]
    tag, archive = f"localhost/{name}:{key}", FOLDER / f"{name}-{key}.tar"
    if not archive.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with (FOLDER / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not archive.exists():
                make(tag)
                partial = archive.with_suffix(".partial")
                partial.unlink(missing_ok=True)
                buildah("push", "--quiet", tag, f"docker-archive:{partial}:{tag}")
                partial.rename(archive)
    os.utime(archive)
    _forget_older(name)
    return Image(tag, archive, archive.stat().st_size)


def _forget_older(name: str) -> None:
    archives = sorted(FOLDER.glob(f"{name}-{'[0-9a-f]' * 16}.tar"), key=lambda a: a.stat().st_mtime)
    for archive in archives[:-KEPT]:
        key = archive.stem.removeprefix(f"{name}-")
        buildah("rmi", "--force", f"localhost/{name}:{key}")
        archive.unlink()


def _bootstrap(tag: str) -> None:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        root, context = Path(folder, "root"), Path(folder, "context")
        context.mkdir()
        included = f"--include={','.join(PACKAGES)}"
        _run("debootstrap", "--variant=minbase", included, SUITE, root, _mirror())
        for path, text in SETTINGS.items():
            (root / path).write_text(text)
        shutil.rmtree(root / "var/lib/apt/lists")
        for unwanted in ("doc", "locale", "man"):
            shutil.rmtree(root / "usr/share" / unwanted)
        for package in (root / "var/cache/apt/archives").glob("*.deb"):
            package.unlink()
        _run("tar", "--numeric-owner", "-C", root, "-cf", context / "root.tar", ".")
        (context / "Dockerfile").write_text('FROM scratch\nADD root.tar /\nCMD ["bash"]\n')
        buildah("bud", "--layers", "--tag", tag, context)


def _mirror() -> str:
    """Return the Debian mirror that this machine's own packages come from."""
    query = ("Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main")
    found = _run("apt-get", "indextargets", "--format", "$(REPO_URI)", *query).split()
    if not found:
        raise RuntimeError("apt's sources must name a Debian mirror, after `apt-get update`")
    return found[0]


@contextmanager
def _index_settings() -> Iterator[list[str]]:
    """Give the build this machine's package index and certificates, and leave the image without."""
    bundle = os.environ.get("SSL_CERT_FILE", BUNDLE)
    pip = configparser.ConfigParser()
    pip.read(Path(path).expanduser() for path in PIP_SETTINGS)
    index = next(filter(None, map(os.environ.get, INDEXES)), None)
    index = index or pip.get("global", "index-url", fallback=None)
    with tempfile.TemporaryDirectory() as folder:
        for_pip, for_uv = Path(folder, "pip.conf"), Path(folder, "uv.toml")
        for_pip.write_text(f"[global]\ncert = {BUNDLE}\n")
        for_uv.write_text("")
        if index:
            for_pip.write_text(f"{for_pip.read_text()}index-url = {index}\n")
            for_uv.write_text(f"index = [{{ url = {json.dumps(index)}, default = true }}]\n")
        yield [
            f"--volume={bundle}:{BUNDLE}:ro",
            f"--secret=id={for_pip.name},src={for_pip}",
            f"--secret=id={for_uv.name},src={for_uv}",
        ]


@cache
def _driver() -> str:
    """Return the storage driver: a copy of everything per layer where nothing can be overlaid."""
    storage = ("--root", FOLDER / "storage", "--runroot", FOLDER / "run")
    try:
        _run("buildah", *storage, "--storage-driver", "overlay", "info")
    except RuntimeError:
        return "vfs"
    return "overlay"


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}")
    return done.stdout


def main() -> int:
    for make in (base, operator, trainer, quick_trainer):
        start = time.monotonic()
        image = make()
        seconds = time.monotonic() - start
        print(f"{image.name} size_mb={image.size / 1e6:.0f} seconds={seconds:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
