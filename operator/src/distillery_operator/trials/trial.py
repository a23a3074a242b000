"""One suggestion and what came of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from distillery_contract.parameters import Value
from distillery_contract.request import Stage
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import UNKNOWN, Provenance


class State(StrEnum):
    """Where a trial stands in the study."""

    RUNNING = "Running"  # suggested, not told; whether a process runs is the attempts' affair
    COMPLETED = "Completed"  # measured to its end
    INFEASIBLE = "Infeasible"  # ended by what was suggested: diverged, out of memory, no such shape
    STOPPED = "Stopped"  # ended early by a rule: it would not have improved the front
    FAILED = "Failed"  # ended by something else: says nothing about the suggestion


@dataclass(frozen=True, slots=True)
class Point:
    """One evaluation along a training.

    Attributes:
        step: optimiser steps done.
        metrics: of the validation set.
        losses: means since the evaluation before.
        steps: optimiser steps planned; None where that is not known.
        at: when it was stored, in seconds since the epoch.
    """

    step: int
    metrics: Mapping[str, float]
    losses: Mapping[str, float] = field(default_factory=dict)
    steps: int | None = None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class FinalTest:
    """What a trained student did on the test questions, which no decision reads.

    Attributes:
        metrics: of the student.
        teacher: of the teacher, on the same questions.
        seconds: run time of all attempts of the test.
        gpus: that they had.
        provenance: what made the evaluation.
        at: when it was stored, in seconds since the epoch.
    """

    metrics: Mapping[str, float]
    teacher: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    gpus: float = 0.0
    provenance: Provenance = UNKNOWN
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A further training of a trial, by all its hyperparameters but with another seed.

    No decision that leads the search reads it.

    Attributes:
        seed: that it was trained with.
        state: completed, infeasible or failed, as of a trial.
        reason, message: why it ended.
        metrics: its last evaluation, parameter_count included; empty unless it was completed.
        seconds: run time of all its attempts.
        gpus: that they had.
        attempt: number of its last attempt; those of the next confirmation follow.
        model: folder of the trained student, relative to the workspace; None where there is none
            (any more).
        collected: whether its model and its checkpoints were removed.
        provenance: what made it.
        at: when it was stored, in seconds since the epoch.
    """

    seed: int
    state: State
    reason: str = ""
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    gpus: float = 0.0
    attempt: int = 1
    model: str | None = None
    collected: bool = False
    provenance: Provenance = UNKNOWN
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One suggestion and what came of it.

    Attributes:
        number: 0, 1, 2, … in the order of suggestion.
        parameters: hyperparameters, searched and fixed; what is missing is at the contract's
            default.
        baseline: its name, where it is one.
        by_hand: name of the suggestion, where a person made it; empty for one without a name.
        parameter_count: weights of the student; None where the hyperparameters describe none.
        metrics: the last evaluation, by the contract's names, parameter_count included; empty
            before there is one.
        reason: why it ended, one word; empty while it runs.
        message: the same as a sentence.
        expected: the metrics that it was expected to end with when it was stopped, where that was
            foreseen.
        curve: evaluations along the training, at most 200.
        source: which channel the final metrics came by.
        seconds: run time of all its attempts.
        gpus: that it had; of one that n trials share, 1/n.
        model: folder of the trained student, relative to the workspace; None where there is none
            (any more).
        collected: whether its model and its checkpoints were removed.
        started, ended: seconds since the epoch.
        continues: number of the stopped trial from whose checkpoint it goes on; its curve begins
            with that trial's.
        provenance: what made its last evaluation; None of one that was never trained, and of
            those that an earlier release has told.
        attempts: what is kept of its attempts; the ending of the last is the trial's own.
        test: its evaluation on the test questions; None as long as there is none.
        testing: what is kept of attempts of that.
        confirmations: its further trainings with other seeds, in their order.
        confirming: what is kept of attempts of these.
    """

    number: int
    parameters: Mapping[str, Value]
    state: State = State.RUNNING
    baseline: str | None = None
    by_hand: str | None = None
    parameter_count: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    message: str = ""
    expected: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[Point, ...] = ()
    source: str = ""
    seconds: float = 0.0
    gpus: float = 0.0
    model: str | None = None
    collected: bool = False
    started: float = 0.0
    ended: float | None = None
    continues: int | None = None
    provenance: Provenance | None = None
    attempts: tuple[PastAttempt, ...] = ()
    test: FinalTest | None = None
    testing: tuple[PastAttempt, ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    confirming: tuple[PastAttempt, ...] = ()

    @property
    def confirmed_up_to(self) -> int:
        """Number of the last attempt of a confirmation whose end is stored; 0 before."""
        return self.confirmations[-1].attempt if self.confirmations else 0

    def stored(self, stage: Stage, attempt: int) -> bool:
        """Tell whether what an attempt of a stage was for is stored: how that ended.

        Args:
            stage: of the trial, of its test, or of a confirmation.
            attempt: its number.
        """
        if stage is Stage.CONFIRM:
            return attempt <= self.confirmed_up_to
        return self.test is not None if stage is Stage.TEST else self.state is not State.RUNNING


def lineage(trials: Sequence[Trial], trial: Trial) -> Iterator[Trial]:
    """Yield a trial, then what it continues, back to the suggestion: one training in all."""
    yield trial
    while trial.continues is not None:
        trial = trials[trial.continues]
        yield trial


def continued(trials: Iterable[Trial]) -> set[int]:
    """Return the numbers of the stopped trials that another one continues."""
    return {trial.continues for trial in trials if trial.continues is not None}
