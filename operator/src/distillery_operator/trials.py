"""What is known of an experiment at one moment: the vocabulary of the pure modules.

Gathered by :mod:`distillery_operator.reconcile` from its ports, read by ``decide``, ``judge``,
``pareto``, ``status`` and the report.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from distillery_contract.parameters import Value
from distillery_contract.request import Stage
from distillery_contract.size import Architecture


class State(StrEnum):
    """Where a trial stands in the study."""

    RUNNING = "Running"  # suggested, not told; whether a process runs is the attempts' affair
    COMPLETED = "Completed"  # measured to its end
    INFEASIBLE = "Infeasible"  # ended by what was suggested: diverged, out of memory, no such shape
    STOPPED = "Stopped"  # ended early by a rule: it would not have improved the front
    FAILED = "Failed"  # ended by something else: says nothing about the suggestion


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Trial:
    """One suggestion and what came of it.

    Attributes:
        number: 0, 1, 2, … in the order of suggestion.
        parameters: hyperparameters, searched and fixed; what is missing is at the contract's
            default.
        baseline: its name, where a person suggested it.
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
    """

    number: int
    parameters: Mapping[str, Value]
    state: State = State.RUNNING
    baseline: str | None = None
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


def lineage(trials: Sequence[Trial], trial: Trial) -> Iterator[Trial]:
    """Yield a trial, then what it continues, back to the suggestion: one training in all."""
    yield trial
    while trial.continues is not None:
        trial = trials[trial.continues]
        yield trial


def continued(trials: Iterable[Trial]) -> set[int]:
    """Return the numbers of the stopped trials that another one continues."""
    return {trial.continues for trial in trials if trial.continues is not None}


class Phase(StrEnum):
    """Where one attempt of a trial stands."""

    PENDING = "Pending"  # accepted, waits for a machine
    RUNNING = "Running"
    ENDED = "Ended"


STUCK: Final = ("ImagePullFailed", "PodConfigInvalid")
"""Reasons of a waiting attempt that only a person can end."""


AttemptKey = tuple[Stage, int, int]
"""Stage, trial and number: what tells the attempts of an experiment apart."""


@dataclass(frozen=True)
class Attempt:
    """One process (a Job on a cluster) that worked or works on a stage.

    Attributes:
        stage: prepare or train.
        trial: number of the trial; 0 for prepare.
        number: 1, 2, … per trial.
        phase: where it stands.
        exit_code: of the trainer; None while it lives, or if nobody saw it end.
        disrupted: whether the infrastructure ended it: eviction, deletion, a lost machine.
        halted: whether it was asked to end.
        held: whether its pod is held until its metrics are stored.
        outdated: whether it waits for a machine as an earlier pod template described it.
        created: seconds since the epoch at which it was asked for; None on one machine, where
            nothing waits.
        started, ended: seconds since the epoch, of its process.
        reason: one word of the infrastructure for its state: Unschedulable, Evicted, OOMKilled.
        message: the same as a sentence.
        pod: name of its pod, by which a Prometheus server knows it; empty without one.
        metrics_url: where its /metrics is served while it lives.
        termination_message: the final exposition that it left.
    """

    stage: Stage
    trial: int
    number: int
    phase: Phase
    exit_code: int | None = None
    disrupted: bool = False
    halted: bool = False
    held: bool = False
    outdated: bool = False
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    reason: str = ""
    message: str = ""
    pod: str = ""
    metrics_url: str | None = None
    termination_message: str | None = None

    @property
    def key(self) -> AttemptKey:
        """What tells it from others."""
        return self.stage, self.trial, self.number

    @property
    def live(self) -> bool:
        """Whether it may still do something."""
        return self.phase is not Phase.ENDED

    @property
    def seconds(self) -> float:
        """Run time, once ended."""
        return (
            self.ended - self.started
            if self.started is not None and self.ended is not None
            else 0.0
        )


@dataclass(frozen=True)
class Report:
    """What an attempt exposes: one parsed exposition.

    Attributes:
        source: the channel it came by: TerminationMessage, Scrape or Prometheus.
        final: whether the training has ended and ``metrics`` are its last evaluation.
        reason, message: how the process ended, if it has.
        step, steps: optimiser steps done and planned.
        metric_step: step of the latest evaluation.
        metrics, losses: latest evaluation and mean losses.
        teacher: evaluation of the teacher (stage prepare).
        sources: architectures of the models (stages describe and prepare).
        key: key of the prepared data (stage prepare).
    """

    source: str
    final: bool = False
    reason: str = ""
    message: str = ""
    step: int | None = None
    steps: int | None = None
    metric_step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)
    teacher: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, Architecture] = field(default_factory=dict)
    key: str | None = None

    @property
    def progress(self) -> float | None:
        """Share of the planned steps that is done."""
        return self.step / self.steps if self.step is not None and self.steps else None

    def continuing(self, curve: Sequence[Point], now: float) -> Point | None:
        """Return the latest evaluation, seen now, as what follows on a learning curve, if it does.

        Now is in seconds since the epoch.
        """
        if self.metric_step is None or (curve and self.metric_step <= curve[-1].step):
            return None
        metrics = {name: value for name, value in self.metrics.items() if math.isfinite(value)}
        losses = dict(self.losses)
        return Point(self.metric_step, metrics, losses, steps=self.steps, at=now)


@dataclass(frozen=True)
class Preparation:
    """What stage prepare found, kept in the study: every later suggestion is sized by it.

    Attributes:
        key: of the prepared data.
        teacher: its evaluation.
        sources: architectures of the models.
        seconds: run time of its attempts.
        gpus: that they had.
    """

    key: str
    teacher: Mapping[str, float]
    sources: Mapping[str, Architecture]
    seconds: float = 0.0
    gpus: float = 0.0


@dataclass(frozen=True)
class Observation:
    """Everything that a decision rests on.

    ``gpus`` are those that an attempt gets, and ``obstacle`` says why nothing may start, if so.
    """

    now: float
    started: float
    preparation: Preparation | None
    trials: tuple[Trial, ...]
    attempts: tuple[Attempt, ...]
    reports: Mapping[AttemptKey, Report]
    obstacle: str = ""
    gpus: float = 0.0

    @property
    def suggested(self) -> int:
        """How many trials were suggested; one that continues another was suggested before."""
        return sum(trial.continues is None for trial in self.trials)

    @property
    def settled(self) -> int:
        """How many suggestions have ended and are not continued."""
        begun = continued(self.trials)
        ended = (trial for trial in self.trials if trial.state is not State.RUNNING)
        return sum(trial.number not in begun for trial in ended)
