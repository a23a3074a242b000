"""A folder that arrives as a tar archive. Called by :mod:`distillery_operator.results.cluster`."""

import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from distillery_operator.errors import Incompatible


async def unpack(parts: AsyncIterator[bytes], folder: Path) -> None:
    """Write a folder, which appears whole or not at all.

    Raises:
        Incompatible: what arrives is no archive, or one that wants to write elsewhere.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with tempfile.TemporaryFile(dir=folder.parent) as packed:
            async for part in parts:
                packed.write(part)
            packed.seek(0)
            with tarfile.open(fileobj=packed) as archive:
                archive.extractall(partial, filter="data")
        partial.rename(folder)
    except tarfile.TarError as error:
        raise Incompatible(f"a model must arrive as a tar archive, but {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
