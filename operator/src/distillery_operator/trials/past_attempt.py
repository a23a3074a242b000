"""What the study keeps of an attempt, for Jobs and pods are gone one day.

Limits of interruptions, crashes and run time, and budgets, count it as long as it is not told.
"""

from dataclasses import dataclass

from distillery_operator.trials.provenance import UNKNOWN, Provenance


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt that has run, or runs.

    Attributes:
        number: as of the attempt.
        identity: as of the attempt; empty where it has none.
        over: whether it has ended.
        exit_code, disrupted, halted, silent, reason, message: as of the attempt.
        started, ended: as of the attempt, in seconds since the epoch.
        gpus: that it had.
        provenance: what it was made by, as far as that was known.
    """

    number: int
    identity: str = ""
    over: bool = False
    exit_code: int | None = None
    disrupted: bool = False
    halted: bool = False
    silent: bool = False
    reason: str = ""
    message: str = ""
    started: float | None = None
    ended: float | None = None
    gpus: float = 0.0
    provenance: Provenance = UNKNOWN
