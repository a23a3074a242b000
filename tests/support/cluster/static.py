"""Small static programs in C, and images that hold nothing else; both are built once."""

import contextlib
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support import programs
from support.programs import Missing, cache

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def compiled(name: str, source: str) -> Path:
    """Return a program, compiled where it is missing."""
    program = cache.named(name, source, platform.machine())
    if not program.exists():
        (gcc,) = programs.locate("gcc")
        with _partial(program) as partial:
            done = subprocess.run(
                [gcc, "-static", "-O2", "-s", "-x", "c", "-o", partial, "-"],
                input=source,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise Missing(f"{name} must compile, but: {done.stderr.strip()}")
    return program


def image(name: str, source: str) -> Path:
    """Return a docker archive of the image localhost/NAME:1, which runs the program."""
    program = compiled(name, source)
    archive = program.with_suffix(".tar")
    if not archive.exists():
        with _partial(archive) as partial:
            _write_image(partial, name, program.read_bytes())
    return archive


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """Give a file that becomes the path's content at once, when it is complete."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        partial = Path(folder) / path.name
        yield partial
        os.replace(partial, path)


def _write_image(archive: Path, name: str, program: bytes) -> None:
    layer = _tar({name: program})
    config = {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": [f"/{name}"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [
        {"Config": "config.json", "RepoTags": [f"localhost/{name}:1"], "Layers": ["layer.tar"]}
    ]
    files = {"config.json": config, "manifest.json": manifest}
    encoded = {name: json.dumps(content).encode() for name, content in files.items()}
    archive.write_bytes(_tar({**encoded, "layer.tar": layer}))


def _tar(files: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()
