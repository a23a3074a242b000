"""What can go wrong, named for what the caller does next.

* DistilleryError
  * ApiUnavailable: the cluster's API server does not answer; try again later
  * InvalidExperiment: a person has to change the experiment file; it has every fault at once
  * Incompatible: the operator is of another release than this command; use the same
  * MissingExtra: the command needs packages of an extra; install that
  * InUse: another process works on the same results; wait for it or stop it
  * LeaseLost: another process of the release may work now; begin anew
  * Refused: the cluster's API server says no, with its reason; trying again changes nothing
  * Unfit: another experiment's trials cannot inform this one; change or remove that wish
  * NotFound: there is no such experiment, trial or model; the message says what there is
  * Unusable: a file or a folder cannot be read or written, or is not what it must be; mend it
  * StudyMismatch: the results folder belongs to another search space; use another name
  * TrainerChanged: another trainer than before would go on; bring that back, or allow the other
  * DatabaseUnavailable: the study's database refuses or is not there; try again, nothing is lost

A trial that fails is none of these: it is data, see ``trials.trial.Trial``.
"""

from dataclasses import dataclass


class DistilleryError(Exception):
    """Base of everything that is told to the user as one sentence, without a traceback."""


@dataclass(frozen=True)
class Fault:
    """One broken rule: where in the document, and the rule followed by the value."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class InvalidExperiment(DistilleryError):
    """An experiment breaks rules of the resource; ``origin`` is the file it comes from."""

    def __init__(self, faults: list[Fault], origin: str = "the experiment") -> None:
        self.faults, self.origin = faults, origin
        super().__init__("\n".join(str(fault) for fault in faults))


class ApiUnavailable(DistilleryError):
    """The API server cannot be reached, is overloaded or fails."""


class Refused(DistilleryError):
    """The API server refuses a request; ``reason`` is its word, the message its sentence."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class LeaseLost(DistilleryError):
    """This process was to work alone, and can no longer know that it does."""


class Incompatible(DistilleryError):
    """What the operator answers is not what this release reads."""


class MissingExtra(DistilleryError):
    """Packages that only this command needs are not installed."""


class InUse(DistilleryError):
    """The results folder is locked by another process."""


class NotFound(DistilleryError):
    """What was asked for does not exist."""


class Unusable(DistilleryError):
    """A file or a folder cannot be read or written, or is not what it must be."""


class Unfit(DistilleryError):
    """No trial of another experiment can inform the sampler of this one."""


class StudyMismatch(DistilleryError):
    """The stored study was made for another search space or other objectives."""


class TrainerChanged(DistilleryError):
    """Another trainer made the results so far, and the experiment does not allow that to change."""


class DatabaseUnavailable(DistilleryError):
    """The database of the study cannot be reached, or refuses; the message has its own words."""
