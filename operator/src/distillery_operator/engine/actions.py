"""What a decision asks for. ``decide`` returns these, ``reconcile`` carries them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from distillery_contract.request import Stage
from distillery_operator.trials.attempt import Attempt, Removal, Report
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import Provenance
from distillery_operator.trials.trial import Confirmation, FinalTest, Point, State


@dataclass(frozen=True)
class Launch:
    """Start an attempt of a stage."""

    stage: Stage
    trial: int
    number: int


@dataclass(frozen=True)
class Halt:
    """Ask a live attempt to write a checkpoint and end."""

    attempt: Attempt
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Expire:
    """End an attempt that no machine has taken in time; that it has waited in vain stays known."""

    attempt: Attempt


@dataclass(frozen=True)
class Close:
    """End what keeps an attempt's pod alive although its trainer has ended."""

    attempt: Attempt


@dataclass(frozen=True)
class Discard:
    """End and remove an attempt of a trial or suggestion that the study does not know."""

    attempt: Attempt


@dataclass(frozen=True)
class Keep:
    """Store what the preparation found."""

    preparation: Preparation


@dataclass(frozen=True)
class KeepTest:
    """Store what a trained student did on the test questions, in a place of its own."""

    trial: int
    test: FinalTest


@dataclass(frozen=True)
class KeepConfirmation:
    """Store how a further training of a trial ended, in a place of its own.

    Attributes:
        trial: that it is of.
        index: how many confirmations of it are stored before.
        confirmation: the training; that it has a model says that it left one.
    """

    trial: int
    index: int
    confirmation: Confirmation


@dataclass(frozen=True)
class Record:
    """Add an evaluation to a trial's learning curve."""

    trial: int
    point: Point


@dataclass(frozen=True)
class Remember:
    """Store what counts of an attempt, so that it outlives its Job; stored again it is replaced."""

    stage: Stage
    trial: int
    attempt: PastAttempt


@dataclass(frozen=True)
class Tell:
    """Store how a trial ended, for good, with the evaluation that its report has.

    Of one that is stopped, the metrics that it was expected to end with, too.
    """

    trial: int
    state: State
    reason: str
    message: str
    seconds: float
    report: Report = field(default_factory=lambda: Report(source=""))
    gpus: float = 0.0
    expected: Mapping[str, float] = field(default_factory=dict)
    provenance: Provenance | None = None


@dataclass(frozen=True)
class Ask:
    """Get that many further suggestions; they start in the next pass."""

    count: int


@dataclass(frozen=True)
class Promote:
    """Go on with a stopped trial, from its checkpoint, as a new one."""

    trial: int


@dataclass(frozen=True)
class Release:
    """Forget an ended attempt: what it left is stored with its trial."""

    attempt: Attempt


@dataclass(frozen=True)
class Free:
    """Let the pod of an ended attempt go: the next one has taken over, nobody needs its words."""

    attempt: Attempt


@dataclass(frozen=True)
class Collect:
    """Begin to remove models and checkpoints that nobody needs: of trials, of confirmations."""

    trials: tuple[int, ...]
    runs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Collected:
    """Store that files of trials and of confirmations are gone."""

    trials: tuple[int, ...]
    runs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Forget:
    """End and forget a removal that was begun for endings which the study does not know."""

    removal: Removal


Action = (
    Launch
    | Halt
    | Expire
    | Close
    | Discard
    | Keep
    | KeepTest
    | KeepConfirmation
    | Record
    | Remember
    | Tell
    | Ask
    | Promote
    | Release
    | Free
    | Collect
    | Collected
    | Forget
)
