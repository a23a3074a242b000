"""EDGE: files that are read within bounds, and files and folders that appear whole or not at all.

A name that exists stands for finished work: whoever looks never sees half of it, even after the
machine went down.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distillery_operator.errors import NotFound, Unusable


def read(path: Path, most: int) -> bytes:
    """Return what is in a file, a pipe or a device, or the first bytes of it.

    Args:
        path: of the file.
        most: bytes that are read: a device may never end.

    Raises:
        NotFound: there is no such file.
        Unusable: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFound(f"there is no file {path}: {_words(error)}") from error
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {_words(error)}") from error


def write(path: Path, text: str) -> None:
    """Write a text as UTF-8. A file gets it whole or not at all; a pipe or a device just gets it.

    Raises:
        Unusable: it cannot be written.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        place = path.resolve()  # a link stays, and leads to the new text
        with _appearing(place) as part, part.open("x", encoding="utf-8") as file:
            file.write(text)
    except (OSError, RuntimeError) as error:  # links in a circle are a RuntimeError
        raise Unusable(f"{path} cannot be written: {_words(error)}") from error


def expect_none(path: Path) -> None:
    """See to it that nothing has this name, a link to nowhere included.

    Raises:
        Unusable: something has.
    """
    if os.path.lexists(path):
        raise Unusable(f"{path} must not exist yet, but it does")


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Give the path of a folder to make, which gets its name at the end of the block.

    Raises:
        Unusable: something has that name, or it cannot be written.
    """
    expect_none(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _appearing(folder) as part:
            yield part
    except OSError as error:
        raise Unusable(f"{folder} cannot be written: {_words(error)}") from error


@contextmanager
def _appearing(place: Path) -> Iterator[Path]:
    """Give a path beside a place that nothing else has; rename what is there at the end."""
    part = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield part
        for path in [*part.rglob("*"), part]:
            if not path.is_symlink():
                _sync(path)
        part.rename(place)
        _sync(place.parent)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _words(error: Exception) -> str:
    """Return what the system says, without the path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
