"""Where this machine keeps what is built once: binaries, images, the running cluster."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def folder() -> Path:
    """Return the cache's folder; it lies outside the checkout."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distillery"
    base.mkdir(parents=True, exist_ok=True)
    return base


def named(name: str, *sources: str | bytes) -> Path:
    """Return the place of a thing that is built from sources: others have another place."""
    digest = hashlib.sha256()
    for source in sources:
        content = source.encode() if isinstance(source, str) else source
        digest.update(len(content).to_bytes(8, "big") + content)
    return folder() / f"{name}-{digest.hexdigest()[:16]}"


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Keep other processes from building the same thing meanwhile."""
    with (folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
