"""PURE: the front as it is reported, and the chance of a trial to stand on it. The engine asks.

What is measured of a checkpoint has the luck of its seed. With ``report: Expectation`` a trial has
what its hyperparameters come to with any seed instead: each of its trainings is an example of that,
and what the other trials let expect of it is the prior. Both are weighed by their errors, as in
empirical Bayes (Efron and Morris 1975), so the search's choice of the luckiest does not show.
``bench/confirming.py`` measures how far each is from the truth. Nothing that leads a search reads
this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from math import inf, isinf, sqrt
from statistics import fmean, stdev
from typing import Final

import numpy as np

from distillery_contract import parameters
from distillery_operator.resource.confirm import FrontValues
from distillery_operator.resource.spec import Spec
from distillery_operator.search import expectation
from distillery_operator.search.expectation import Expectation
from distillery_operator.stopping.forecast import Expected
from distillery_operator.trials import feasibility, pareto
from distillery_operator.trials.feasibility import DUPLICATE
from distillery_operator.trials.trial import Confirmation, State, Trial
from distillery_operator.trials.verdicts import Verdicts

CANDIDATES: Final = 100
"""Trials whose chance is computed: those that lie nearest to the front."""

DRAWS: Final = 400
"""Fronts that chances are counted in."""

LIKELY: Final = 3.0
"""Standard deviations that a mean may lie from what is believed of it."""

NOISE_SHARE: Final = 0.5
"""Share of what a forecast leaves unexplained that counts as the luck of seeds, as long as no trial
was trained again."""

NOISE_WEIGHT: Final = 4.0
"""Degrees of freedom that this guess is worth beside what repeated trainings show."""

UNKNOWN: Final = 0.5
"""Chance of a trial of which nothing tells by how much another seed changes it."""

LOSS_WEIGHT: Final = 4.0
"""Trainings that the belief is worth that other seeds bring no loss. With one, the values of small
searches were worse than without this (bench/confirming.py --trainings 40 --workers 4)."""

LEAST_DOUBT: Final = 0.05
"""Share of what a forecast leaves unexplained that is its own error, at least."""


@dataclass(frozen=True)
class Prior:
    """What other trials let expect of a metric.

    Attributes:
        means: of trials by their numbers, each from others; empty where these are too few.
        error: standard deviation of their errors, the luck of one seed included; None where there
            is nothing to tell it by.
    """

    means: Mapping[int, float]
    error: float | None


def front(spec: Spec, trials: Sequence[Trial]) -> list[Trial]:
    """Return the front as it is reported, with the values that are reported as metrics."""
    return pareto.front(spec, values(spec, trials))


def front_of(verdicts: Verdicts) -> list[Trial]:
    """Return the same of all trials of a moment."""
    if not expected(verdicts.spec):
        return verdicts.front
    return verdicts.once("reported front", lambda: front(verdicts.spec, verdicts.trials))


def best_of(verdicts: Verdicts) -> list[Trial]:
    """Return the best reported trial by each objective; none if no trial is feasible."""
    points = front_of(verdicts)
    if not points or not expected(verdicts.spec):
        return verdicts.best
    costs = pareto.costs(verdicts.spec, [point.metrics for point in points])
    return [points[place] for place in costs.argmin(axis=0)]


def expected(spec: Spec) -> bool:
    """Tell whether expectations are reported."""
    return spec.confirm is not None and spec.confirm.report is FrontValues.EXPECTATION


def again(spec: Spec, trials: Sequence[Trial], points: Sequence[Trial]) -> list[Expectation]:
    """Return what to expect beside the values of the front; nothing where these say it already."""
    return [] if expected(spec) else expectation.again(spec, trials, points)


def values(spec: Spec, trials: Sequence[Trial]) -> list[Trial]:
    """Return trials with the values that are reported as their metrics, and the model to export.

    Unchanged unless expectations are reported. Then the model is the search's own, or where that
    is gone the first that a confirmation has left: no seed is chosen for its luck.
    """
    if not expected(spec):
        return [*trials]
    known = beliefs(spec, trials)
    return [_reported(trial, known) for trial in trials if trial.reason != DUPLICATE]


def completed(trial: Trial) -> list[Confirmation]:
    """Return the confirmations of a trial that were measured to their end."""
    return [c for c in trial.confirmations if c.state is State.COMPLETED]


def model(trial: Trial) -> str | None:
    """Return the folder of a trial's model: its own, or the first that a confirmation has left."""
    return trial.model or next((c.model for c in trial.confirmations if c.model), None)


