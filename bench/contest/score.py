"""What one search came to: its reported front over GPU time, as it was measured and in truth.

All volumes are shares of the best true front's, see :mod:`contest.truth`. The front is always the
one that the search reports, by what was measured:

* *true*: its configurations at their mean over all seeds, which is what those get who train again;
  what misses the threshold counts nothing;
* *kept*: who deploys the very checkpoint keeps most of its luck, that of the seed; what is left of
  it, the luck of the validation questions, is gone with other questions;
* *measured*: as the search reports it. Above 1 it is luck.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np

from contest.clock import History
from contest.problems import Array, Problem, threshold
from contest.truth import best_volume, volume
from distillery_contract.parameters import Value
from distillery_operator.trials import pareto
from distillery_operator.trials.trial import Trial

KEPT: Final = 0.8
"""Share of a training's luck that its checkpoint keeps. On the quickstart's data two students of 75
to 80 % differ by 3.1 to 3.8 points by chance of the questions, of 8.2 in all."""

KINDS: Final = ("true", "kept", "measured")


@dataclass(frozen=True)
class Score:
    """The figures.

    Attributes:
        times: GPU time at which the reported front changed, ascending, as a share of the budget.
        true: its true volume from then on; kept and measured likewise.
        overstated: by how many points of exact its points are too high at the end, in the mean.
        points: how many it has then.
        missed: how many of them lie below the threshold in truth.
        finished: trainings that went to their end.
        stopped: trainings that were stopped on their way.
        untrained: suggestions that were never trained, such as repeated ones.
        wrong: of both those that would have improved the front of that moment, as measured.
    """

    times: Sequence[float]
    true: Sequence[float]
    kept: Sequence[float]
    measured: Sequence[float]
    overstated: float
    points: int
    missed: int
    finished: int
    stopped: int
    untrained: int
    wrong: int

    def at(self, kind: str, times: Array) -> Array:
        """Return one of the volumes at given times."""
        places = np.searchsorted(self.times, times, side="right") - 1
        return np.array([0.0, *getattr(self, kind)])[places + 1]

    def final(self, kind: str) -> float:
        """Return one of the volumes at the end."""
        return float([0.0, *getattr(self, kind)][-1])

    def stored(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Self:
        """Return what was stored."""
        return cls(**stored)


def score(problem: Problem, history: History, gpu_seconds: float) -> Score:
    """Follow a search from its first end to its last."""
    spec, known = problem.experiment.spec, _Known(problem)
    front: list[Trial] = []
    times: list[float] = []
    volumes: dict[str, list[float]] = {kind: [] for kind in KINDS}
    stopped = untrained = wrong = 0
    finished = {_key(end.trial) for end in history.ended if not end.stopped}
    for end in history.ended:
        if end.stopped and _key(end.trial) in finished:
            continue  # it went on later
        better = pareto.front(spec, [*front, end.trial])
        improves = any(trial is end.trial for trial in better)
        if end.stopped:
            stopped, untrained = stopped + end.trained, untrained + (not end.trained)
            wrong += improves
        elif improves:
            front = better
            times.append(end.gpu_seconds / gpu_seconds)
            for kind, found in known.volumes(front).items():
                volumes[kind].append(found)
    luck = known.luck(front)
    below = int(sum(known.true(trial) < threshold(problem) for trial in front))
    return Score(
        times,
        **volumes,
        overstated=float(np.mean(luck)) if front else 0.0,
        points=len(front),
        missed=below,
        finished=len(finished),
        stopped=stopped,
        untrained=untrained,
        wrong=wrong,
    )


class _Known:
    """The truth of the points that were looked at."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._true: dict[tuple[tuple[str, Value], ...], float] = {}

    def true(self, trial: Trial) -> float:
        """Return the mean exact of a configuration."""
        if (key := _key(trial)) not in self._true:
            self._true[key] = float(self._problem.true_exact([trial.parameters])[0])
        return self._true[key]

    def luck(self, front: Sequence[Trial]) -> Array:
        """Return by how much each point was measured too high."""
        return np.array([trial.metrics["exact"] - self.true(trial) for trial in front])

    def volumes(self, front: Sequence[Trial]) -> dict[str, float]:
        """Return the volumes of a front, of each kind."""
        least, largest = threshold(self._problem), float(self._problem.size({}))
        sizes = [trial.metrics["parameter_count"] for trial in front]
        measured = np.array([trial.metrics["exact"] for trial in front])
        best, luck = best_volume(self._problem), self.luck(front)
        shares = {"true": 0.0, "kept": KEPT, "measured": 1.0}
        return {
            kind: volume(sizes, [*(measured - (1 - share) * luck)], least, largest) / best
            for kind, share in shares.items()
        }


def _key(trial: Trial) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(trial.parameters.items()))
