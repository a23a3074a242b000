"""Names and numbers that operator and trainer share: variables, ports, limits, exit codes."""

from enum import IntEnum, StrEnum
from typing import Final

REQUEST: Final = "DISTILLERY_REQUEST"
"""Environment variable with the request, see :mod:`distillery_contract.request`."""

METRICS_PORT: Final = "DISTILLERY_METRICS_PORT"
"""Environment variable with the TCP port of ``/metrics``; 0 lets the system choose one."""

METRICS_PORT_FILE: Final = "DISTILLERY_METRICS_PORT_FILE"
"""Environment variable with the path of a file that gets the port of ``/metrics``, if set."""

TERMINATION_MESSAGE: Final = "DISTILLERY_TERMINATION_MESSAGE"
"""Environment variable with the path of the final exposition; by default Kubernetes' own."""

CHECKPOINT_SECONDS: Final = "DISTILLERY_CHECKPOINT_SECONDS"
"""Environment variable with the wall time between two checkpoints of a training. One is written
also when it is asked to end, and at its end."""

DEFAULT_METRICS_PORT: Final = 9090
DEFAULT_TERMINATION_MESSAGE: Final = "/dev/termination-log"

TERMINATION_MESSAGE_LIMIT: Final = 4096
"""Bytes that the kubelet keeps of a container's termination message; the rest is cut off."""


class Exit(IntEnum):
    """How a trainer's process ends. Any other code, or a signal, is a crash."""

    OK = 0
    BAD_REQUEST = 64  # the request breaks a rule: no other attempt can succeed
    BAD_DATA = 65  # data or teacher cannot serve the experiment: a person has to act
    INFEASIBLE = 66  # the suggestion describes no model, e.g. more heads than a layer has
    DIVERGED = 67  # the loss or a weight became NaN or infinite
    OUT_OF_MEMORY = 68  # the device's memory does not hold this suggestion
    INTERRUPTED = 75  # SIGTERM: run the same request again, and it continues there


class Reason(StrEnum):
    """Why an attempt ended, in one word that conditions, logs, metrics and reports share."""

    COMPLETED = "Completed"
    BAD_REQUEST = "BadRequest"
    BAD_DATA = "BadData"
    INFEASIBLE = "InfeasibleShape"
    DIVERGED = "Diverged"
    OUT_OF_MEMORY = "OutOfMemory"
    INTERRUPTED = "Interrupted"
    CRASHED = "Crashed"


REASON_OF_EXIT: Final = {
    Exit.OK: Reason.COMPLETED,
    Exit.BAD_REQUEST: Reason.BAD_REQUEST,
    Exit.BAD_DATA: Reason.BAD_DATA,
    Exit.INFEASIBLE: Reason.INFEASIBLE,
    Exit.DIVERGED: Reason.DIVERGED,
    Exit.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    Exit.INTERRUPTED: Reason.INTERRUPTED,
}
