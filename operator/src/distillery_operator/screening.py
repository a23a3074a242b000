"""PURE: which of several suggestions to train. ``sampling`` asks, for samplers that leave a choice.

The one whose training promises the largest gain of hypervolume per second: the expected
improvement per second of Snoek et al. (2012, section 3.2), by the front's hypervolume and the
forecasts of :mod:`distillery_operator.stopping`. A model's size needs no forecast.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distillery_contract.metrics import Direction
from distillery_contract.parameters import Value
from distillery_operator import judge, pareto, space, stopping
from distillery_operator.forecast import Forecast
from distillery_operator.resources import Objective, Spec
from distillery_operator.trials import State, Trial

NODES: Final = np.polynomial.hermite_e.hermegauss(5)
"""Deviations from a forecast's mean, and their weights: the expectation over a normal error."""

LUCK: Final = (1.0, 2.0, 4.0)
"""Factors on the deviations, tried in turn until some suggestion promises something."""

MOST_OBJECTIVES: Final = 3
"""With more, the many hypervolumes of a choice take longer than a choice may."""

Size = Callable[[Mapping[str, Value]], int | None]
"""Returns the weights of the student that hyperparameters describe; None if there is none."""


def chosen(
    spec: Spec, own: Sequence[Trial], warm: Sequence[Trial], size: Size, drawn: Mapping[str, Value]
) -> Mapping[str, Value]:
    """Return what TPE drew, or a better point that mixes it with one of the front.

    TPE draws each parameter by itself, and so misses which values belong together.

    Args:
        spec: of the experiment.
        own: its trials, in their order.
        warm: trials of other experiments.
        size: of the student that hyperparameters describe.
        drawn: the searched parameters that TPE drew.
    """
    if spec.sampler.candidates == 1:
        return drawn
    screen = Screen(spec, own, warm)
    if not screen.tells:
        return drawn
    dice = random.Random(f"{spec.sampler.seed}/{len(own)}")
    parents = [space.reduced(spec, trial.parameters) for trial in screen.front]
    pairs = [(drawn, dice.choice(parents)) for _ in range(spec.sampler.candidates - 1)]
    found = [drawn, *filter(None, (_mixed(spec, pair, dice) for pair in pairs))]
    described = [{**spec.training, **values} for values in found]
    counts = [size(values) for values in described]
    possible = [n for n, count in enumerate(counts) if count is not None]
    if not possible:
        return drawn
    trials = [Trial(len(own), described[n], parameter_count=counts[n]) for n in possible]
    return found[possible[screen.best(trials)]]


def _mixed(
    spec: Spec, points: Sequence[Mapping[str, Value]], dice: random.Random
) -> Mapping[str, Value] | None:
    """Return a point with each value from one of these; None where none has a value of it.

    Only what TPE has drawn is active here, so that its trial can become this point.
    """
    values: dict[str, Value] = {}
    for parameter in spec.parameters:
        if space.active(parameter, values):
            known = [point[parameter.name] for point in points if parameter.name in point]
            if not known:
                return None
            values[parameter.name] = dice.choice(known)
    return values if values.keys() == points[0].keys() else None


class Screen:
    """Tells suggestions apart, with what is known of all trials at one moment.

    Attributes:
        front: of the experiment's own trials.
    """

    def __init__(self, spec: Spec, trials: Sequence[Trial], others: Sequence[Trial] = ()) -> None:
        """Look at one moment.

        Args:
            spec: of the experiment.
            trials: all of its own, in their order.
            others: of other experiments, from which is learnt as well.
        """
        self._spec = spec
        rule = stopping.Rule(spec, trials, others)
        self.front, self._corner = rule.rivals, pareto.reference(spec, trials)
        self._largest = max((float(t.parameter_count or 0) for t in trials), default=0.0)
        few = len(spec.objectives) > MOST_OBJECTIVES or self._corner is None or not self.front
        self._outlooks = {} if few else {o.metric: rule.outlook(o.metric) for o in rule.trained}
        self._cost = self._learn_cost(trials) if self.tells else None

    @property
    def tells(self) -> bool:
        """Whether enough is known to choose by."""
        return bool(self._outlooks) and all(self._outlooks.values())

    def best(self, suggestions: Sequence[Trial]) -> int:
        """Return the place of the most promising of suggestions whose sizes are known.

        Where none promises anything it is the one that would with the least luck.
        """
        rows = [stopping.hyperparameters(self._spec, trial) for trial in suggestions]
        seconds = np.exp(self._cost.means(rows)) if self._cost else np.ones(len(rows))
        for luck in LUCK:
            gains = self._expected_gains(suggestions, rows, luck)
            if gains.any():
                return int((gains / seconds).argmax())
        return 0

    def _expected_gains(
        self, suggestions: Sequence[Trial], rows: Sequence[Sequence[float]], luck: float
    ) -> NDArray[np.float64]:
        """Return by how much each suggestion is expected to let the hypervolume grow."""
        assert self._corner is not None
        deviations, weights = NODES
        columns = [
            self._costs(o, suggestions, rows, luck * deviations) for o in self._spec.objectives
        ]
        costs = np.stack(columns, axis=2)  # (nodes, suggestions, objectives)
        corner = self._corner.copy()
        for column, objective in enumerate(self._spec.objectives):
            # Larger than every model before is no loss by itself.
            if objective.metric in stopping.KNOWN and objective.threshold is None:
                corner[column] = max(corner[column], self._largest, 1.01 * costs[..., column].max())
        points = costs.reshape(-1, costs.shape[2])
        volumes = pareto.gains(self._spec, self.front, corner, points)
        expected: NDArray[np.float64] = weights @ volumes.reshape(costs.shape[:2])
        return expected

    def _costs(
        self,
        objective: Objective,
        suggestions: Sequence[Trial],
        rows: Sequence[Sequence[float]],
        deviations: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return an objective at each node of each suggestion, to be minimised."""
        outlook = self._outlooks.get(objective.metric)
        if outlook is None:
            sizes = [float(trial.parameter_count or 0) for trial in suggestions]
            found = np.tile(sizes, (len(deviations), 1))
        else:
            means, errors = outlook.each(rows)
            found = means + deviations[:, None] * errors
        return -found if objective.direction is Direction.MAXIMIZE else found

    def _learn_cost(self, trials: Sequence[Trial]) -> Forecast | None:
        """Learn how long a training takes: its logarithm, so that a forecast is never negative."""
        whole = [
            trial
            for trial in trials
            if trial.state is State.COMPLETED
            if trial.reason != judge.DUPLICATE and trial.continues is None and trial.seconds > 0
        ]
        if len(whole) < stopping.UNTRAINED_TRIALS:
            return None
        rows = [stopping.hyperparameters(self._spec, trial) for trial in whole]
        return Forecast(rows, [float(np.log(trial.seconds)) for trial in whole])
