"""The loop of ``distillery run``: visits an experiment until nothing is left to do."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from distillery_operator.engine import requests, status, trainers
from distillery_operator.engine.ports import Ports
from distillery_operator.engine.visit import Visitor
from distillery_operator.errors import TrainerChanged
from distillery_operator.local import runner as runners
from distillery_operator.local.runner import Runner
from distillery_operator.measurements.reports import Measurements
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status
from distillery_operator.results import local
from distillery_operator.study import database, study, tables
from distillery_operator.trials.observation import Observation

VISIT_SECONDS: Final = 0.5
"""Time between two visits while trials run: short against an evaluation, long against the cost of
a visit."""

Show = Callable[[Observation, Status], None]


async def run(
    experiment: Experiment, text: str, workspace: Path, trainer: Sequence[str], show: Show
) -> tuple[Observation, Status, bool]:
    """Visit an experiment until nothing is left to do.

    Ctrl-C suspends it: trials write a checkpoint and end. A second one ends them at once.

    Args:
        experiment: what is wanted.
        text: of its file, which is kept with the results once its study takes it.
        workspace: folder of its relative paths and of its results.
        trainer: command of a trainer that speaks the contract.
        show: is called after each visit.

    Returns:
        What was seen last, the status, and whether it was interrupted.

    Raises:
        TrainerChanged: another trainer than that of the results would go on.
    """
    results = local.Results(workspace / requests.results(experiment))
    results.check(experiment)
    ours = trainer == runners.TRAINER and sys.platform == "linux"  # elsewhere forks are not safe
    fork_server = runners.FORK_SERVER if ours else None
    runner, measured = Runner(workspace, experiment, trainer, fork_server), Measurements()
    stop = asyncio.Event()

    def interrupt() -> None:
        if stop.is_set():
            runner.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    before = results.before()
    try:
        async with study.in_file(results.database, experiment, time.time()) as kept:
            results.keep(text)
            runner.forget_failures()
            await kept.try_again()
            wanted = experiment = await kept.own(experiment)

            def find(name: str) -> tables.Storage | None:
                found = local.known(workspace).get(name)
                return database.of_file(found.database) if found else None

            visitor = Visitor(
                Ports(runner, measured, kept), lambda wanted: kept.warm_up(wanted, find)
            )
            while True:
                if stop.is_set():
                    wanted = _suspended(experiment)
                last = await visitor.visit(wanted)
                seen, decision = last.seen, last.decision
                found = status.derive(wanted, seen, decision, before, visitor.findings(wanted))
                if found != before:
                    results.write(experiment, found)
                before = found
                if visitor.fault:
                    raise visitor.fault
                show(seen, found)
                idle = not decision.actions and not found.active
                if idle and (wanted.spec.suspend or decision.finished):
                    return seen, found, stop.is_set()
                if idle and (refusal := trainers.refusal(wanted.spec, seen)):
                    raise TrainerChanged(refusal)
                at_once = decision.actions and not wanted.spec.suspend
                await _wait(stop, 0.0 if at_once else VISIT_SECONDS)
    finally:
        runner.leave()
        await measured.close()


def _suspended(experiment: Experiment) -> Experiment:
    spec = experiment.spec.model_copy(update={"suspend": True})
    return experiment.model_copy(update={"spec": spec})


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait that long, or until a stop is asked for the first time."""
    if stop.is_set():
        await asyncio.sleep(seconds)
        return
    try:
        await asyncio.wait_for(stop.wait(), max(seconds, 0.01))
    except TimeoutError:
        return
