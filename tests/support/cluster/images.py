"""The images that the tests run, built by buildah from the repository's own Dockerfiles.

    cd tests && python -m support.cluster.images

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

from support import programs
from support.programs import Missing, cache

ROOT: Final = Path(__file__).resolve().parents[3]

PROGRAMS: Final = ("buildah", "debootstrap")

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


@dataclass(frozen=True)
class Source:
    """What an image is built from: a Dockerfile of the repository, with build arguments.

    Attributes:
        name: of the image.
        seconds: that the build takes, about, on two quiet cores.
        dockerfile: as a path in the repository; the base has none.
        arguments: names and values.
    """

    name: str
    seconds: float
    dockerfile: str = ""
    arguments: tuple[tuple[str, str], ...] = ()


BASE: Final = Source("base", 30)
"""A Debian of its smallest kind with Python, in place of one that a registry would serve."""
OPERATOR: Final = Source("distillery-operator", 40, "operator/Dockerfile")
TRAINER: Final = Source("distillery-trainer", 90, "trainer/Dockerfile", (("TORCH", "cpu"),))
"""The trainer with a CPU build of torch."""
QUICK_TRAINER: Final = Source(
    "distillery-quick-trainer", 10, "tests/support/cluster/quick.Dockerfile"
)
"""The trainer of ``quick_trainer.py``: it speaks the contract and is done in a second."""
POSTGRES: Final = Source("postgres", 20, "tests/support/cluster/postgres.Dockerfile")
PROMETHEUS: Final = Source("prometheus", 15, "tests/support/cluster/prometheus.Dockerfile")
"""These two stand in for the images that a registry would serve."""
EVERY: Final = (BASE, OPERATOR, TRAINER, QUICK_TRAINER, POSTGRES, PROMETHEUS)


@once
def image(source: Source) -> Image:
    """Return an image, built where it is missing."""
    if source != BASE:
        image(BASE)
    return _kept(_plan(source))


def base() -> Image:
    return image(BASE)


def operator() -> Image:
    return image(OPERATOR)


def trainer() -> Image:
    return image(TRAINER)


def quick_trainer() -> Image:
    return image(QUICK_TRAINER)


def postgres() -> Image:
    return image(POSTGRES)


def prometheus() -> Image:
    return image(PROMETHEUS)


def absent(*sources: Source) -> dict[str, float]:
    """Return the images that would have to be built, and about how many seconds that takes."""
    return {f"image {s.name}": s.seconds for s in sources if not _plan(s).archive.exists()}


def buildah(*arguments: str | Path) -> str:
    """Run buildah on the tests' own storage and return what it prints."""
    return _run("buildah", *_storage(), "--storage-driver", _driver(), *arguments)


def folder() -> Path:
    """Return where archives and layers are kept."""
    return cache.folder() / "images"


@dataclass(frozen=True)
class _Plan:
    """An image's name and place, both of which tell what it is built from, and its build."""

    kind: str
    place: Path
    make: Callable[[], None]

    @property
    def tag(self) -> str:
        return _tag(self.kind, self.place)

    @property
    def archive(self) -> Path:
        return self.place.with_suffix(".tar")


def _plan(source: Source) -> _Plan:
    if not source.dockerfile:
        place = cache.named("images/base", json.dumps([SUITE, PACKAGES, SETTINGS]))
        return _Plan(source.name, place, lambda: _bootstrap(_tag(source.name, place)))
    contents = {path: (ROOT / path).read_bytes() for path in _sources(source.dockerfile)}
    arguments = {**dict(source.arguments), "BASE_IMAGE": _plan(BASE).tag}
    project = contents.get(f"{Path(source.dockerfile).parent}/pyproject.toml")
    if project:
        arguments["VERSION"] = tomllib.loads(project.decode())["project"]["version"]
    named = [part for path, content in contents.items() for part in (path, content)]
    place = cache.named(f"images/{source.name}", json.dumps(arguments, sort_keys=True), *named)

    def make() -> None:
        with tempfile.TemporaryDirectory() as context, index_settings() as settings:
            # What was hashed is what is built.
            for path, content in contents.items():
                copy = Path(context, path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
            buildah(
                *("bud", "--layers", "--force-rm", "--isolation", "chroot", "--network", "host"),
                *(f"--build-arg={key}={value}" for key, value in arguments.items()),
                *settings,
                *("--tag", _tag(source.name, place)),
                *("--file", f"{context}/{source.dockerfile}", context),
            )

    return _Plan(source.name, place, make)


def _sources(dockerfile: str) -> Iterator[str]:
    """Yield a Dockerfile and what it is built from, as paths in the repository."""
    yield from (".dockerignore", dockerfile)
    for line in (ROOT / dockerfile).read_text().splitlines():
        if line.startswith("COPY ") and not line.startswith("COPY --from="):
            for path in (ROOT / word for word in line.split()[1:-1]):
                found = [path] if path.is_file() else sorted(path.rglob("*"))
                files = (f for f in found if f.is_file() and "__pycache__" not in f.parts)
                yield from (str(file.relative_to(ROOT)) for file in files)


def _kept(plan: _Plan) -> Image:
    folder().mkdir(exist_ok=True)
    if not plan.archive.exists():
        with cache.locked("images"):
            if not plan.archive.exists():
                plan.make()
                partial = plan.place.with_suffix(".partial")
                partial.unlink(missing_ok=True)
                buildah("push", "--quiet", plan.tag, f"docker-archive:{partial}:{plan.tag}")
                partial.rename(plan.archive)
                _forget_older(plan.kind)
    os.utime(plan.archive)
    return Image(plan.tag, plan.archive, plan.archive.stat().st_size)


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
    (path,) = programs.locate(command) if command in PROGRAMS else (command,)
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise Missing(f"{command} must succeed, but ended with {done.returncode}: {said}")
    return done.stdout


def main() -> int:
    for source in EVERY:
        start = time.monotonic()
        made = image(source)
        seconds = time.monotonic() - start
        print(f"{made.name} size_mb={made.size / 1e6:.0f} seconds={seconds:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
