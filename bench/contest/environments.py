"""Environments for other libraries, made from pinned, hashed requirements at the first use.

They lie in the user's cache.
"""

import fcntl
import functools
import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
SYNE_TUNE: Final = HERE / "syne-tune.txt"
BOTORCH: Final = HERE / "botorch.txt"


@functools.cache
def interpreter() -> Path:
    """Return the Python of Syne Tune's environment, which is made if it is not there."""
    folder = _folder("syne-tune", SYNE_TUNE)
    python = folder / "bin" / "python"
    with _alone(folder):
        if not (folder / "whole").exists():
            venv.create(folder, clear=True, with_pip=True)
            _install(python, SYNE_TUNE, folder)
    return python


@functools.cache
def botorch() -> Path:
    """Return the folder of BoTorch, which is filled if it is not there.

    It uses the torch of this environment, and what comes with it.
    """
    folder = _folder("botorch", BOTORCH)
    with _alone(folder):
        if not (folder / "whole").exists():
            python = _folder("pip", BOTORCH) / "bin" / "python"
            venv.create(python.parents[1], clear=True, with_pip=True)
            _install(python, BOTORCH, folder, "--target", folder)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time make an environment: searches run side by side."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go of when the file is closed
        yield


def _folder(name: str, requirements: Path) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "distillery")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shaped_by = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:16]
    return cache / f"{name}-{shaped_by}"


def _install(python: Path, requirements: Path, folder: Path, *options: str | Path) -> None:
    print(f"installing {requirements.stem} into {folder}", file=sys.stderr)
    install = ["-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", *options]
    subprocess.run([python, *install, "--requirement", requirements], check=True)
    (folder / "whole").touch()
