"""Gather, decide, apply: one pass over an experiment. Read this after ``decide``.

A pass reads the world through three ports, asks :func:`decide.decide` what is missing, and does
that. It keeps nothing: the command line and the operator call it whenever something may have
changed, and once more after a pass that did something.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from distillery_contract.request import Stage
from distillery_operator.engine import decide, memory, requests
from distillery_operator.engine.actions import (
    Action,
    Ask,
    Close,
    Collect,
    Collected,
    Discard,
    Expire,
    Forget,
    Free,
    Halt,
    Keep,
    KeepConfirmation,
    KeepTest,
    Launch,
    Promote,
    Record,
    Release,
    Remember,
    Tell,
)
from distillery_operator.engine.decide import Decision
from distillery_operator.engine.ports import Ports
from distillery_operator.errors import Refused
from distillery_operator.resource.experiment import Experiment
from distillery_operator.trials import feasibility
from distillery_operator.trials.attempt import Attempt
from distillery_operator.trials.caps import NONE, Caps
from distillery_operator.trials.observation import Observation, Preparation
from distillery_operator.trials.trial import State, Trial
from distillery_operator.trials.verdicts import Verdicts


@dataclass(frozen=True)
class Pass:
    """What one pass saw and decided, and the actions that were refused, with the words said."""

    seen: Observation
    decision: Decision
    refused: Sequence[str] = ()


async def reconcile(
    experiment: Experiment,
    ports: Ports,
    now: float,
    obstacle: str = "",
    caps: Caps = NONE,
    before: Verdicts | None = None,
) -> Pass:
    """Bring an experiment one step closer to what is wanted.

    Args:
        experiment: what is wanted.
        ports: the world.
        now: seconds since the epoch.
        obstacle: why nothing may start; empty if it may.
        caps: of the namespace.
        before: verdicts of an earlier pass, which spare work and change nothing; None without any.
    """
    seen = replace(await observe(experiment, ports, now, obstacle, caps), before=before)
    # In a thread: with thousands of trials a front takes longer than other experiments may wait.
    decision = await asyncio.to_thread(decide.decide, experiment.spec, seen)
    refused: list[str] = []
    for action in decision.actions:
        try:
            await apply(experiment, ports, seen, action)
        except Refused as refusal:  # one that is refused holds up no other
            refused.append(str(refusal))
    return Pass(seen, decision, tuple(dict.fromkeys(refused)))


async def observe(
    experiment: Experiment, ports: Ports, now: float, obstacle: str = "", caps: Caps = NONE
) -> Observation:
    """Gather everything that a decision rests on; reports only of attempts that still matter."""
    started, preparation, trials = await ports.study.load()
    others = await ports.study.others()
    preparing = await ports.study.preparing()
    await ports.runner.look_for(memory.begun(trials, preparing))
    listed = await ports.runner.list()
    order = requests.order(experiment, Launch(Stage.PREPARE, 0, 1), None, preparation)
    asked_for = requests.digest(order)
    attempts, foreign = _parted(experiment, listed, preparation, trials, asked_for)
    asked = [a for a in attempts if _matters(a, trials, preparation)]
    reports = await ports.measurements.read(asked)
    return Observation(
        now=now,
        started=started,
        preparation=preparation,
        trials=trials,
        attempts=tuple(attempts),
        reports={
            attempt.key: report
            for attempt, report in zip(asked, reports, strict=True)
            if report is not None
        },
        obstacle=obstacle,
        gpus=ports.runner.gpus,
        foreign=tuple(foreign),
        others=others,
        removals=tuple(await ports.runner.removals()),
        standing={
            attempt.key: standing
            for attempt in asked
            if (standing := ports.measurements.standing(attempt)) is not None
        },
        preparing=preparing,
        generation=experiment.metadata.generation,
        upcoming=ports.runner.upcoming,
        preparation_order=asked_for,
        caps=caps,
    )


def _parted(
    experiment: Experiment,
    listed: Sequence[Attempt],
    preparation: Preparation | None,
    trials: Sequence[Trial],
    preparing: str,
) -> tuple[list[Attempt], list[Attempt]]:
    """Return the attempts of the study's own trials, and those of others.

    Where a database was restored, or another one is used, processes live whose trials it has
    forgotten, or whose numbers it has given to other suggestions. And a preparation may read data
    that an edit has changed: ``preparing`` is the digest of what one would be asked for now.
    """

    def own(attempt: Attempt) -> bool:
        if attempt.stage is Stage.PREPARE:
            return preparation is not None or attempt.digest in ("", preparing)
        if attempt.trial >= len(trials):
            return False
        launch, trial = Launch(*attempt.key), trials[attempt.trial]
        wanted = requests.order(experiment, launch, trial, preparation)
        return attempt.digest in ("", requests.digest(wanted))

    parted: tuple[list[Attempt], list[Attempt]] = [], []
    for attempt in listed:
        parted[not own(attempt)].append(attempt)
    return parted


async def apply(experiment: Experiment, ports: Ports, seen: Observation, action: Action) -> None:
    """Carry out one action. Each is idempotent: a pass that was killed is repeated by the next."""
    study, runner = ports.study, ports.runner
    match action:
        case Launch(stage, number):
            trial = None if stage is Stage.PREPARE else seen.trials[number]
            order = requests.order(experiment, action, trial, seen.preparation)
            await runner.start(action, order)
        case Halt(halted, reason):
            await runner.stop(halted, reason)
        case Expire(waiting):
            await runner.expire(waiting)
        case Close(ended):
            await runner.close(ended)
        case Discard(foreign):
            await runner.discard(foreign)
        case Keep(preparation):
            await study.keep(preparation)
        case KeepTest(number, test):
            await study.keep_test(number, test)
        case KeepConfirmation(number, index, found):
            left = found.state is State.COMPLETED
            folder = requests.confirmation(experiment, number, found.seed)
            model = f"{folder}/{requests.MODEL}" if left else None
            await study.keep_confirmation(number, index, replace(found, model=model))
        case Record(number, point):
            await study.record(number, point)
        case Remember(stage, number, past):
            await study.remember(stage, number, past)
        case Tell(number):
            repeated = action.reason == feasibility.DUPLICATE  # the model is another trial's
            model = None if repeated else requests.model(experiment, number)
            await study.tell(experiment.spec, action, model, seen.now)
        case Ask(count):
            await study.ask(experiment.spec, count, seen.now)
        case Promote(number):
            await study.promote(experiment.spec, number, seen.now)
        case Release(attempt):
            await runner.release(attempt)
            ports.measurements.drop(attempt)
        case Free(attempt):
            await runner.free(attempt)
        case Collect(numbers, runs):
            await runner.collect(numbers, runs)
        case Collected(numbers, runs):
            await study.collect(numbers, runs)
        case Forget(removal):
            await runner.forget(removal)


def _matters(attempt: Attempt, trials: Sequence[Trial], preparation: Preparation | None) -> bool:
    """Tell whether a decision can depend on what an attempt exposes."""
    if attempt.stage is Stage.PREPARE:
        return preparation is None or not preparation.pinned
    return not trials[attempt.trial].stored(attempt.stage, attempt.number)
