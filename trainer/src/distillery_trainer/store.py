"""Folders below a shared cache that are there whole or not at all. ``prepare`` calls it.

A folder is filled under a temporary name beside its place, its manifest, with key and file sizes,
is written last, everything is flushed to the disk, and only then it is renamed. Readers believe
the manifest alone.
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

FORMAT: Final = 1
"""Raise it when the layout of a folder changes: older folders are then made again."""

_MANIFEST: Final = "manifest.json"


def manifest(folder: Path) -> dict[str, Any] | None:
    """Return what is known about a folder, or None if it is not whole or not what its name says."""
    try:
        document = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        whole = (
            document["format"] == FORMAT
            and document["key"] == folder.name
            and all((folder / n).stat().st_size == size for n, size in document["files"].items())
        )
        about = document["about"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent, cut short, or another program's
    return about if whole and isinstance(about, dict) else None


def make(folder: Path, fill: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Return the manifest's part on a folder, which is filled unless it is there already.

    Args:
        folder: its place; its name is the key.
        fill: writes the contents into an empty folder and returns what the manifest shall tell.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if (about := manifest(folder)) is not None:
            log.info("%s is there already", folder)
            return about
        _remove_remains(folder)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            about = fill(partial)
            _seal(partial, folder.name, about)
            if folder.exists():
                log.warning("%s is not whole, or foreign; it is made again", folder)
                shutil.rmtree(folder)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _flush(folder.parent)
    return about


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that of two processes the second reuses what the first makes."""
    with (folder.parent / f"{folder.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another process makes %s; waiting for it", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_remains(folder: Path) -> None:
    """Remove what killed processes left; under the lock nobody else is at work."""
    for remains in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(remains, ignore_errors=True)


def _seal(folder: Path, key: str, about: dict[str, Any]) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    document = {
        "format": FORMAT,
        "key": key,
        "files": {str(path.relative_to(folder)): path.stat().st_size for path in files},
        "about": about,
    }
    path = folder / _MANIFEST
    for written in files:
        _flush(written)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
    for written in [path, *(p for p in folder.rglob("*") if p.is_dir()), folder]:
        _flush(written)
    folder.chmod(0o755)  # mkdtemp's folders are private, but trials may run as another user


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
