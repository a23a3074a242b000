"""The three ports between an experiment and the world: on a cluster, and on one machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from distillery_contract.request import Request, Stage
from distillery_operator.engine.actions import Launch, Tell
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.attempt import Attempt, AttemptKey, Removal, Report, Standing
from distillery_operator.trials.observation import Others, Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import Provenance
from distillery_operator.trials.trial import Confirmation, FinalTest, Point, Trial


class Runner(Protocol):
    """Starts, lists and stops attempts: batch/v1 Jobs on a cluster, subprocesses on one machine."""

    @property
    def gpus(self) -> float:
        """How many GPUs each attempt gets."""

    @property
    def upcoming(self) -> Provenance:
        """What is known of the trainer that the next attempt gets, before it runs."""

    async def look_for(self, begun: Mapping[str, AttemptKey]) -> None:
        """See to it that attempts which have begun are listed, if they are still there.

        Lists may be late: another operator may have begun them. They are given by identity.
        """

    async def list(self) -> Sequence[Attempt]:
        """Return every attempt of the experiment, live or ended, that was not released."""

    async def start(self, launch: Launch, request: Request) -> None:
        """Start an attempt; one that exists already stays as it is."""

    async def stop(self, attempt: Attempt, reason: str) -> None:
        """Ask an attempt to write a checkpoint and end; asking again changes nothing."""

    async def expire(self, attempt: Attempt) -> None:
        """End an attempt that waits for a machine; it stays listed, and may be asked again."""

    async def close(self, attempt: Attempt) -> None:
        """End what outlives the trainer of an attempt."""

    async def discard(self, attempt: Attempt) -> None:
        """End and remove an attempt that is not of the study's trials; may be asked again."""

    async def release(self, attempt: Attempt) -> None:
        """Stop listing an attempt that has ended."""

    async def free(self, attempt: Attempt) -> None:
        """Let go of what is held of an attempt that has ended."""

    async def collect(self, trials: Sequence[int], runs: Sequence[tuple[int, int]] = ()) -> None:
        """Begin to remove models and checkpoints: of trials, and of confirmations.

        Confirmations are given by trial and seed.
        """

    async def forget(self, removal: Removal) -> None:
        """End a removal, and list it no more."""

    async def removals(self) -> Sequence[Removal]:
        """Return the removals that were begun and are not forgotten, as of the last list."""


class Measurements(Protocol):
    """Reads what attempts expose."""

    async def read(self, attempts: Sequence[Attempt]) -> Sequence[Report | None]:
        """Return the newest report of each attempt, or None."""

    def standing(self, attempt: Attempt) -> Standing | None:
        """Return since when an attempt was seen at the same step; None if it was never asked."""

    def drop(self, attempt: Attempt) -> None:
        """Drop what is known of an attempt that nobody will read again."""


class Study(Protocol):
    """Keeps suggestions and results."""

    async def load(self) -> tuple[float, Preparation | None, tuple[Trial, ...]]:
        """Return when the study began, what was prepared, and all trials in their order."""

    async def others(self) -> Others:
        """Return what others have put into the study, as of the last look."""

    async def preparing(self) -> tuple[PastAttempt, ...]:
        """Return what is kept of attempts of the preparation as of the last look."""

    async def keep(self, preparation: Preparation) -> None:
        """Store what the preparation found."""

    async def remember(self, stage: Stage, trial: int, attempt: PastAttempt) -> None:
        """Store what counts of an attempt of a stage; it replaces what was kept of it before."""

    async def ask(self, spec: Spec, count: int, now: float) -> None:
        """Store further suggestions."""

    async def promote(self, spec: Spec, number: int, now: float) -> None:
        """Store a trial that continues a stopped one; one that is continued stays as it is."""

    async def keep_test(self, number: int, test: FinalTest) -> None:
        """Store what a trial did on the test questions; one that is stored stays as it is."""

    async def keep_confirmation(self, number: int, index: int, found: Confirmation) -> None:
        """Store how a further training of a trial ended; one that is stored stays as it is.

        Args:
            number: of the trial.
            index: how many confirmations of it are stored before.
            found: what came of it.
        """

    async def record(self, number: int, point: Point) -> None:
        """Add an evaluation to a learning curve."""

    async def tell(self, spec: Spec, ending: Tell, model: str | None, now: float) -> None:
        """Store how a trial ended, and its last evaluation."""

    async def collect(self, numbers: Sequence[int], runs: Sequence[tuple[int, int]] = ()) -> None:
        """Store that the files are gone: of trials, and of confirmations by trial and seed."""


@dataclass(frozen=True)
class Ports:
    """The world of one experiment."""

    runner: Runner
    measurements: Measurements
    study: Study
