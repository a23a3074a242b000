"""The environment of Katib's Python: its own sources, from the Go module, and what they import."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Final

from measured import commands
from support import programs
from support.programs import go

HERE: Final = Path(__file__).parent
PLACES: Final = (
    "",
    "pkg/apis/manager/v1beta1/python",
    "pkg/apis/manager/health/python",
    "cmd/suggestion/hyperopt/v1beta1",
)
"""Of Katib's sources, as in its image."""


@cache
def sources() -> Path:
    """Return the folder of Katib's sources."""
    return go.fetched("katib", "github.com/kubeflow/katib")


def command(script: str, *arguments: str) -> list[str]:
    """Return what runs a script of this package there."""
    (python,) = programs.locate("katib-python")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = Path(python).parents[1] / "lib" / version / "site-packages"
    places = os.pathsep.join([str(packages), *(str(sources() / place) for place in PLACES)])
    variables = [f"PYTHONPATH={places}", "PYTHONDONTWRITEBYTECODE=1"]
    # -P: the other modules of this package are not for that environment.
    return ["env", *variables, commands.python(), "-P", str(HERE / script), *arguments]
