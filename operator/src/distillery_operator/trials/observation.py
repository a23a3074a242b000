"""Everything that a decision rests on, at one moment.

Gathered by :mod:`distillery_operator.engine.reconcile` from its ports.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import dropwhile, takewhile
from typing import TypeVar, cast

from distillery_contract.request import Stage
from distillery_contract.size import Architecture
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.attempt import (
    Attempt,
    AttemptKey,
    Removal,
    Report,
    Standing,
    completed,
    remembered,
)
from distillery_operator.trials.caps import NONE, Caps
from distillery_operator.trials.feasibility import DUPLICATE
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import UNKNOWN, Provenance
from distillery_operator.trials.trial import State, Trial, continued
from distillery_operator.trials.verdicts import Verdicts

T = TypeVar("T")


@dataclass(frozen=True)
class Preparation:
    """What stage prepare found, kept in the study: every later suggestion is sized by it.

    Attributes:
        key: of the prepared data.
        teacher: its evaluation.
        sources: architectures of the models.
        seconds: run time of its attempts.
        gpus: that they had.
        notes: what a person should know of data and models, as the trainer said it.
        windows: how many windows of tokens each split has; empty if an earlier release prepared.
        pinned: whether it was asked to pin the models that trials read; earlier releases did not,
            and then it is run again before a trial starts.
    """

    key: str
    teacher: Mapping[str, float]
    sources: Mapping[str, Architecture]
    seconds: float = 0.0
    gpus: float = 0.0
    notes: str = ""
    windows: Mapping[str, float] = field(default_factory=dict)
    pinned: bool = False


@dataclass(frozen=True)
class Others:
    """What others have put into the study, by Optuna's own tools.

    Attributes:
        enqueued: how many suggestions of theirs can run and wait.
        notes: what else is there and is left alone, in a few sentences.
    """

    enqueued: int = 0
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Observation:
    """Everything that a decision rests on.

    Attributes:
        now, started: of this moment and of the study, in seconds since the epoch.
        preparation: what was prepared; None before.
        trials: all of the experiment, in their order.
        attempts: that work or worked on these trials.
        reports: what attempts expose, by their keys.
        obstacle: why nothing may start; empty if it may.
        gpus: that an attempt gets.
        standing: how long live attempts were seen at the same step, by their keys.
        removals: of files of trials, those that are not forgotten yet.
        foreign: attempts of trials or suggestions that the study does not know.
        others: what others have put into the study.
        preparing: what is kept of attempts of the preparation.
        generation: of the spec.
        upcoming: what is known of the trainer that the next attempt gets, before it runs.
        preparation_order: digest of what a preparation would be asked for now; empty where nothing
            else was ever asked.
        caps: of the namespace.
        before: verdicts of an earlier moment; None if there is none.
    """

    now: float
    started: float
    preparation: Preparation | None
    trials: tuple[Trial, ...]
    attempts: tuple[Attempt, ...]
    reports: Mapping[AttemptKey, Report]
    obstacle: str = ""
    gpus: float = 0.0
    foreign: tuple[Attempt, ...] = ()
    others: Others = Others()
    removals: tuple[Removal, ...] = ()
    standing: Mapping[AttemptKey, Standing] = field(default_factory=dict)
    preparing: tuple[PastAttempt, ...] = ()
    generation: int = 1
    upcoming: Provenance = UNKNOWN
    preparation_order: str = ""
    caps: Caps = NONE
    before: Verdicts | None = field(default=None, repr=False, compare=False)

    def verdicts(self, spec: Spec) -> Verdicts:
        """Return how a spec judges the trials of this moment."""
        known = self._derived.get(Verdicts)
        if not isinstance(known, Verdicts) or known.spec is not spec:
            known = self._derived[Verdicts] = Verdicts.of(spec, self.trials, self.before)
        return known

    def once(self, derive: Callable[["Observation"], T]) -> T:
        """Return what a function derives of this moment, which is called once for all."""
        if derive not in self._derived:
            self._derived[derive] = derive(self)
        return cast(T, self._derived[derive])

    @cached_property
    def _derived(self) -> dict[object, object]:
        return {}

    @property
    def prepared(self) -> bool:
        """Whether there is all that trials read."""
        return self.preparation is not None and self.preparation.pinned

    def attempts_of(self, stage: Stage, trial: int = 0) -> Sequence[Attempt]:
        """Return the attempts of a stage of a trial, in the order of their numbers.

        Those are among them that the study alone remembers. Of confirmations, which come one after
        the other, those of the one that is not stored yet.
        """
        return self._attempts.get((stage, trial), ())

    @property
    def all_attempts(self) -> Iterator[Attempt]:
        """The attempts of the preparation, of all trials, of their tests and confirmations.

        Those are among them that the study alone remembers.
        """
        return (attempt for found in self._attempts.values() for attempt in found)

    def past(self, attempt: Attempt) -> PastAttempt | None:
        """Return what is kept of an attempt; None if nothing is."""
        kept = self.preparing
        if attempt.stage is not Stage.PREPARE:
            trial = self.trials[attempt.trial] if attempt.trial < len(self.trials) else None
            kept = () if trial is None else _of_trial(trial, attempt.stage)
        return next((past for past in kept if attempt.is_that(past)), None)

    def stored(self, attempt: Attempt) -> bool:
        """Tell whether what an attempt was for is stored: how its trial, or another run, ended."""
        if attempt.stage is Stage.PREPARE:
            return False
        return self.trials[attempt.trial].stored(attempt.stage, attempt.number)

    def report(self, attempt: Attempt) -> Report | None:
        """Return what an attempt exposes; None if nothing is known."""
        return self.reports.get(attempt.key)

    @cached_property
    def suggested(self) -> int:
        """How many suggestions count: not what continues another trial, and no told duplicate."""
        return sum(_counts(trial) for trial in self.trials)

    @cached_property
    def settled(self) -> int:
        """How many suggestions that count have ended and are not continued."""
        begun = continued(self.trials)
        ended = (t for t in self.trials if t.state is not State.RUNNING and t.reason != DUPLICATE)
        return sum(trial.number not in begun for trial in ended)

    @cached_property
    def repeats(self) -> int:
        """How many duplicates the newest suggestions that were told are, one after the other.

        What a person suggests says nothing of what the sampler still finds.
        """
        newest = (t for t in reversed(self.trials) if t.continues is None and t.by_hand is None)
        told = dropwhile(lambda t: t.state is State.RUNNING, newest)
        return sum(1 for _ in takewhile(lambda t: t.reason == DUPLICATE, told))

    @cached_property
    def removing(self) -> frozenset[int]:
        """Trials whose files are being removed, are gone, or may be gone in part."""
        return frozenset(number for removal in self.removals for number in removal.trials)

    @cached_property
    def removing_runs(self) -> frozenset[tuple[int, int]]:
        """Confirmations whose files are being removed or are gone, by trial and seed."""
        return frozenset(run for removal in self.removals for run in removal.runs)

    @cached_property
    def _attempts(self) -> Mapping[tuple[Stage, int], Sequence[Attempt]]:
        found: dict[tuple[Stage, int], list[Attempt]] = {}
        for attempt in self.attempts:
            if attempt.stage is Stage.CONFIRM and self.stored(attempt):
                continue
            past = self.past(attempt)
            known = completed(attempt, past) if past else attempt
            found.setdefault((attempt.stage, attempt.trial), []).append(known)
        for place, past in kept(self.trials, self.preparing):
            listed = found.setdefault(place, [])
            if not any(attempt.is_that(past) for attempt in listed):
                listed.append(remembered(*place, past, self._lived_until(*place, past)))
        for listed in found.values():
            listed.sort(key=lambda attempt: attempt.number)
        return found

    def _lived_until(self, stage: Stage, number: int, past: PastAttempt) -> float:
        """Return when an attempt that was seen to run measured last; its start if it never did."""
        begun = past.started or 0.0
        if stage is not Stage.TRAIN:
            return begun
        trial = self.trials[number]
        own = (a.started for a in self.attempts if (a.stage, a.trial) == (stage, number))
        starts = [start for start in (*own, *(p.started for p in trial.attempts)) if start]
        following = min((start for start in starts if start > begun), default=math.inf)
        measured = (point.at for point in trial.curve if begun <= point.at < following)
        return max(measured, default=begun)


def kept(
    trials: Sequence[Trial], preparing: Sequence[PastAttempt]
) -> Iterator[tuple[tuple[Stage, int], PastAttempt]]:
    """Yield what is kept of attempts whose ending is not stored otherwise."""
    yield from (((Stage.PREPARE, 0), past) for past in preparing)
    for trial in trials:
        if trial.state is State.RUNNING:
            yield from (((Stage.TRAIN, trial.number), past) for past in trial.attempts)
        if trial.test is None:
            yield from (((Stage.TEST, trial.number), past) for past in trial.testing)
        open_ = (past for past in trial.confirming if past.number > trial.confirmed_up_to)
        yield from (((Stage.CONFIRM, trial.number), past) for past in open_)


def _of_trial(trial: Trial, stage: Stage) -> tuple[PastAttempt, ...]:
    """Return what is kept of attempts of a stage of a trial."""
    other = {Stage.TEST: trial.testing, Stage.CONFIRM: trial.confirming}
    return other.get(stage, trial.attempts)


def _counts(trial: Trial) -> bool:
    return trial.continues is None and trial.reason != DUPLICATE
