"""PURE: what to expect of a trial that is trained again, with another seed. Status and report ask.

Of many trainings the best were lucky as well, so a front shows more than its students give again.
A Gaussian process of all of them takes some of the luck away. ``bench/expectation.py`` measures how
far both are from the truth.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np

from distillery_contract import parameters
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.search.gaussian_process import Array, Process
from distillery_operator.stopping.forecast import Expected, root_mean_square
from distillery_operator.trials import feasibility
from distillery_operator.trials.trial import State, Trial

LEAST: Final = 10
"""Trials that are needed. Of fewer the errors on left-out ones are chance as well."""

MOST: Final = 100
"""The newest trials count: they lie near the front, and the status is derived often."""


@dataclass(frozen=True)
class Expectation:
    """What a metric comes to when trials are trained again.

    Attributes:
        metric: its name.
        trials: how many it was learnt from.
        error: by how much a trial that is left out differs from what the others let expect of it,
            the root of the mean square.
        spread: the same error of the trials' mean, which knows no hyperparameter.
        expected: of trials by their numbers.
    """

    metric: str
    trials: int
    error: float
    spread: float
    expected: Mapping[int, Expected] = field(default_factory=dict)

    @property
    def tells(self) -> bool:
        """Whether it knows more than the mean."""
        return self.error < self.spread


class Learnt:
    """What trials tell of a metric, of themselves and of others.

    Attributes:
        numbers: of the trials that it was learnt from.
        error: by how much one that is left out differs from what the others let expect of it, the
            root of the mean square.
        spread: the same error of their mean.
    """

    def __init__(self, spec: Spec, examples: Sequence[Trial], metric: str) -> None:
        """Learn from trials that have the metric."""
        self._spec = spec
        self.numbers = [trial.number for trial in examples]
        self._ends = np.array([trial.metrics[metric] for trial in examples])
        no_guess = np.zeros(len(examples), np.bool_)
        self._process = Process(*placed(spec, examples), self._ends, no_guess)
        self._left_out = self._process.left_out()
        self.error = root_mean_square(self._left_out)
        self.spread = mean_error(self._ends)

    def expected(self, trials: Sequence[Trial]) -> dict[int, Expected]:
        """Return what a training of each trial comes to with another seed, by number."""
        places, sizes = placed(self._spec, trials)
        means = self._process.means(places, sizes)
        deviations = np.hypot(self._process.deviations(places), self.error)
        return {
            trial.number: Expected(float(mean), float(deviation))
            for trial, mean, deviation in zip(trials, means, deviations, strict=True)
        }

    def by_others(self, trials: Sequence[Trial]) -> dict[int, float]:
        """Return what is expected of each trial without its own end, by number."""
        means = {number: known.mean for number, known in self.expected(trials).items()}
        others = self._ends - self._left_out
        return {**means, **dict(zip(self.numbers, map(float, others), strict=True))}


def again(spec: Spec, trials: Sequence[Trial], wanted: Sequence[Trial]) -> list[Expectation]:
    """Return what to expect of wanted trials: an expectation per objective that tells anything.

    Trials that were stopped are left out: who was stopped had bad luck as well, and would pull
    down what is expected of the rest. So are collapsed ones: none of them is on the front.
    """
    metrics = [o.metric for o in spec.objectives if o.metric not in feasibility.KNOWN]
    inner = [trial for trial in wanted if inside(spec, trial)]
    found = (_of(spec, metric, trials, inner) for metric in metrics)
    return [expectation for expectation in found if expectation and expectation.tells]


def examples(spec: Spec, trials: Sequence[Trial], metric: str) -> list[Trial]:
    """Return the trials that expectations of a metric are learnt from."""
    own = (t for t in _trained(spec, reversed(trials)) if metric in t.metrics)
    newest = (trial for trial in own if not feasibility.collapsed(trial.metrics))
    return [*islice(newest, MOST)][::-1]


def placed(spec: Spec, trials: Sequence[Trial]) -> tuple[Array, Array]:
    """Return coordinates of n trials, (n, d), and their sizes, (n,)."""
    places = [space.coordinates(spec, trial.parameters) for trial in trials]
    sizes = [trial.parameter_count or 1 for trial in trials]
    return np.array(places, np.float64), np.array(sizes, np.float64)


def trained(spec: Spec, trials: Sequence[Trial]) -> list[Trial]:
    """Return the points of the search space that trained to their end, each once."""
    return [*_trained(spec, trials)]


def _trained(spec: Spec, trials: Iterable[Trial]) -> Iterator[Trial]:
    for trial in trials:
        own = trial.state is State.COMPLETED and trial.reason != feasibility.DUPLICATE
        if own and inside(spec, trial):
            yield trial


def inside(spec: Spec, trial: Trial) -> bool:
    """Tell whether a trial is a point of the search space; what a person gives may be none."""
    if trial.baseline is None and trial.by_hand is None:
        return True
    point = space.reduced(spec, trial.parameters)
    resolved = parameters.resolve(space.described(spec, point))
    return space.whole(spec, point) and resolved == parameters.resolve(trial.parameters)


def mean_error(ends: Array) -> float:
    """Return by how much an end, of n, differs from the mean of the others."""
    return root_mean_square(ends - ends.mean()) * len(ends) / max(1, len(ends) - 1)


def _of(
    spec: Spec, metric: str, trials: Sequence[Trial], wanted: Sequence[Trial]
) -> Expectation | None:
    measured = [trial for trial in wanted if metric in trial.metrics]
    known = examples(spec, trials, metric) if measured else []
    if len(known) < LEAST:
        return None
    learnt = Learnt(spec, known, metric)
    return Expectation(metric, len(known), learnt.error, learnt.spread, learnt.expected(measured))
