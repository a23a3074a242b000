"""PURE: what to expect of a trial that is trained again, with another seed. Status and report ask.

Of many trainings the best were lucky as well, so a front shows more than its students give again.
What the other trials let expect is not chosen for its luck. ``bench/expectation.py`` measures
how far both are from the truth.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np

from distillery_contract import parameters
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.stopping import hyperparameters
from distillery_operator.stopping.forecast import Array, Expected, root_mean_square
from distillery_operator.trials import feasibility
from distillery_operator.trials.trial import State, Trial

LEAST: Final = 10
"""Trials that are needed. Of fewer the errors on left-out ones are chance as well."""

MOST: Final = 1000
"""The newest trials count: so many say what there is to say, and the status is derived often."""


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


def again(spec: Spec, trials: Sequence[Trial], wanted: Sequence[Trial]) -> list[Expectation]:
    """Return what to expect of wanted trials: an expectation per objective that tells anything.

    Trials that were stopped are left out: who was stopped had bad luck as well, and would pull
    down what is expected of the rest. So are collapsed ones: none of them is on the front.
    """
    metrics = [o.metric for o in spec.objectives if o.metric not in feasibility.KNOWN]
    known, learnt_from = [t for t in wanted if inside(spec, t)], examples(spec, trials)
    found = (_of(spec, metric, learnt_from, known) for metric in metrics)
    return [expectation for expectation in found if expectation and expectation.tells]


def examples(spec: Spec, trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that expectations are learnt from."""
    newest = (t for t in _trained(spec, reversed(trials)) if not feasibility.collapsed(t.metrics))
    return [*islice(newest, MOST)][::-1]


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
    spec: Spec, metric: str, examples: Sequence[Trial], wanted: Sequence[Trial]
) -> Expectation | None:
    ends = [(trial, trial.metrics[metric]) for trial in examples if metric in trial.metrics]
    wanted = [trial for trial in wanted if metric in trial.metrics]
    if len(ends) < LEAST or not wanted:
        return None
    values = np.array([end for _, end in ends])
    forecast = hyperparameters.learn([hyperparameters.row(spec, t) for t, _ in ends], values)
    means, deviations = forecast.each([hyperparameters.row(spec, trial) for trial in wanted])
    pairs = zip(map(float, means), map(float, deviations), strict=True)
    return Expectation(
        metric,
        len(ends),
        root_mean_square(forecast.left_out),
        mean_error(values),
        {trial.number: Expected(*pair) for trial, pair in zip(wanted, pairs, strict=True)},
    )
