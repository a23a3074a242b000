"""Sealed folders: made once, and believed only while they are whole.

A sealed folder has a manifest with its key, the sizes of its files, and whatever its maker wants to
tell about it. The key is the folder's name. Prepared data and checkpoints are such folders.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from distillery_trainer import atomic

log = logging.getLogger(__name__)

FORMAT: Final = 1
"""Raise it when the layout of a folder changes: older folders are then made again."""

_MANIFEST: Final = "manifest.json"


def about(folder: Path) -> dict[str, Any] | None:
    """Return what its maker told about a folder; None if it is not whole, or has another key."""
    try:
        document = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        whole = (
            document["format"] == FORMAT
            and document["key"] == folder.name
            and all((folder / n).stat().st_size == size for n, size in document["files"].items())
        )
        told = document["about"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent, cut short, or written by another program
    return told if whole and isinstance(told, dict) else None


def make(folder: Path, fill: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Return what is told about a folder, and fill it first unless it is there already.

    Of two processes that want the same folder, the second waits for the first and takes its work.

    Args:
        folder: its place; its name is the key.
        fill: writes the contents into an empty folder, and returns what the manifest shall tell.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic.locked(folder.with_name(f"{folder.name}.lock")):
        if (told := about(folder)) is not None:
            log.info("%s is there already", folder)
            return told
        if folder.exists():
            log.warning("%s is not whole, or has another key; it is made again", folder)
        with atomic.folder(folder) as partial:
            told = fill(partial)
            _seal(partial, folder.name, told)
    return told


def _seal(folder: Path, key: str, told: dict[str, Any]) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    document = {
        "format": FORMAT,
        "key": key,
        "files": {str(path.relative_to(folder)): path.stat().st_size for path in files},
        "about": told,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    (folder / _MANIFEST).write_text(text, encoding="utf-8")
