"""A made-up problem in the manner of distillation, whose answer is known.

Made to lie outside what a search may take for granted: no sum of smooth terms. A loss stays at zero
over a plateau and then rises with a kink; which layers a student starts from moves the best
learning rate and the best depth; the temperature matters as much as the teacher is listened to;
and half of the space collapses: too hot or too cold a learning rate for the size, too little of the
teacher at too high a temperature, too much dropout for a small model. Large models are better and
learn later, so that curves cross. A model that has not learnt to answer says nothing, which is
right for half of the questions.
"""

import statistics
from collections.abc import Mapping, Sequence
from functools import cached_property
from math import exp, log, log10
from pathlib import Path
from typing import Final, cast

import numpy as np

from contest.problems import DATA, RUNGS, Array, Metrics, Parameters, sample
from distillery_contract import size
from distillery_contract.size import Architecture, Family
from distillery_operator.resource import yaml_files

NOISE: Final = 0.4
"""Standard deviation of a whole training's HasAns_exact between seeds, in percent; twice that
between a training's evaluations on its way."""

QUANTILES: Final = 50
"""Seeds' luck, as so many equally likely values."""

EVALUATION: Final = 0.01
"""An evaluation's part of the mean whole training, as on SQuAD 2.0: 11,873 questions, forward only,
against three passes over 130,319, forward and backward, which is three times the work: 1/99."""

LUCK: Final = np.array(
    [statistics.NormalDist().inv_cdf((n + 0.5) / QUANTILES) for n in range(QUANTILES)]
)


class Synthetic:
    """The problem; see :class:`contest.problems.Problem`."""

    name = "synthetic"
    shaped = True
    rungs: Sequence[float] = RUNGS
    files: Sequence[Path] = (DATA / "synthetic.yaml", Path(__file__))

    def __init__(self) -> None:
        self.experiment = yaml_files.read_experiment(DATA / "synthetic.yaml")
        teacher = Architecture(Family.BERT, 8000, 512, 768, 3072, 12, 12, 2)
        self.sources: Mapping[str, Architecture] = {"teacher": teacher}

    def size(self, parameters: Parameters) -> int:
        """Return the weights of a student."""
        return size.student_size(self.sources, parameters)

    def metrics(self, parameters: Parameters, share: float, seed: int) -> Metrics:
        """Return what a training has reached after a share of its steps, in percent."""
        settled = np.random.default_rng([seed, 1])
        on_the_way = np.random.default_rng([seed, 2, round(share * 1e6)])
        if collapses(parameters):
            answered = abs(0.15 * settled.standard_normal())
        else:
            whole = quality(parameters) + NOISE * settled.standard_normal()
            answered = whole * learnt(parameters, share)
            answered += 2 * NOISE * on_the_way.standard_normal() * (share < 1)
        answered = min(100.0, max(0.0, answered))
        silent = 100.0 - 0.1 * answered
        exact = (answered + silent) / 2
        return {"exact": exact, "HasAns_exact": answered, "NoAns_exact": silent}

    def true_exact(self, many: Sequence[Parameters]) -> Array:
        """Return the mean exact of whole trainings over all seeds, in percent, of each of n."""
        found = []
        for parameters in many:
            if collapses(parameters):
                answered = np.abs(0.15 * LUCK)
            else:
                answered = np.clip(quality(parameters) + NOISE * LUCK, 0.0, 100.0)
            found.append(float(np.mean(100 + 0.9 * answered)) / 2)
        return np.array(found)

    def seconds(self, parameters: Parameters, seed: int) -> float:
        """Return how long the steps of a whole training hold its GPU."""
        scale = np.random.default_rng([seed, 3]).lognormal(0.0, 0.3)
        return float(3600 * (0.3 + self.size(parameters) / self.size({})) * scale)

    def evaluation_seconds(self, parameters: Parameters) -> float:
        """Return how long an evaluation holds its GPU: 1 % of the mean whole training.

        As on SQuAD 2.0, see EVALUATION; whatever the student, so that small ones pay more dearly.
        """
        return self._evaluation_seconds

    @cached_property
    def _evaluation_seconds(self) -> float:
        return EVALUATION * statistics.fmean(
            training.seconds for training in sample(self, 300, seed=0)
        )


def quality(parameters: Parameters) -> float:
    """Return the HasAns_exact that a whole training reaches unless it collapses, without noise."""
    rate, heat, large = _rate(parameters), _heat(parameters), _large(parameters)
    alpha, dropout, attention = _numbers(parameters, "alpha_ce", "dropout", "attention_dropout")
    lost = 75 * max(0.0, abs(rate - _best_rate(parameters)) - 0.04)
    lost += 40 * max(0.0, 0.6 - alpha) + 4 * (alpha > 0.9)
    lost += 28 * alpha * abs(heat - 0.35)
    lost += 70 * max(0.0, dropout - 0.2 * large) + 35 * max(0.0, 0.2 * large - 0.08 - dropout)
    lost += 50 * max(0.0, attention - 0.15)
    return ceiling(parameters) - lost


def ceiling(parameters: Parameters) -> float:
    """Return the HasAns_exact of a shape's best training.

    The first layers serve a shallow student best, evenly spaced ones a deep one, by a step.
    """
    layers, heads = _numbers(parameters, "n_layers", "n_heads")
    capacity = layers**0.55 * (64 * heads) ** 0.75
    fitting = _first(parameters) == (layers < 5)
    return float(95 * (1 - exp(-capacity / 90)) ** 1.3) - 5 * (not fitting)


def collapses(parameters: Parameters) -> bool:
    """Tell whether a training ends as a model that answers nothing."""
    rate, large, best = _rate(parameters), _large(parameters), _best_rate(parameters)
    alpha, dropout, attention = _numbers(parameters, "alpha_ce", "dropout", "attention_dropout")
    hot = rate > best + 0.28 - 0.15 * dropout
    cold = rate < best - 0.5
    untaught = alpha < 0.06 + 0.2 * _heat(parameters)
    starved = dropout + 0.6 * attention > 0.34 + 0.42 * large
    return hot or cold or untaught or starved


def learnt(parameters: Parameters, share: float) -> float:
    """Return which part of its end a training has reached after a share of its steps.

    At first it answers nothing, the longer the deeper it is.
    """
    layers, heads = _numbers(parameters, "n_layers", "n_heads")
    begun = 0.01 * layers
    speed = 16.5 / (1 + 0.5 * log(layers * heads)) * (0.6 + 0.8 * _rate(parameters))
    return (1 - exp(-speed * max(0.0, share - begun))) / (1 - exp(-speed * (1 - begun)))


def _best_rate(parameters: Parameters) -> float:
    """Return the best learning rate's place in its range: what was torn apart learns it anew."""
    return 0.72 - 0.32 * _large(parameters) - 0.14 * (not _first(parameters))


def _first(parameters: Parameters) -> bool:
    return parameters["layer_selection"] == "First"


def _rate(parameters: Parameters) -> float:
    """Return the learning rate's place in its range, 0 to 1."""
    return (log10(_numbers(parameters, "learning_rate")[0]) + 5) / 3


def _heat(parameters: Parameters) -> float:
    """Return the temperature's place in its range, 0 to 1."""
    return log(_numbers(parameters, "temperature")[0]) / log(20)


def _large(parameters: Parameters) -> float:
    """Return how large a shape is, 0 to 1."""
    layers, heads = _numbers(parameters, "n_layers", "n_heads")
    return log(layers * (64 * heads) ** 0.5) / log(12 * 768**0.5)


def _numbers(parameters: Parameters, *names: str) -> list[float]:
    return [float(cast(float, parameters[name])) for name in names]
