"""Distillery as a contestant: its own reconcile loop and study, on ports that keep simulated time.

Nothing of the operator is imitated. A pass gathers, decides and applies as it does on a cluster;
only the attempts that it starts are simulated trainings, and the study's tables are lists. As the
trainer does, they evaluate where the operator's request says, at their end, and where they were
interrupted at it once more; each evaluation takes its time.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal
from unittest.mock import patch

from contest.clock import History
from contest.problems import Metrics, Parameters, Problem, Training, sample
from distillery_contract import parameters, rungs, size
from distillery_contract.request import Request, Stage
from distillery_contract.wire import Exit
from distillery_operator.engine import reconcile
from distillery_operator.engine.actions import Launch, Tell
from distillery_operator.engine.ports import Ports
from distillery_operator.resource import space
from distillery_operator.resource.early_stopping import EarlyStopping, StoppingType
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.sampler import SamplerType
from distillery_operator.search import choice, promise
from distillery_operator.stopping import measuring
from distillery_operator.study import curves
from distillery_operator.study.rows import RUNNING, Row, Rows
from distillery_operator.study.study import Study
from distillery_operator.study.tables import Storage, Stored
from distillery_operator.study.workers import Workers
from distillery_operator.trials.attempt import Attempt, AttemptKey, Phase, Removal, Report
from distillery_operator.trials.provenance import UNKNOWN
from distillery_operator.trials.trial import State

STEPS: Final = 900
"""Steps of the optimiser in a simulated training."""

NINTHS: Final = 9
"""Rungs are rounded to ninths of a training, those that the problems know: 0.11 is 1/9."""

ENDLESS: Final = 100_000
"""Trials, more than any GPU time allows."""

Part = Literal["stopping", "rounds", "softening", "crossings"]
"""What can be switched off: early stopping as a whole; of EHVI, the rounds of points near the most
promising ones, and that ends far below the threshold count as nearer; of TPE, the crossings with
points of the front."""


def search(
    problem: Problem,
    *,
    workers: int,
    gpu_seconds: float,
    seed: int,
    sampler: SamplerType | None = None,
    without: Collection[Part] = (),
) -> History:
    """Search until the GPU time is spent; what still trains then is lost.

    Args:
        problem: what to search.
        workers: GPUs, each for one trial.
        gpu_seconds: to spend in all.
        seed: of suggestions and of trainings.
        sampler: what suggests; by default what the problem's experiment says.
        without: what is switched off, to see what it is worth.
    """
    spec = problem.experiment.spec
    suggests: dict[str, object] = {"seed": seed}
    if sampler is not None:
        suggests["type"] = sampler
    if "crossings" in without:
        suggests["crossover"] = 0.0
    own = {
        "sampler": spec.sampler.model_copy(update=suggests),
        "parallelism": workers,
        "max_trials": ENDLESS,
    }
    if "stopping" in without:
        own["early_stopping"] = EarlyStopping(type=StoppingType.NONE, collapse=False)
    experiment = problem.experiment.model_copy(update={"spec": spec.model_copy(update=own)})
    with ExitStack() as replaced:
        if "rounds" in without:
            replaced.enter_context(patch.object(choice, "ROUNDS", 0))
        if "softening" in without:
            replaced.enter_context(patch.object(promise, "softened", lambda ends, threshold: ends))
        if not problem.shaped:
            sized = partial(_sized, problem)
            replaced.enter_context(patch.object(size, "student_size", sized))
        return asyncio.run(_search(problem, experiment, gpu_seconds, seed))


def _sized(problem: Problem, sources: object, parameters: Parameters) -> int:
    """Return a size in the place of the contract's formula, which knows students of text only."""
    return problem.size(space.reduced(problem.experiment.spec, parameters))


async def _search(
    problem: Problem, experiment: Experiment, gpu_seconds: float, seed: int
) -> History:
    world, history = World(problem, seed), History()
    with Workers(1) as threads:
        study = await Study.open(Lists(), experiment, 0.0, threads)
        ports = Ports(world, world, study)
        workers = experiment.spec.parallelism
        while world.now * workers <= gpu_seconds:
            while True:
                done = await reconcile.reconcile(experiment, ports, world.now)
                history.trials = done.seen.trials
                for tell in (a for a in done.decision.actions if isinstance(a, Tell)):
                    known = done.seen.trials[tell.trial]
                    history.add(
                        world.now * workers,
                        training(problem, known.parameters, seed).whole(tell.trial),
                        stopped=tell.state is not State.COMPLETED,
                        trained=bool(known.curve or tell.seconds),
                    )
                if not done.decision.actions:
                    break
            if done.decision.finished:  # such as after 20 suggestions that repeat earlier ones
                break
            world.advance()
    return history


