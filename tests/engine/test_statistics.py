from dataclasses import replace
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_operator.cluster import attempts
from distillery_operator.engine.statistics import Statistics
from distillery_operator.trials.attempt import Attempt, Phase
from distillery_operator.trials.trial import State, Trial
from support import shapes, worlds

EXPERIMENT = worlds.experiment()


def derive(*trials: Trial, **spec: Any) -> Statistics:
    return worlds.statistics_of(worlds.experiment(**spec).spec, worlds.observation(trials))


def infeasible(number: int, reason: str, **more: Any) -> Trial:
    made = worlds.completed(number, 0.0, 1)
    return replace(made, state=State.INFEASIBLE, reason=reason, **{"metrics": {}, **more})


def test_ended_trials_are_counted_as_the_spec_of_today_judges_them() -> None:
    trials = (
        worlds.completed(0, 90.0, 6),
        worlds.completed(1, 40.0, 6),
        worlds.completed(2, 50.05, 6, has=0.1, no=100.0),
        infeasible(3, "Diverged"),
        replace(infeasible(4, "MetricsUnavailable"), state=State.FAILED),
        Trial(5, {}),
    )
    assert derive(*trials).ended == {
        ("Completed", "Completed"): 1,
        ("Infeasible", "ThresholdMissed"): 1,
        ("Infeasible", "Collapsed"): 1,
        ("Infeasible", "Diverged"): 1,
        ("Failed", "MetricsUnavailable"): 1,
    }
    lenient = [{"metric": "exact", "direction": "Maximize"}]
    assert derive(*trials, objectives=lenient).ended["Completed", "Completed"] == 2


def test_lost_metrics_are_counted_from_none_on() -> None:
    assert derive().ended == {("Failed", "MetricsUnavailable"): 0}


def test_trials_that_fail_on_one_half_are_counted_by_it() -> None:
    """Also below the 97 percent of a collapse: so did the seed's day that was lost."""
    found = derive(
        worlds.completed(0, 50.0, 6, has=0.0, no=100.0),
        worlds.completed(1, 32.0, 6, has=64.0, no=0.5),
        worlds.completed(2, 31.0, 6, has=61.0, no=9.9),
        worlds.completed(3, 60.0, 6, has=60.0, no=10.0),
        worlds.completed(4, 5.0, 6, has=5.0, no=5.0),  # knows nothing, which is no side
        infeasible(5, "Collapsed", metrics={"HasAns_exact": 0.2, "NoAns_exact": 99.0}),
        infeasible(6, "Diverged"),
    )
    assert found.one_sided == {"answerable": 2, "unanswerable": 2}


def test_data_without_unanswerable_questions_have_no_sides() -> None:
    data = {**worlds.DOCUMENT["spec"]["data"], "unanswerable": False}
    assert derive(worlds.completed(0, 50.0, 6, has=50.0, no=0.0), data=data).one_sided == {}


def test_a_front_has_improved_when_its_newest_point_joined() -> None:
    found = derive(
        worlds.completed(0, 80.0, 3, ended=100.0),
        worlds.completed(1, 90.0, 3, ended=300.0),  # beats trial 0
        worlds.completed(2, 70.0, 3, ended=400.0),
        infeasible(3, "Diverged", ended=500.0),
    )
    assert found.improved_time == 300.0
    assert found.unimproved == 2
    assert found.ended_time == 500.0


def test_without_a_front_every_trial_has_improved_nothing() -> None:
    found = derive(worlds.completed(0, 10.0, 3, ended=100.0))
    assert (found.improved_time, found.unimproved) == (None, 1)


def test_the_latest_evaluation_is_of_the_trial_that_was_measured_last() -> None:
    found = derive(
        worlds.completed(0, 80.0, 3, ended=200.0),
        worlds.completed(1, 70.0, 3, ended=100.0),
        infeasible(2, "Oversize", ended=300.0, metrics={"parameter_count": 9e9}),
    )
    assert found.latest["exact"] == 80.0


def test_the_median_run_time_is_of_completed_trials() -> None:
    seconds = (10.0, 20.0, 90.0)
    done = [worlds.completed(n, 80.0, 3, seconds=s) for n, s in enumerate(seconds)]
    assert derive(*done, infeasible(3, "Diverged", seconds=1.0)).trial_seconds == 20.0
    assert derive().trial_seconds is None


def test_what_has_waited_longest_is_told_by_what_it_waits_for() -> None:
    def waiting(number: int, created: float | None, reason: str) -> Attempt:
        return Attempt(Stage.TRAIN, number, 1, Phase.PENDING, created=created, reason=reason)

    live = (
        waiting(0, 300.0, "Unschedulable"),
        waiting(1, 200.0, "Unschedulable"),
        waiting(2, 250.0, "Queued"),
        waiting(3, None, "NoPod"),  # its Job is made, but no watch has shown it
        replace(waiting(4, 100.0, ""), phase=Phase.RUNNING),
    )
    trials = tuple(Trial(number, {}) for number in range(len(live)))
    found = worlds.statistics_of(EXPERIMENT.spec, worlds.observation(trials, live))
    assert found.pending_times == {"Unschedulable": 200.0, "Queued": 250.0}


def test_an_attempt_waits_since_its_job_was_created() -> None:
    job = shapes.job()
    assert attempts.attempt(job, [], "").created == shapes.seconds(0)
    del job["metadata"]["creationTimestamp"]  # as it was sent
    assert attempts.attempt(job, [], "").created is None


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"maxTrials": 0.25, "maxFailedTrials": 0.0}),
        ({"maxTrials": 2}, {"maxTrials": 1.0, "maxFailedTrials": 0.0}),
        ({"maxDurationSeconds": 4000}, {"maxDurationSeconds": 0.25}),
        ({"maxDurationSeconds": 500}, {"maxDurationSeconds": 1.0}),
    ],
)
def test_a_budget_is_used_up_to_one(spec: dict[str, int], expected: dict[str, float]) -> None:
    trials = (worlds.completed(0, 80.0, 3), worlds.completed(1, 70.0, 3), Trial(2, {}))
    found = worlds.statistics_of(
        worlds.experiment(**spec).spec, worlds.observation(trials, now=1000.0)
    )
    assert found.budgets.items() >= expected.items()


def test_every_failure_but_one_more_than_allowed_is_a_budget() -> None:
    failed = [replace(infeasible(n, "Crashed"), state=State.FAILED) for n in range(3)]
    assert derive(*failed, maxFailedTrials=5).budgets["maxFailedTrials"] == 0.5
    assert derive(*failed, maxFailedTrials=2).budgets["maxFailedTrials"] == 1.0


def test_time_is_not_used_after_the_end() -> None:
    done = (worlds.completed(0, 80.0, 3, ended=400.0),)
    spec = worlds.experiment(maxTrials=1, parallelism=1, maxDurationSeconds=1000).spec
    for now in (500.0, 900.0):
        found = worlds.statistics_of(spec, worlds.observation(done, now=now))
        assert found.budgets["maxDurationSeconds"] == 0.4
