"""The process that attends a trainer, and the signals that both get. The runner calls it.

What does not end when asked is killed after a grace, as on a cluster. What the attendant does is in
:mod:`distillery_contract.attendant`.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from distillery_contract import attendant

GRACE_SECONDS: Final = 120.0
"""Time that a trainer has to write its checkpoint, as on a cluster."""


def command(workspace: Path, trainer: Sequence[str]) -> list[str]:
    """Return the command line that runs a trainer, in the folder of its attempt."""
    program = [sys.executable, "-I", "-S", attendant.__file__]  # bare: it takes milliseconds
    return [*program, attendant.OOM_COUNTER, str(workspace), *trainer]


def exists(pid: int) -> bool:
    """Tell whether something of a process group is there."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ask_to_end(pid: int) -> None:
    """Ask a process group to end; the attendant stays to write down how."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)


def kill(pid: int) -> None:
    """Kill a process group at once, the attendant included: nobody writes down how it ended."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
