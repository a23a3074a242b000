"""``python -m distillery_trainer.fork_server``: trials as forks of a process with all imports.

``distillery run`` starts one, and speaks to it as :mod:`distillery_contract.forks` says.
"""

import contextlib
import importlib
import sys
from typing import Final

from distillery_contract import forks
from distillery_trainer.stop import Stop

PRELOADED: Final = ("distillery_trainer.process", "distillery_trainer.stages")
"""What trials import. None of it starts a thread or touches a GPU: no fork would survive either."""


def main() -> int:
    """Serve forks; in each of them, run one process of a trainer and return its exit code."""
    for name in PRELOADED:
        with contextlib.suppress(Exception):  # each trial meets the same error, and can tell it
            importlib.import_module(name)
    if not forks.serve():
        return 0
    stop = Stop()
    stop.install()
    from distillery_trainer import process

    return process.run(stop)


if __name__ == "__main__":
    sys.exit(main())