def seed_of(trial: Trial, model: str | None) -> int:
    """Return the seed of the training of a trial that has left a model; by default its own."""
    own = int(parameters.resolve(trial.parameters)["seed"] or 0)
    return next((c.seed for c in trial.confirmations if c.model and c.model == model), own)


def of_model(trial: Trial, model: str | None) -> Mapping[str, float]:
    """Return what was measured of the model that a training of a trial has left."""
    made = (c.metrics for c in trial.confirmations if c.model and c.model == model)
    return next(made, trial.metrics)


def beliefs(spec: Spec, trials: Sequence[Trial]) -> Mapping[str, Mapping[int, Expected]]:
    """Return what is believed of the mean over all seeds: by objective, of trials by number."""
    measured = [o.metric for o in spec.objectives if o.metric not in feasibility.KNOWN]
    candidates = [t for t in trials if t.state is State.COMPLETED and t.reason != DUPLICATE]
    return {metric: _believed(spec, trials, candidates, metric) for metric in measured}


def chances(spec: Spec, trials: Sequence[Trial]) -> Mapping[int, float]:
    """Return the chance of trials to stand on the front of means over all seeds, by number.

    Only of those that lie near to it, by what is believed of them; the chance of others is nil. The
    same trials have the same chances: the draws are always the same.
    """
    known = beliefs(spec, trials)
    believed = [
        _reported(t, known)
        for t in trials
        if t.state is State.COMPLETED and t.reason != DUPLICATE and not _broken(t)
    ]
    may_be = [_at_best(spec, trial, known) for trial in believed]
    fit = {trial.number for trial in feasibility.feasible(spec, may_be)}
    believed = [trial for trial in believed if trial.number in fit]
    near = pareto.nearest(pareto.costs(spec, [t.metrics for t in believed]), CANDIDATES)
    believed = [believed[place] for place in near]
    dice = np.random.default_rng(0)
    drawn = {}
    for metric, of in known.items():
        each = [of[trial.number] for trial in believed]
        means, deviations = [e.mean for e in each], [e.deviation for e in each]
        luck = dice.standard_normal((DRAWS, len(believed)))
        drawn[metric] = np.array(means) + luck * np.array(deviations)
    shares = pareto.shares(spec, believed, drawn)
    found = {trial.number: float(share) for trial, share in zip(believed, shares, strict=True)}
    bare = {n for of in known.values() for n in found if isinf(of[n].deviation)}
    return {**found, **dict.fromkeys(bare, UNKNOWN)}


def _broken(trial: Trial) -> bool:
    """Tell whether a training with another seed ended without a model, as one may again."""
    return any(c.state is State.INFEASIBLE for c in trial.confirmations)


def _reported(trial: Trial, known: Mapping[str, Mapping[int, Expected]]) -> Trial:
    if trial.state is not State.COMPLETED:
        return trial
    if _broken(trial):
        ended = next(c for c in trial.confirmations if c.state is State.INFEASIBLE)
        said = f"with the seed {ended.seed} its training ended: {ended.message or ended.reason}"
        return replace(trial, state=State.INFEASIBLE, reason=ended.reason, message=said)
    runs = [trial.metrics, *(c.metrics for c in completed(trial))]
    means = {
        name: fmean(run[name] for run in runs)
        for name in trial.metrics
        if all(name in run for run in runs)
    }
    believed = {metric: of[trial.number].mean for metric, of in known.items()}
    return replace(trial, metrics={**means, **believed}, model=model(trial))


