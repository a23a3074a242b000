"""PURE: how one spec judges all trials that have ended: how each ended, who is feasible, the front.

To judge each trial is most of what a decision takes in a search of thousands, and from one moment
to the next few of them change. So the verdicts of a moment before are taken over wherever a trial
is the same object. They are the same as if all were judged anew.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from distillery_operator.resource.spec import Spec
from distillery_operator.trials import feasibility, pareto
from distillery_operator.trials.trial import State, Trial

T = TypeVar("T")

Places = NDArray[np.intp]
"""Places of trials among all."""


class Ending(NamedTuple):
    """How a trial ended as people see it: see :func:`feasibility.state`."""

    state: State
    reason: str


FACTS: Final = np.dtype(
    [("time", "f8"), *((n, "?") for n in ("ended", "told", "feasible", "measured", "collapsed"))]
)
"""What is known of a trial: when it ended, and whether it has; whether it has told something of its
suggestion, and so did not fail; whether it may stand on the front; whether it trained to its end
and is no duplicate; whether its model answers nothing or everything."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """All verdicts of one spec at one moment. Trials that have not ended have none.

    Attributes:
        spec: that judges.
        trials: all, in their order.
        endings: of each trial.
        facts: of each trial, as ``FACTS``.
        costs: objectives to be minimised, (trials, objectives): of a trial that was stopped those
            that were expected of its end, where any were.
    """

    spec: Spec
    trials: Sequence[Trial]
    endings: Sequence[Ending | None]
    facts: NDArray[np.void]
    costs: NDArray[np.float64]
    _derived: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, spec: Spec, trials: Sequence[Trial], before: Self | None = None) -> Self:
        """Judge all trials of a moment.

        Args:
            spec: that judges.
            trials: all, in their order.
            before: verdicts of an earlier moment, if there are any.
        """
        if before is None or before.spec is not spec or len(before.trials) > len(trials):
            before = cls._of_none(spec)
        known = before.trials
        pairs = enumerate(zip(known, trials, strict=False))
        changed = [place for place, (one, other) in pairs if one is not other]
        changed += range(len(known), len(trials))
        if all(_runs(trials[n]) and (n >= len(known) or _runs(known[n])) for n in changed):
            return before
        return before._with(trials, changed)

    @classmethod
    def _of_none(cls, spec: Spec) -> Self:
        return cls(spec, (), (), np.zeros(0, FACTS), np.zeros((0, len(spec.objectives))))

    def _with(self, trials: Sequence[Trial], changed: Sequence[int]) -> Self:
        """Return the verdicts of these trials, of which so many were not judged before."""
        more = len(trials) - len(self.trials)
        endings = [*self.endings, *[None] * more]
        facts = np.concatenate([self.facts, np.zeros(more, FACTS)])
        costs = np.concatenate([self.costs, np.zeros((more, self.costs.shape[1]))])
        limits, shared = feasibility.bounds(self.spec), {e: e for e in {*self.endings} if e}
        ended = [place for place in changed if not _runs(trials[place])]
        for place in ended:
            trial = trials[place]
            found = feasibility.judge(self.spec, limits, trial)
            ending = Ending(feasibility.state(trial, found), found.reason)
            endings[place] = shared.setdefault(ending, ending)
            facts[place] = (
                trial.ended or 0.0,
                True,
                trial.state is not State.FAILED,
                found.feasible,
                trial.state is State.COMPLETED and trial.reason != feasibility.DUPLICATE,
                feasibility.collapsed(trial.metrics),
            )
        for place in {*changed}.difference(ended):  # a restored study may have forgotten an ending
            endings[place], facts[place] = None, np.zeros((), FACTS)
        costs[ended] = pareto.costs(self.spec, [_end(trials[place]) for place in ended])
        return type(self)(self.spec, tuple(trials), endings, facts, costs)

    def once(self, what: Hashable, derive: Callable[[], T]) -> T:
        """Return what follows from these verdicts, derived once for all moments that have them.

        Args:
            what: names it, with whatever else it depends on.
            derive: returns it.
        """
        if what not in self._derived:
            self._derived[what] = derive()
        found: T = self._derived[what]
        return found

    def bare(self) -> Self:
        """Return the same without what was derived, which takes more memory than the verdicts."""
        return type(self)(self.spec, self.trials, self.endings, self.facts, self.costs)

    @cached_property
    def counts(self) -> Mapping[Ending, int]:
        """How many trials ended how."""
        return Counter(ending for ending in self.endings if ending)

    @cached_property
    def front(self) -> list[Trial]:
        """The feasible trials that no other feasible one beats, as :func:`pareto.front` does."""
        return self._front(self.facts["feasible"])

    @cached_property
    def measured_front(self) -> list[Trial]:
        """The same without duplicates: of trials with equal objectives the one that trained."""
        return self._front(self.facts["feasible"] & self.facts["measured"])

    @cached_property
    def best(self) -> list[Trial]:
        """The best feasible trial by each objective; none if no trial is feasible."""
        (places,) = np.nonzero(self.facts["feasible"])
        if not len(places):
            return []
        return [self.trials[place] for place in places[self.costs[places].argmin(axis=0)]]

    @cached_property
    def told(self) -> Places:
        """The trials that say something of what was suggested, in the order of their ends."""
        (places,) = np.nonzero(self.facts["told"])
        return places[np.argsort(self.facts["time"][places], kind="stable")]

    def newest(self, count: int) -> list[Trial]:
        """Return so many trials at most, the one that ended last first."""
        (places,) = np.nonzero(self.facts["ended"])
        order = np.argsort(-self.facts["time"][places], kind="stable")
        return [self.trials[place] for place in places[order[:count]]]

    def volume(self, places: Places, corner: NDArray[np.float64]) -> float:
        """Return the volume between the front of some trials and a corner."""
        places = places[self.facts["feasible"][places]]
        kept = pareto.kept(self.costs[places])
        return pareto.volume(self.costs[places[kept]], corner)

    def _front(self, mask: NDArray[np.bool_]) -> list[Trial]:
        (places,) = np.nonzero(mask)
        return [self.trials[places[n]] for n in pareto.kept(self.costs[places])]


def _runs(trial: Trial) -> bool:
    return trial.state is State.RUNNING


def _end(trial: Trial) -> Mapping[str, float]:
    """Return the metrics that a trial ended with, or was expected to end with."""
    stopped = trial.expected and trial.state is not State.COMPLETED
    return {**trial.metrics, **trial.expected} if stopped else trial.metrics
