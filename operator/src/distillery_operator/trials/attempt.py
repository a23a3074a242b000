"""One process that works on a trial, and what it exposes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from distillery_contract import metrics
from distillery_contract.request import Stage
from distillery_contract.size import Architecture
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import SILENT, Trainer
from distillery_operator.trials.trial import Point


class Phase(StrEnum):
    """Where one attempt of a trial stands."""

    PENDING = "Pending"  # accepted, waits for a machine
    RUNNING = "Running"
    ENDED = "Ended"


QUEUED: Final = "Queued"
NO_POD: Final = "NoPod"
STARTING: Final = "Starting"
IMAGE_PULL_FAILED: Final = "ImagePullFailed"
POD_CONFIG_INVALID: Final = "PodConfigInvalid"
NO_SCHEDULER: Final = "NoScheduler"
DEACTIVATED: Final = "Deactivated"
INADMISSIBLE: Final = "Inadmissible"
FAILED_MOUNT: Final = "FailedMount"
"""Reasons of a waiting attempt; the last one is a kubelet's."""

STUCK: Final = (
    IMAGE_PULL_FAILED,
    POD_CONFIG_INVALID,
    NO_SCHEDULER,
    DEACTIVATED,
    INADMISSIBLE,
    FAILED_MOUNT,
)
"""Those that only a person can end."""


NODE_LOST: Final = "NodeLost"
"""Reason of an attempt whose machine does not answer, or has gone."""

PENDING_TIMEOUT: Final = "PendingTimeout"
"""Reason of an attempt that was ended because no machine took it in time."""


WITHIN_ONE: Final = 0.5
"""Run time of what began and ended in the same second: a cluster tells times in whole seconds."""

AttemptKey = tuple[Stage, int, int]
"""Stage, trial and number: what tells the attempts of an experiment apart."""


@dataclass(frozen=True)
class Attempt:
    """One process (a Job on a cluster) that worked or works on a stage.

    Attributes:
        stage: prepare, train or test.
        trial: number of the trial; 0 for prepare.
        number: 1, 2, … per trial.
        phase: where it stands.
        exit_code: of the trainer; None while it lives, or if nobody saw it end.
        disrupted: whether the infrastructure ended it: eviction, deletion, a lost machine.
        halted: whether it was asked to end.
        silent: whether it was asked to end because it reported no step for too long.
        held: whether its pod is held until its metrics are stored.
        lingers: containers that keep its pod alive although its trainer has ended.
        closing: whether such a pod was asked to end.
        lost: whether its machine does not answer: nobody knows whether it still runs.
        outdated: whether it waits for a machine as an earlier pod template described it.
        created: seconds since the epoch at which it was asked for; None on one machine, where
            nothing waits.
        waiting_since: seconds since the epoch at which it began to wait for a machine; None in a
            queue, and on one machine.
        started, ended: seconds since the epoch, of its process; of one that is lost, when it was
            given up.
        reason: one word of the infrastructure for its state: Unschedulable, Evicted, OOMKilled.
        message: the same as a sentence.
        pod: name of its pod, by which a Prometheus server knows it; empty without one.
        metrics_url: where its /metrics is served while it lives.
        termination_message: the final exposition that it left.
        digest: of the request that it was started with; empty where it is not known.
        identity: what tells it from every other attempt, even of the same number; empty where it
            is not known.
        generation: of the spec that it was started by; None where it is not known.
        image: of its container, with the digest of its content; empty without one.
        gpus: that it had; None where the study does not say.
    """

    stage: Stage
    trial: int
    number: int
    phase: Phase
    exit_code: int | None = None
    disrupted: bool = False
    halted: bool = False
    silent: bool = False
    held: bool = False
    lingers: tuple[str, ...] = ()
    closing: bool = False
    lost: bool = False
    outdated: bool = False
    created: float | None = None
    waiting_since: float | None = None
    started: float | None = None
    ended: float | None = None
    reason: str = ""
    message: str = ""
    pod: str = ""
    metrics_url: str | None = None
    termination_message: str | None = None
    digest: str = ""
    identity: str = ""
    generation: int | None = None
    image: str = ""
    gpus: float | None = None

    @property
    def key(self) -> AttemptKey:
        """What tells it from others."""
        return self.stage, self.trial, self.number

    @property
    def live(self) -> bool:
        """Whether it may still do something."""
        return self.phase is not Phase.ENDED

    @property
    def remains(self) -> bool:
        """Whether something of it is still there: its process, or what outlived that."""
        return self.live or bool(self.lingers)

    @property
    def seconds(self) -> float:
        """Run time, once ended; 0 only if it never ran."""
        if self.started is None or self.ended is None:
            return 0.0
        return self.ended - self.started or WITHIN_ONE

    def is_that(self, past: PastAttempt) -> bool:
        """Tell whether it is an attempt that the study keeps, of the same trial."""
        if self.identity and past.identity:
            return self.identity == past.identity
        return self.number == past.number


