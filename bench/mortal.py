"""`distillery`, but it kills itself with SIGKILL before or after an action: for ``faults.py``.

``MORTAL_AT`` says where: the action's name and ``before`` or ``after``, such as ``Tell-after``; or
``Any-before``. Without it nothing is different.
"""

import os
import signal
import sys
from typing import Any

from distillery_operator.cli import main as command
from distillery_operator.engine import reconcile

AT = os.environ.get("MORTAL_AT", "-")
carry_out = reconcile.apply


async def apply(experiment: Any, ports: Any, seen: Any, action: Any) -> None:
    """Carry out an action, unless this is where the process ends."""
    names = (type(action).__name__, "Any")
    if AT in [f"{name}-before" for name in names]:
        os.kill(os.getpid(), signal.SIGKILL)
    await carry_out(experiment, ports, seen, action)
    if AT in [f"{name}-after" for name in names]:
        os.kill(os.getpid(), signal.SIGKILL)


reconcile.apply = apply

if __name__ == "__main__":
    sys.exit(command.main())
