"""PURE: which trainings end early, and which stopped ones go on after all. ``decide`` asks.

A rung is a share of a training's steps after which every trial is measured. :class:`Rule` looks at
one set of trials, their curves as stored, and says of any of them whether it should stop, by one
word and one sentence. Nothing else is remembered: whoever asks again gets the same answer.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

from distillery_operator.resource.early_stopping import StoppingType
from distillery_operator.resource.spec import Spec
from distillery_operator.stopping import reasons
from distillery_operator.stopping.asha import ASHA
from distillery_operator.stopping.collapse import Collapse
from distillery_operator.stopping.front_aware import FrontAware
from distillery_operator.stopping.reasons import Stop
from distillery_operator.trials import learning_curve
from distillery_operator.trials.trial import Trial, continued
from distillery_operator.trials.verdicts import Verdicts


class Comparison(Protocol):
    """Compares trainings at a rung."""

    def stop(self, trial: Trial, rung: int) -> Stop | None:
        """Return why a trial that trains should end at a rung; None if it goes on."""

    def promising(self, waiting: Sequence[Trial]) -> list[Trial]:
        """Return the stopped trials that would be let go on by what is known now."""


class Rule:
    """Early stopping by one spec, with what is known of all trials at one moment.

    Neither a front nor a forecast is computed before it is asked for.
    """

    def __init__(
        self, spec: Spec, trials: Sequence[Trial], verdicts: Verdicts | None = None
    ) -> None:
        """Look at one moment.

        Args:
            spec: of the experiment.
            trials: all of its own, in their order.
            verdicts: how the spec judges them; found out unless given.
        """
        self._trials, self._shares = trials, spec.early_stopping.rungs
        self._collapse = Collapse(spec, trials)
        kind = spec.early_stopping.type
        self._comparison: Comparison | None = None
        if kind is StoppingType.FRONT_AWARE:
            self._comparison = FrontAware(spec, trials, verdicts)
        elif kind is StoppingType.ASHA:
            self._comparison = ASHA(spec, trials)

    def stop(self, trial: Trial) -> Stop | None:
        """Return why a trial that trains should end now; None if it goes on.

        Baselines are there to be compared, so they train to their end. What has only its end to
        tell saves nothing. What continues a stopped trial is judged anew at the next rung.
        """
        if trial.baseline or learning_curve.after(trial, 1.0):
            return None
        if found := self._collapse.stop(trial):
            return found
        rung = learning_curve.rung(trial, self._shares)
        if rung is None or not self._comparison:
            return None
        if trial.continues is not None:
            stopped = self._trials[trial.continues]
            if rung == learning_curve.rung(stopped, self._shares):
                return None
        return self._comparison.stop(trial, rung)

    @cached_property
    def promotions(self) -> list[int]:
        """The stopped trials that should go on, the one that got farthest first."""
        if not self._comparison:
            return []
        waiting = [
            self._trials[n] for n in reasons.resumable(self._trials) - continued(self._trials)
        ]
        chosen = self._comparison.promising(waiting)
        return [trial.number for trial in sorted(chosen, key=self._order)]

    def _order(self, trial: Trial) -> tuple[int, int]:
        return -(learning_curve.rung(trial, self._shares) or 0), trial.number
