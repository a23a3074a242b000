"""What the exit codes of ``distillery`` mean. Each means one thing."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """How a command has ended."""

    DONE = 0
    NO_FEASIBLE_TRIAL = 1
    REFUSED = 2
    FAULT = 3
    INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


MEANINGS: Final[Mapping[Exit, str]] = {
    Exit.DONE: "done",
    Exit.NO_FEASIBLE_TRIAL: "the experiment has ended without a feasible trial; its status says"
    " why",
    Exit.REFUSED: "you have to correct something, such as an option, the experiment, a file or the"
    " cluster; standard error says what",
    Exit.FAULT: "a fault of distillery itself; standard error has a traceback to report",
    Exit.INTERRUPTED: "Ctrl-C or SIGTERM; run the same `distillery run` again to continue",
}
