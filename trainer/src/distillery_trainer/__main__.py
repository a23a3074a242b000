"""``python -m distillery_trainer``: from a request in the environment to an exit code."""

import sys

from distillery_contract.wire import Exit
from distillery_trainer.stop import Stop


def main() -> Exit:
    """Run one process of a trainer and return its exit code; a crash raises."""
    stop = Stop()
    stop.install()
    from distillery_trainer import process  # only now: a signal may come during these imports

    return process.run(stop)


if __name__ == "__main__":
    sys.exit(main())
