"""A folder that arrives as a tar archive. Called by :mod:`distillery_operator.results.cluster`."""

import tarfile
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from distillery_operator.errors import Incompatible


async def unpack(parts: AsyncIterator[bytes], folder: Path) -> None:
    """Write a folder that is not there yet.

    Raises:
        Incompatible: what arrives is no archive, or one that wants to write elsewhere.
    """
    try:
        with tempfile.TemporaryFile(dir=folder.parent) as packed:
            async for part in parts:
                packed.write(part)
            packed.seek(0)
            with tarfile.open(fileobj=packed) as archive:
                archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise Incompatible(f"a model must arrive as a tar archive, but {error}") from error
