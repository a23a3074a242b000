"""Asynchronous workers in simulated time: a worker that is free gets the next suggestion at once.

Here compete those that suggest, and stop trainings at most; the operator brings a loop of its own
(:mod:`contest.ours`). GPU time is workers times wall time: a GPU that waits is paid for as well.
So is every evaluation: who looks on pays at each mark, who does not only for the one at the end.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from contest.problems import Metrics, Parameters, Problem, Training
from distillery_operator.trials.trial import Trial


class Contestant(Protocol):
    """Suggests trainings, and looks on if it likes.

    Attributes:
        marks: shares of a training after which it is evaluated, the last of them 1.
    """

    marks: Sequence[float]

    def suggest(self) -> Parameters:
        """Return the hyperparameters of the next training; their numbers are 0, 1, 2 and so on."""

    def goes_on(self, number: int, share: float, metrics: Metrics) -> bool:
        """Tell whether a training that has been measured on its way goes on."""

    def end(self, number: int, metrics: Metrics) -> None:
        """Learn what a training has reached at its end."""


@dataclass(frozen=True)
class Ended:
    """A training that holds no worker any more.

    Attributes:
        gpu_seconds: spent in all when it ended.
        trial: what its whole training gives, whether it was stopped or not.
        stopped: whether it was stopped, or never started.
        trained: whether it was started.
    """

    gpu_seconds: float
    trial: Trial
    stopped: bool
    trained: bool = True


@dataclass
class History:
    """A search: what ended and when.

    Attributes:
        ended: in their order.
        trials: all trials as the operator saw them last; empty for others.
    """

    ended: list[Ended] = field(default_factory=list)
    trials: Sequence[Trial] = ()

    def add(self, gpu_seconds: float, trial: Trial, *, stopped: bool, trained: bool = True) -> None:
        """Note an end."""
        self.ended.append(Ended(gpu_seconds, trial, stopped, trained))


def search(
    problem: Problem, contestant: Contestant, *, workers: int, gpu_seconds: float, seed: int
) -> History:
    """Let a contestant search until its GPU time is spent; what still trains then is lost."""
    history, trainings, marks = History(), list[Training](), contestant.marks
    waiting: list[tuple[float, int, int]] = []  # when, which training, its next mark

    def start(now: float) -> None:
        trainings.append(Training(problem, contestant.suggest(), seed))
        measured = now + trainings[-1].until_measured(marks[0])
        heapq.heappush(waiting, (measured, len(trainings) - 1, 0))

    for _ in range(workers):
        start(0.0)
    while waiting[0][0] * workers <= gpu_seconds:
        now, number, mark = heapq.heappop(waiting)
        training = trainings[number]
        metrics = training.at(marks[mark])
        if mark + 1 == len(marks):
            contestant.end(number, metrics)
        elif contestant.goes_on(number, marks[mark], metrics):
            later = now + training.until_measured(marks[mark + 1] - marks[mark])
            heapq.heappush(waiting, (later, number, mark + 1))
            continue
        history.add(now * workers, training.whole(number), stopped=mark + 1 < len(marks))
        start(now)
    return history