def remembered(stage: Stage, trial: int, past: PastAttempt, lived_until: float) -> Attempt:
    """Return an attempt that the study alone knows any more, so that it has ended.

    Args:
        stage: that it worked on.
        trial: that it worked on.
        past: what is kept of it.
        lived_until: when it gave its last sign of life, in seconds since the epoch. One that was
            seen to run and then was gone has run for so long, at least.
    """
    return Attempt(
        stage=stage,
        trial=trial,
        number=past.number,
        phase=Phase.ENDED,
        exit_code=past.exit_code,
        disrupted=past.disrupted,
        halted=past.halted,
        silent=past.silent,
        started=past.started,
        ended=past.ended if past.over else lived_until,
        reason=past.reason,
        message=past.message or "its process is gone, and nobody saw it end",
        digest=past.provenance.request,
        identity=past.identity,
        generation=past.provenance.generation,
        image=past.provenance.image,
        gpus=past.gpus,
    )


def completed(attempt: Attempt, past: PastAttempt) -> Attempt:
    """Return an attempt with what is kept of it and can be seen no more, for its pod is gone."""
    made = past.provenance
    known = replace(
        attempt,
        gpus=past.gpus,
        digest=attempt.digest or made.request,
        generation=made.generation if attempt.generation is None else attempt.generation,
        image=max(attempt.image, made.image, key=len),  # with the digest, if any had it
    )
    if attempt.live:
        return known
    if past.over and attempt.exit_code is None:
        known = replace(
            known,
            exit_code=past.exit_code,
            disrupted=past.disrupted,
            reason=past.reason,
            message=past.message,
        )
    started = past.started if attempt.started is None else attempt.started
    return replace(known, started=started, ended=attempt.ended or past.ended)


@dataclass(frozen=True)
class Removal:
    """A process that removes the files of trials.

    Attributes:
        trials: whose files.
        attempt: the process.
        runs: confirmations whose files, by trial and seed.
    """

    trials: tuple[int, ...]
    attempt: Attempt
    runs: tuple[tuple[int, int], ...] = ()

    @property
    def whose(self) -> Sequence[int]:
        """Numbers of the trials that the files belong to."""
        return sorted({*self.trials, *(trial for trial, _ in self.runs)})

    @property
    def done(self) -> bool:
        """Whether the files are gone."""
        return not self.attempt.live and self.attempt.exit_code == 0

    @property
    def failed(self) -> bool:
        """Whether files may have stayed."""
        return not self.attempt.live and self.attempt.exit_code != 0


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
        test, teacher_test: evaluations on the test set (stage test), there once they are made.
        sources: architectures of the models (stages describe and prepare).
        key: key of the prepared data (stage prepare).
        windows: how many windows of tokens each split has (stage prepare).
        trainer: what it says of itself.
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
    test: Mapping[str, float] = field(default_factory=dict)
    teacher_test: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, Architecture] = field(default_factory=dict)
    key: str | None = None
    windows: Mapping[str, float] = field(default_factory=dict)
    trainer: Trainer = SILENT

    @property
    def progress(self) -> float | None:
        """Share of the planned steps that is done."""
        return self.step / self.steps if self.step is not None and self.steps else None

    def continuing(self, curve: Sequence[Point], now: float) -> Point | None:
        """Return the latest evaluation as the next point of a learning curve.

        None if the curve has that evaluation already. ``now`` is in seconds since the epoch.
        """
        if self.metric_step is None or (curve and self.metric_step <= curve[-1].step):
            return None
        sound = metrics.sound(self.metrics)
        return Point(self.metric_step, sound, dict(self.losses), steps=self.steps, at=now)


@dataclass(frozen=True)
class Standing:
    """How long a training was seen at the same step.

    Attributes:
        since: the last step that was seen, in seconds since the epoch.
        longest: that it took for a step or an evaluation before, in seconds; 0 before there are
            two of them.
        steady: whether a step was seen to be taken. What comes before that is the start of the
            training, and no pace.
    """

    since: float
    longest: float = 0.0
    steady: bool = False

    def moved(self, now: float) -> "Standing":
        """Return it at a further step."""
        taken = now - self.since if self.steady else 0.0
        return Standing(now, max(self.longest, taken), steady=True)