def _windows(problem: Problem) -> Mapping[str, float]:
    """Return windows of an epoch and of the validation set that cost what an evaluation costs."""
    (one,) = sample(problem, 1, seed=0)
    epochs = float(parameters.resolve(problem.experiment.spec.training)["epochs"] or 0.0)
    price = one.evaluation_seconds / one.seconds
    return {"train": 1.0, "validation": price * epochs / measuring.FORWARD}


def training(problem: Problem, parameters: Parameters, seed: int) -> Training:
    """Return the training of these hyperparameters, those apart that the search leaves as they are.

    Chance hangs on what is left: whoever asks again must get the same.
    """
    spec = problem.experiment.spec
    return Training(problem, space.reduced(spec, parameters), seed)


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Attributes:
        share: of its steps that is done.
        measured: the share after which it was evaluated last; 0 before the first time.
    """

    share: float = 0.0
    measured: float = 0.0


class World:
    """Runner and measurements of simulated trainings.

    Attributes:
        now: seconds since the search began.
        gpus: that each attempt gets.
        upcoming: what is known of the trainer, which is none.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self.now = 0.0
        self.gpus = 1.0
        self.upcoming = UNKNOWN
        self._problem, self._seed = problem, seed
        self._attempts: dict[AttemptKey, Attempt] = {}
        self._removed: list[Removal] = []
        self._trainings: dict[int, Training] = {}
        self._folders: dict[str, int] = {}
        self._done: dict[int, Progress] = {}  # how far a trial's stopped attempts have come
        self._begun: dict[AttemptKey, Progress] = {}  # where an attempt goes on from
        self._marks: dict[AttemptKey, Sequence[float]] = {}  # the shares it is evaluated after
        self._measured: dict[tuple[int, float], Metrics] = {}  # of a trial, after a share

    def advance(self) -> None:
        """Go on to the end of the next evaluation; who has made its last one ends."""
        self.now = min(
            when
            for attempt in self._attempts.values()
            if attempt.live
            for _, when in self._evaluations(attempt)
            if when > self.now
        )
        for key, attempt in self._attempts.items():
            if attempt.live and self._progress(attempt).measured == 1.0:
                self._attempts[key] = self._ended(attempt, Exit.OK)

    async def look_for(self, begun: Mapping[str, AttemptKey]) -> None:
        """Do nothing: no list is late."""

    async def list(self) -> Sequence[Attempt]:
        """Return every attempt that was not released."""
        return [*self._attempts.values()]

    async def start(self, launch: Launch, request: Request) -> None:
        """Start an attempt; a training goes on from where the trial's last attempt ended."""
        attempt = Attempt(
            launch.stage, launch.trial, launch.number, Phase.RUNNING, started=self.now
        )
        if launch.stage is Stage.TRAIN:
            made = training(self._problem, request.parameters, self._seed)
            self._trainings[launch.trial] = made
            self._folders[request.output] = launch.trial
            if request.continues:
                self._done.setdefault(launch.trial, self._done[self._folders[request.continues]])
            self._begun[attempt.key] = self._done.get(launch.trial, Progress())
            shares = (rungs.step(rung, NINTHS) / NINTHS for rung in request.rungs)
            self._marks[attempt.key] = (*shares, 1.0)
        else:
            attempt = self._ended(attempt, Exit.OK)
        self._attempts.setdefault(attempt.key, attempt)

    async def stop(self, attempt: Attempt, reason: str) -> None:
        """End an attempt at once, with a checkpoint; an evaluation that was being made is lost."""
        self._done[attempt.trial] = self._progress(self._attempts[attempt.key])
        self._attempts[attempt.key] = self._ended(replace(attempt, halted=True), Exit.INTERRUPTED)

    async def expire(self, attempt: Attempt) -> None:
        """Nothing waits for a machine."""
        raise AssertionError(attempt)

    async def close(self, attempt: Attempt) -> None:
        """Nothing outlives a simulated training."""
        raise AssertionError(attempt)

    async def discard(self, attempt: Attempt) -> None:
        """Remove nothing: the study forgets no trial here."""

    async def release(self, attempt: Attempt) -> None:
        """Stop listing an attempt."""
        del self._attempts[attempt.key]

    async def free(self, attempt: Attempt) -> None:
        """Let go of nothing: nothing is held."""

    async def collect(self, trials: Sequence[int], runs: Sequence[tuple[int, int]] = ()) -> None:
        """Remove nothing: there are no files."""
        done = Attempt(Stage.COLLECT, 0, 1, Phase.ENDED, exit_code=int(Exit.OK))
        self._removed.append(Removal(tuple(trials), done, tuple(runs)))

    async def forget(self, removal: Removal) -> None:
        """List a removal no more."""
        self._removed.remove(removal)

    async def removals(self) -> Sequence[Removal]:
        """Return what was asked for, as if it were gone."""
        return self._removed

    async def read(self, attempts: Sequence[Attempt]) -> Sequence[Report | None]:
        """Return what each attempt exposes now."""
        return [self._report(attempt) for attempt in attempts]

    def _report(self, attempt: Attempt) -> Report:
        if attempt.stage is not Stage.TRAIN:
            teacher = {"exact": 100.0, "HasAns_exact": 100.0, "NoAns_exact": 100.0}
            sources = self._problem.sources
            return Report(
                "Simulated",
                key="simulated",
                teacher=teacher,
                sources=sources,
                windows=_windows(self._problem),
            )
        progress = self._progress(attempt)
        measured = progress.measured
        return Report(
            "Simulated",
            final=measured == 1.0,
            step=round(progress.share * STEPS),
            steps=STEPS,
            metric_step=round(measured * STEPS) if measured else None,
            metrics=self._metrics(attempt.trial, measured) if measured else {},
        )

    def _metrics(self, trial: int, share: float) -> Metrics:
        if (trial, share) not in self._measured:
            self._measured[trial, share] = self._trainings[trial].at(share)
        return self._measured[trial, share]

    def standing(self, attempt: Attempt) -> None:
        """Nothing stands still."""

    def drop(self, attempt: Attempt) -> None:
        """Keep nothing that could be dropped."""

    def _progress(self, attempt: Attempt) -> Progress:
        """Return how far the training of an attempt has come by now."""
        training, measured = self._trainings[attempt.trial], self._begun[attempt.key].measured
        until = self.now if attempt.ended is None else attempt.ended
        for mark, when in self._evaluations(attempt):
            if when > until:  # on the way there, or there and being evaluated
                missing = when - training.evaluation_seconds - until
                return Progress(mark - max(0.0, missing) / training.seconds, measured)
            measured = mark
        return Progress(1.0, measured)

    def _evaluations(self, attempt: Attempt) -> Iterator[tuple[float, float]]:
        """Yield the shares after which an attempt is evaluated, and when each evaluation ends."""
        assert attempt.started is not None
        training, begun = self._trainings[attempt.trial], self._begun[attempt.key]
        share, when = begun.share, attempt.started
        for mark in self._marks[attempt.key]:
            if mark > begun.measured:
                when += training.until_measured(mark - share)
                share = mark
                yield mark, when

    def _ended(self, attempt: Attempt, code: Exit) -> Attempt:
        return replace(attempt, phase=Phase.ENDED, exit_code=code, ended=self.now)


