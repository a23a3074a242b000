"""A visit: as many passes over an experiment as there is something to do at once.

The loops of the operator and of ``distillery run`` both call it, and write the status after it.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from distillery_operator.engine import conditions
from distillery_operator.engine.actions import Ask, Keep, KeepConfirmation, KeepTest, Promote, Tell
from distillery_operator.engine.conditions import Finding
from distillery_operator.engine.ports import Ports
from distillery_operator.engine.reconcile import Pass, reconcile
from distillery_operator.errors import DistilleryError, NotFound, Unfit
from distillery_operator.resource.experiment import Experiment
from distillery_operator.trials.caps import NONE, Caps
from distillery_operator.trials.trial import Trial
from distillery_operator.trials.verdicts import Verdicts

PASSES: Final = 3
"""Passes in one visit at most: one tells and asks, the next one starts what was asked."""

LONG_SECONDS: Final = 0.3
"""Time after which a visit makes no further pass: other experiments wait, and go first."""

AGAIN_SECONDS: Final = 60.0
"""Time between two questions whether what was refused is accepted now."""

WarmUp = Callable[[Experiment], Awaitable[Mapping[str, Sequence[Trial]]]]
"""Takes the trials of other experiments; returns all that inform the sampler."""


def goes_on(done: Pass) -> bool:
    """Tell whether a pass did something that lets a next pass do more."""
    more = Keep | KeepTest | KeepConfirmation | Tell | Ask | Promote
    return any(isinstance(action, more) for action in done.decision.actions)


class Visitor:
    """Visits one experiment again and again.

    Keeps between two visits only what can be found again: which experiments inform the sampler, and
    how the trials were judged.

    Attributes:
        fault: why another experiment does not inform the sampler, though it should.
    """

    def __init__(self, ports: Ports, warm_up: WarmUp) -> None:
        self._ports, self._warm_up = ports, warm_up
        self._warm: Mapping[str, Sequence[Trial]] = {}
        self._judged: Verdicts | None = None
        self._asked: tuple[int, bool, float] = (0, False, 0.0)  # generation, whether prepared, time
        self.fault: DistilleryError | None = None

    async def visit(
        self,
        experiment: Experiment,
        obstacle: str = "",
        after: Callable[[Pass], None] = lambda _: None,
        caps: Caps = NONE,
    ) -> Pass:
        """Bring an experiment closer to what is wanted; return the last pass.

        Args:
            experiment: what is wanted.
            obstacle: why nothing may start; empty if it may.
            after: is called after each pass.
            caps: of the namespace.
        """
        begun = time.monotonic()
        for _ in range(PASSES):
            await self._inform(experiment)
            why = obstacle or (str(self.fault) if self.fault else "")
            now = time.time()
            done = await reconcile(experiment, self._ports, now, why, caps, self._judged)
            self._judged = done.seen.verdicts(experiment.spec)
            after(done)
            if not goes_on(done) or time.monotonic() - begun >= LONG_SECONDS:
                break
        self._judged = done.seen.verdicts(experiment.spec).bare()
        return done

    def findings(self, experiment: Experiment) -> list[Finding]:
        """Return what is said of the experiments that inform the sampler."""
        return conditions.warm_started(experiment.spec, self._warm, self.fault)

    async def _inform(self, experiment: Experiment) -> None:
        """Take the trials of other experiments, as soon as there is prepared data to tell which."""
        if not experiment.spec.warm_start_from:
            self.fault, self._warm = None, {}
            return
        generation, now = experiment.metadata.generation, time.monotonic()
        prepared = (await self._ports.study.load())[1] is not None
        *before, when = self._asked
        stale = self.fault is not None and now - when >= AGAIN_SECONDS
        if not stale and before == [generation, prepared]:
            return
        self.fault, self._asked = None, (generation, prepared, now)
        try:
            self._warm = await self._warm_up(experiment)
        except (NotFound, Unfit) as error:
            self.fault = error
