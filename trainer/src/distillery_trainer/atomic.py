"""Files and folders that are there whole or not at all, whenever the process or the machine dies.

Everything that a later process reads is written by these. Contents are flushed to the disk before
they are renamed to their place, because a rename may reach the disk before what it renames.
"""

import contextlib
import fcntl
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)


def file(place: Path, text: str) -> None:
    """Write a file, in UTF-8: whoever reads the place finds the old text or the new one."""
    with opened(place) as partial:
        partial.write(text.encode())


@contextlib.contextmanager
def opened(place: Path) -> Iterator[BinaryIO]:
    """Give a file to write, which appears at its place once the block has ended well."""
    partial = place.with_name(f".{place.name}.partial")
    with partial.open("wb") as file_:
        yield file_
    _flush(partial)
    partial.replace(place)
    _flush(place.parent)


@contextlib.contextmanager
def folder(place: Path, *, alone: bool = True) -> Iterator[Path]:
    """Give an empty folder to fill, which appears at its place once the block has ended.

    A block that raises leaves nothing.

    Args:
        place: where the folder shall be.
        alone: no other process fills this place now. What stands there is replaced, and what killed
            processes have left beside it is removed. If this is false, the first to end wins, and
            the work of the others is dropped.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    if alone:
        _remove_remains(place)
    name = {"prefix": f".{place.name}.", "suffix": ".partial"}
    partial = Path(tempfile.mkdtemp(**name, dir=place.parent))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp's folders are private, but trials may run as another user
        for path in [*partial.rglob("*"), partial]:
            _flush(path)
        if alone:
            shutil.rmtree(place, ignore_errors=True)
        _rename(partial, place, alone)
        _flush(place.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold an exclusive lock on a file, which is made if need be; yield its descriptor.

    A child process that inherits the descriptor holds the lock for as long as it lives.
    """
    with path.open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another process holds %s; waiting for it", path)
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield opened.fileno()


def _remove_remains(place: Path) -> None:
    remains = re.compile(rf"\.{re.escape(place.name)}\.[^.]+\.partial")
    for path in place.parent.iterdir():
        if remains.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _rename(partial: Path, place: Path, alone: bool) -> None:
    try:
        partial.rename(place)
    except OSError:
        if alone or not place.is_dir():  # else another process was faster
            raise


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