class Lists(Storage):
    """A study's tables, as lists: nothing outlives a simulation."""

    def __init__(self) -> None:
        self.key = "simulation"
        self._attributes: dict[str, Any] = {}
        self._rows: list[dict[str, Any]] = []

    def open(self, name: str, directions: object, attributes: Mapping[str, object]) -> None:
        """Keep the study's attributes."""
        self._attributes.update(attributes)

    def read(self, shares: Sequence[float] | None = None) -> Stored:
        """Return the attributes of the study and of each trial."""
        kept = self._rows if shares is None else [curves.lean(row, shares) for row in self._rows]
        own = [Row(number, number, RUNNING, row) for number, row in enumerate(kept)]
        return Stored(self._attributes, Rows(own))

    def changed(self) -> bool:
        """Nobody else writes."""
        return False

    def trial_attribute(self, number: int, key: str) -> Any:
        """Return an attribute of a trial."""
        return self._rows[number].get(key)

    def set_attribute(self, key: str, value: object) -> None:
        """Keep an attribute of the study."""
        self._attributes[key] = value

    def add(self, trial: Any, now: float) -> None:
        """Keep a further trial."""
        self._rows.append(dict(trial.user_attrs))

    def set_trial_attribute(self, number: int, key: str, value: object) -> None:
        """Keep an attribute of a trial."""
        self._rows[number][key] = value

    def finish(self, number: int, trial: Any, now: float) -> None:
        """Keep how a trial ended."""
        self._rows[number].update(trial.user_attrs)

    def close(self) -> None:
        """Leave it."""