def _at_best(spec: Spec, trial: Trial, known: Mapping[str, Mapping[int, Expected]]) -> Trial:
    """Return a trial with the best means over all seeds that are at all likely."""
    signs = {objective.metric: -objective.direction.sign for objective in spec.objectives}
    best = {
        metric: of[trial.number].mean + signs[metric] * LIKELY * of[trial.number].deviation
        for metric, of in known.items()
    }
    return replace(trial, metrics={**trial.metrics, **best})


def _believed(
    spec: Spec, trials: Sequence[Trial], candidates: Sequence[Trial], metric: str
) -> Mapping[int, Expected]:
    prior = _prior(spec, trials, candidates, metric)
    if prior.error is None:
        return {trial.number: _alone(trial, metric) for trial in candidates}
    noise = _noise(candidates, metric, prior.error**2)
    first = {trial.number: _first(trial, metric, prior, noise) for trial in candidates}
    further = {t.number: [c.metrics[metric] for c in completed(t)] for t in candidates}
    lost = [fmean(ends) - first[number].mean for number, ends in further.items() if ends]
    # Whoever was trained again came to less, in the mean, and the others would as well: what leads
    # was lucky even where others have been asked.
    shift = sum(lost) / (len(lost) + LOSS_WEIGHT)
    found = {}
    for number, (mean, deviation) in ((n, astuple(known)) for n, known in first.items()):
        ends, own = further[number], mean + shift
        if ends:
            weight = deviation**2 / (deviation**2 + noise / len(ends))
            own, deviation = own + weight * (fmean(ends) - own), deviation * sqrt(1 - weight)
        found[number] = Expected(own, deviation)
    return found


def _alone(trial: Trial, metric: str) -> Expected:
    """Return what is believed of a trial that has no others to be compared with."""
    ends = [trial.metrics[metric], *(c.metrics[metric] for c in completed(trial))]
    return Expected(fmean(ends), stdev(ends) / sqrt(len(ends)) if len(ends) > 1 else inf)


def _first(trial: Trial, metric: str, prior: Prior, noise: float) -> Expected:
    """Return what is believed of a trial by its own training and by what others let expect."""
    end, before = trial.metrics[metric], prior.means.get(trial.number)
    if before is None or prior.error is None:  # such as a baseline outside the search space
        return Expected(end, sqrt(noise))
    doubt = max(prior.error**2 - noise, LEAST_DOUBT * prior.error**2)
    weight = doubt / (doubt + noise)
    return Expected(before + weight * (end - before), sqrt(weight * noise))


def _prior(spec: Spec, trials: Sequence[Trial], candidates: Sequence[Trial], metric: str) -> Prior:
    """Return what is expected of each candidate by others: as these let expect, or their mean."""
    examples = expectation.examples(spec, trials, metric)
    ends = np.array([trial.metrics[metric] for trial in examples])
    if len(ends) < expectation.LEAST:  # they tell how far trials differ, and no more
        return Prior({}, expectation.mean_error(ends) if len(ends) > 1 else None)
    inner = [trial for trial in candidates if expectation.inside(spec, trial)]
    learnt = expectation.Learnt(spec, examples, metric)
    if learnt.error < learnt.spread:
        return Prior(learnt.by_others(inner), learnt.error)
    means = dict.fromkeys((trial.number for trial in inner), float(ends.mean()))
    others = (ends.sum() - ends) / (len(ends) - 1)
    own = zip(learnt.numbers, map(float, others), strict=True)
    return Prior({**means, **dict(own)}, learnt.spread)


def _noise(candidates: Sequence[Trial], metric: str, variance: float) -> float:
    """Return the variance between seeds: as repeated trainings show it, and before that a guess.

    The search's own training does not count for it: it was chosen for its value.
    """
    squares = freedom = 0.0
    for trial in candidates:
        ends = [c.metrics[metric] for c in completed(trial)]
        if len(ends) > 1:
            squares += float(np.var(ends)) * len(ends)
            freedom += len(ends) - 1
    guess = NOISE_SHARE * variance
    return (NOISE_WEIGHT * guess + squares) / (NOISE_WEIGHT + freedom)
