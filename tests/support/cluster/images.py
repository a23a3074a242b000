"""The images that the tests run, built by buildah from the repository's own Dockerfiles.

    cd tests && python -m cluster.images

Archives and layers are kept outside the checkout. An archive is named by a hash of all that it is
made from: what is there already takes milliseconds, and after a change of sources alone the layers
below them, base and requirements, stay as they are. To start anew, remove the whole folder.
One process sees one image of each kind, even if somebody edits the sources meanwhile.
"""

import configparser
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
from functools import cache as once
from pathlib import Path
from typing import Final

from support.cluster import cache, packages
from support.cluster.errors import Missing

ROOT: Final = Path(__file__).resolve().parents[3]

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

KEPT: Final = 2
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


@once
def base() -> Image:
    """A Debian of its smallest kind with Python, in place of one that a registry would serve."""
    return _kept("base", [json.dumps([SUITE, PACKAGES, SETTINGS])], _bootstrap)


@once
def operator() -> Image:
    return _built("distillery-operator", "operator/Dockerfile")


@once
def trainer() -> Image:
    """The trainer with a CPU build of torch."""
    return _built("distillery-trainer", "trainer/Dockerfile", TORCH="cpu")


@once
def quick_trainer() -> Image:
    """The trainer of ``quick_trainer.py``: it speaks the contract and is done in a second."""
    return _built("distillery-quick-trainer", "tests/support/cluster/quick.Dockerfile")


@once
def postgres() -> Image:
    """PostgreSQL, in place of the image that a registry would serve."""
    return _built("postgres", "tests/support/cluster/postgres.Dockerfile")


@once
def prometheus() -> Image:
    """Prometheus, in place of the image that a registry would serve."""
    return _built("prometheus", "tests/support/cluster/prometheus.Dockerfile")


def buildah(*arguments: str | Path) -> str:
    """Run buildah on the tests' own storage and return what it prints."""
    return _run("buildah", *_storage(), "--storage-driver", _driver(), *arguments)


def folder() -> Path:
    """Return where archives and layers are kept."""
    return cache.folder() / "images"


