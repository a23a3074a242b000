"""What a student promises: the chance to be acceptable, times what it adds to the front."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

import numpy as np
import pytest

from distillery_operator.search import expectation, promise
from distillery_operator.search.gaussian_process import Process
from distillery_operator.search.promise import Promise
from distillery_operator.trials import feasibility
from distillery_operator.trials.trial import Point, State, Trial
from support.histories import experiment, history, trained

SPEC = experiment()
CORNER = 700_000.0
"""Weights, more than any student here has."""


def promised(trials: Sequence[Trial], running: Sequence[Trial], new: Sequence[Trial]) -> Any:
    ended = list(promise.examples(SPEC, trials))
    known, luck = promise.learnt(SPEC, ended), np.random.default_rng(0)
    return Promise(SPEC, ended, known, running, CORNER, luck).of(new)


def test_where_a_student_is_in_training_another_adds_less() -> None:
    best, other = trained(90, 0.01, 3), trained(91, 0.01, 6)
    alone = promised(history(40), [], [best, other])
    beside = promised(history(40), [replace(best, state=State.RUNNING)] * 2, [best, other])
    assert beside[0] < 0.7 * alone[0]
    assert beside[0] / alone[0] < beside[1] / alone[1]


def test_what_lies_far_below_the_threshold_hides_less_of_what_lies_above_it() -> None:
    """All high rates end at 0 to 4: much farther from the others than these from each other."""
    new = [trained(90 + n, float(rate), 5) for n, rate in enumerate(np.geomspace(0.01, 0.19, 8))]
    truth = np.array([trial.metrics["exact"] for trial in new])

    def error(trials: Sequence[Trial], soften: bool) -> float:
        ends = np.array([trial.metrics["exact"] for trial in trials])
        places, sizes = expectation.placed(SPEC, trials)
        ends = promise.softened(ends, 50.0) if soften else ends
        model = Process(places, sizes, ends, np.zeros(len(trials), np.bool_))
        return float(np.abs(model.means(*expectation.placed(SPEC, new)) - truth).mean())

    for count in range(40, 48):
        trials = [
            replace(trial, metrics={**trial.metrics, "exact": float(trial.number % 5)})
            if float(trial.parameters["learning_rate"]) > 0.2
            else trial
            for trial in history(count)
        ]
        assert error(trials, soften=True) < 0.9 * error(trials, soften=False)


@pytest.mark.parametrize(("threshold", "pivot"), [(50.0, 50.0), (90.0, 62.0)])
def test_ends_are_softened_below_the_threshold_or_the_median(
    threshold: float, pivot: float
) -> None:
    ends = np.array([0.0, 30.0, 49.0, 60.0, 62.0, 70.0, 71.0, 72.0, 80.0])
    order = np.random.default_rng(0).permutation(len(ends))
    found = promise.softened(ends[order], threshold)[np.argsort(order)]
    kept = ends >= pivot
    assert (found[kept] == ends[kept]).all()
    assert (np.diff(found) > 0).all()  # none overtakes another
    assert (found[~kept] > ends[~kept]).all()
    scale = np.sqrt(np.mean((ends[kept] - pivot) ** 2))
    assert pivot - found[0] < 3 * scale
    assert found[2] == pytest.approx(pivot - scale * np.log(1 + (pivot - 49) / scale))


def test_ends_that_are_all_alike_stay_as_they_are() -> None:
    for threshold in (40.0, 60.0):
        assert (promise.softened(np.full(5, 50.0), threshold) == 50.0).all()


def test_of_very_many_trials_those_nearest_to_the_front_teach() -> None:
    trials = history(promise.MOST + 200)
    learnt = promise.learnt(SPEC, list(promise.examples(SPEC, trials)))
    assert len(learnt) == promise.MOST
    left = {trial.number for trial in trials} - {example.trial.number for example in learnt}
    best = max(trials, key=lambda trial: trial.metrics["exact"])
    assert best.number not in left
    assert mean(trials[number].metrics["exact"] for number in left) < mean(
        example.end["exact"] for example in learnt
    )


def test_trials_that_repeat_or_continue_another_teach_once() -> None:
    stopped = replace(
        trained(0, 0.1, 2), state=State.STOPPED, reason="CannotImprove", curve=(Point(1, {}),)
    )
    again = replace(trained(1, 0.1, 2), continues=0)
    twin = replace(trained(2, 0.1, 2), reason=feasibility.DUPLICATE)
    failed = replace(trained(3, 0.1, 2), state=State.FAILED)
    found = promise.examples(SPEC, [stopped, again, twin, failed])
    assert [example.trial.number for example in found] == [1]