def _built(name: str, dockerfile: str, **arguments: str) -> Image:
    sources = {path: (ROOT / path).read_bytes() for path in _sources(dockerfile)}
    arguments["BASE_IMAGE"] = base().name
    project = sources.get(f"{Path(dockerfile).parent}/pyproject.toml")
    if project:
        arguments["VERSION"] = tomllib.loads(project.decode())["project"]["version"]

    def build(tag: str) -> None:
        with tempfile.TemporaryDirectory() as context, index_settings() as settings:
            # What was hashed is what is built.
            for path, content in sources.items():
                copy = Path(context, path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
            buildah(
                *("bud", "--layers", "--force-rm", "--isolation", "chroot", "--network", "host"),
                *(f"--build-arg={key}={value}" for key, value in arguments.items()),
                *settings,
                *("--tag", tag, "--file", f"{context}/{dockerfile}", context),
            )

    named = [part for path, content in sources.items() for part in (path, content)]
    return _kept(name, [json.dumps(arguments, sort_keys=True), *named], build)


def _sources(dockerfile: str) -> Iterator[str]:
    """Yield a Dockerfile and what it is built from, as paths in the repository."""
    yield from (".dockerignore", dockerfile)
    for line in (ROOT / dockerfile).read_text().splitlines():
        if line.startswith("COPY ") and not line.startswith("COPY --from="):
            for path in (ROOT / word for word in line.split()[1:-1]):
                found = [path] if path.is_file() else sorted(path.rglob("*"))
                files = (f for f in found if f.is_file() and "__pycache__" not in f.parts)
                yield from (str(file.relative_to(ROOT)) for file in files)


def _kept(name: str, sources: list[str | bytes], make: Callable[[str], None]) -> Image:
    folder().mkdir(exist_ok=True)
    place = cache.named(f"images/{name}", *sources)
    tag, archive = _tag(name, place), place.with_suffix(".tar")
    if not archive.exists():
        with cache.locked("images"):
            if not archive.exists():
                make(tag)
                partial = place.with_suffix(".partial")
                partial.unlink(missing_ok=True)
                buildah("push", "--quiet", tag, f"docker-archive:{partial}:{tag}")
                partial.rename(archive)
                _forget_older(name)
    os.utime(archive)
    return Image(tag, archive, archive.stat().st_size)


def _forget_older(name: str) -> None:
    archives = folder().glob(f"{name}-{'[0-9a-f]' * 16}.tar")
    for archive in sorted(archives, key=lambda found: found.stat().st_mtime)[:-KEPT]:
        buildah("rmi", "--force", _tag(name, archive))
        archive.unlink()


def _tag(name: str, place: Path) -> str:
    return f"localhost/{name}:{place.stem.removeprefix(f'{name}-')}"


def _bootstrap(tag: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder()) as context:
        root = Path(context, "root")
        included = f"--include={','.join(PACKAGES)}"
        _run("debootstrap", "--variant=minbase", included, SUITE, root, _mirror())
        for path, text in SETTINGS.items():
            (root / path).write_text(text)
        for unwanted in ("usr/share/doc", "usr/share/locale", "usr/share/man"):
            shutil.rmtree(root / unwanted)
        for emptied in ("var/cache/apt/archives", "var/lib/apt/lists"):
            _run("find", root / emptied, "-type", "f", "-delete")
        _run("tar", "--numeric-owner", "-C", root, "-cf", Path(context, "root.tar"), ".")
        dockerfile = Path(context, "Dockerfile")
        dockerfile.write_text('FROM scratch\nADD root.tar /\nCMD ["bash"]\n')
        Path(context, ".dockerignore").write_text("root/\n")
        buildah("bud", "--layers", "--tag", tag, context)


def _mirror() -> str:
    """Return the Debian mirror that this machine's own packages come from."""
    query = ("Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main")
    found = _run("apt-get", "indextargets", "--format", "$(REPO_URI)", *query).split()
    if not found:
        raise Missing("apt's sources must name a Debian mirror, after `apt-get update`")
    return found[0]


@contextmanager
def index_settings() -> Iterator[list[str]]:
    """Lend a build this machine's package index and certificates; none gets into the image."""
    pip = configparser.ConfigParser()
    pip.read(Path(path).expanduser() for path in PIP_SETTINGS)
    index = next(filter(None, map(os.environ.get, INDEXES)), None)
    index = index or pip.get("global", "index-url", fallback=None)
    with tempfile.TemporaryDirectory() as secrets:
        for_pip, for_uv = Path(secrets, "pip.conf"), Path(secrets, "uv.toml")
        for_pip.write_text(
            f"[global]\ncert = {BUNDLE}\n" + (f"index-url = {index}\n" if index else "")
        )
        for_uv.write_text(
            f"index = [{{ url = {json.dumps(index)}, default = true }}]\n" if index else ""
        )
        yield [
            f"--volume={os.environ.get('SSL_CERT_FILE', BUNDLE)}:{BUNDLE}:ro",
            f"--secret=id=pip.conf,src={for_pip}",
            f"--secret=id=uv.toml,src={for_uv}",
        ]


@once
def _driver() -> str:
    """Return the storage driver: a whole copy for each layer where nothing can be overlaid."""
    try:
        _run("buildah", *_storage(), "--storage-driver", "overlay", "info")
    except Missing:
        return "vfs"
    return "overlay"


def _storage() -> tuple[str | Path, ...]:
    return ("--root", folder() / "storage", "--runroot", folder() / "run")


def _run(command: str, *arguments: str | Path) -> str:
    (path,) = packages.locate(command) if command in packages.PACKAGES else (command,)
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise Missing(f"{command} must succeed, but ended with {done.returncode}: {said}")
    return done.stdout


def seen() -> list[Image]:
    """Return the images that this process has asked for."""
    return [make() for make in EVERY if make.cache_info().currsize]


EVERY: Final = (base, operator, trainer, quick_trainer, postgres, prometheus)


def main() -> int:
    for make in EVERY:
        start = time.monotonic()
        image = make()
        seconds = time.monotonic() - start
        print(f"{image.name} size_mb={image.size / 1e6:.0f} seconds={seconds:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
