import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from distillery_contract import metrics
from distillery_contract.request import Stage
from distillery_operator.engine import conditions, status
from distillery_operator.engine.conditions import OBSTACLES, Finding
from distillery_operator.resource import yaml_files
from distillery_operator.resource.status import (
    FRONT_LIMIT,
    RECENT_LIMIT,
    Condition,
    ConditionType,
    Status,
    TrialCounts,
)
from distillery_operator.trials.attempt import Attempt, Phase, Removal, Report
from distillery_operator.trials.observation import Observation, Others
from distillery_operator.trials.trial import State, Trial
from support import shapes, worlds

EXPERIMENT = worlds.experiment()


def condition(found: Status, kind: str) -> tuple[str, str]:
    (one,) = [c for c in found.conditions if c.type == kind]
    return one.status, one.reason


def derive(seen: Observation, before: Status | None = None) -> Status:
    return worlds.status(EXPERIMENT, seen, before)


def test_a_fresh_experiment_is_preparing() -> None:
    found = derive(worlds.observation(preparation=None))
    assert condition(found, "Prepared") == ("Unknown", "Preparing")
    assert condition(found, "Progressing") == ("True", "Running")
    assert found.completion_time is None


def test_what_was_found_in_the_data_stands_in_the_condition() -> None:
    noted = replace(worlds.PREPARATION, notes="train: 4 of 90 are dropped")
    (said,) = (
        c.message
        for c in derive(worlds.observation(preparation=noted)).conditions
        if c.type == "Prepared"
    )
    assert said.endswith("NoAns_exact 92.00; to know: train: 4 of 90 are dropped")


def test_a_failed_preparation_says_what_a_person_can_do() -> None:
    ended = Attempt(
        Stage.PREPARE, 0, 1, Phase.ENDED, exit_code=65, started=1, ended=2, message="no answers"
    )
    found = derive(worlds.observation(attempts=(ended,), preparation=None))
    assert condition(found, "Prepared") == ("False", "PreparationFailed")
    assert condition(found, "Degraded") == ("True", "PreparationFailed")
    assert condition(found, "Succeeded") == ("False", "NoFeasibleTrial")
    assert "no answers" in found.conditions[0].message


def test_a_lost_node_is_told_with_what_frees_it() -> None:
    lost = Attempt(
        Stage.TRAIN, 0, 1, Phase.RUNNING, started=1, reason="NodeLost", message="gpu-7", lost=True
    )
    silent = replace(lost, trial=1, lost=False)
    trials = (Trial(0, {"n_layers": 2}), Trial(1, {"n_layers": 3}))
    found = derive(worlds.observation(trials, (lost, silent)))
    assert condition(found, "Degraded") == ("True", "NodeLost")
    (progressing,) = [c.message for c in found.conditions if c.type == "Progressing"]
    assert progressing.endswith("0 processes run, 2 cannot be reached: gpu-7")
    assert [(t.reason, t.message) for t in found.recent_trials] == [("NodeLost", "gpu-7")] * 2
    found = derive(worlds.observation(trials, (silent,)))
    assert condition(found, "Degraded")[0] == "False"


def test_a_trial_that_no_machine_took_says_when_it_starts_again() -> None:
    wanted = worlds.experiment(pendingTimeoutSeconds=600)
    ended = Attempt(
        *(Stage.TRAIN, 0, 1, Phase.ENDED),
        disrupted=True,
        reason="PendingTimeout",
        message="no machine took the pod",
        ended=900.0,
    )
    found = worlds.status(wanted, worlds.observation((Trial(0, {"n_layers": 2}),), (ended,)))
    message = "no machine took the pod; it starts again after as long a time"
    assert [(t.state, t.message) for t in found.recent_trials] == [("Pending", message)]


@pytest.mark.parametrize(
    ("attempt", "degraded"),
    [
        ({"phase": Phase.ENDED, "exit_code": 1}, True),
        ({"phase": Phase.PENDING, "reason": "FailedMount"}, True),
        ({"phase": Phase.PENDING, "reason": "Unschedulable"}, False),
    ],
)
def test_files_that_are_not_removed_say_why(attempt: dict[str, Any], degraded: bool) -> None:
    removes = Attempt(Stage.COLLECT, 0, 1, message="no volume", **attempt)
    seen = replace(worlds.observation((worlds.completed(0, 80.0, 1),)))
    found = derive(replace(seen, removals=(Removal((0,), removes),)))
    (progressing,) = [c.message for c in found.conditions if c.type == "Progressing"]
    assert progressing.endswith("; the files of 1 trials stay: no volume")
    expected = ("True", "FilesRemain") if degraded else ("False", "AsExpected")
    assert condition(found, "Degraded") == expected
    early = replace(removes, phase=Phase.PENDING, reason="Starting", created=950.0)
    found = derive(replace(seen, removals=(Removal((0,), early),)))
    assert "stay" not in str(found.conditions)
    well = replace(removes, phase=Phase.RUNNING, reason="")
    found = derive(replace(seen, removals=(Removal((0,), well),)))
    assert "stay" not in str(found.conditions)


def test_ten_trials_without_a_feasible_one_degrade_the_experiment() -> None:
    collapses = tuple(worlds.completed(n, 50.07, 1, has=0.0, no=100.0) for n in range(10))
    assert condition(derive(worlds.observation(collapses[:9])), "Degraded")[0] == "False"
    found = derive(worlds.observation(collapses))
    assert condition(found, "Degraded") == ("True", "NoFeasibleTrial")
    (message,) = [c.message for c in found.conditions if c.type == "Degraded"]
    assert "most often: Collapsed" in message
    assert found.trials.infeasible == 10


def test_the_front_says_what_to_expect_when_it_is_trained_again() -> None:
    lucks = [(n * 7 % 11 - 5) / 2 for n in range(48)]
    trials = tuple(
        worlds.completed(n, 60.0 + 4 * (n % 6) + luck, 1 + n % 6) for n, luck in enumerate(lucks)
    )
    found = worlds.status(worlds.experiment(), worlds.observation(trials))
    (known,) = found.expectations
    assert (known.metric, known.trials) == ("exact", 48)
    assert known.error < known.spread
    for point in found.front:
        expected = point.expected["exact"]
        truth = 56.0 + 4 * int(str(point.parameters["n_layers"]))
        assert abs(expected.mean - truth) < abs(point.values["exact"] - truth)
        assert expected.deviation > known.error
    few = worlds.status(worlds.experiment(), worlds.observation(trials[:5]))
    assert few.expectations == []
    assert all(point.expected == {} for point in few.front)


def test_the_front_has_values_parameters_and_model() -> None:
    trials = (
        worlds.completed(0, 90.0, 6, model="a", baseline="deep"),
        worlds.completed(1, 88.0, 2, model="b"),
        worlds.completed(2, 60.0, 1, model="c"),
        worlds.completed(3, 59.0, 5),
    )
    found = derive(worlds.observation(trials))
    assert [(p.trial, p.model) for p in found.front] == [(0, "a"), (1, "b"), (2, "c")]
    assert found.front[0].values == {"exact": 90.0, "parameter_count": 600_000}
    assert found.knee == 1
    assert [(b.objective, b.trial) for b in found.best] == [("exact", 0), ("parameter_count", 2)]
    assert found.baselines[0].name == "deep"
    assert found.hypervolume is not None


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    first = derive(worlds.observation(now=1000.0))
    same = derive(worlds.observation(now=2000.0), first)
    assert [c.last_transition_time for c in same.conditions] == [
        c.last_transition_time for c in first.conditions
    ]
    done = tuple(worlds.completed(n, 80.0, 1) for n in range(8))
    later = derive(worlds.observation(done, now=3000.0), first)
    times = {str(c.type): c.last_transition_time for c in later.conditions}
    assert times["Succeeded"] == "1970-01-01T00:50:00Z"
    assert times["Prepared"] == "1970-01-01T00:16:40Z"


@pytest.mark.parametrize("count", [0, 500, 2000])
def test_the_front_of_a_status_is_cut_at_a_number_of_points(count: int) -> None:
    trials = tuple(
        worlds.completed(n, 50 + 50 * n / max(count, 1), 1 + n, model="m" * 60)
        for n in range(count)
    )
    found = derive(worlds.observation(trials))
    assert len(found.front) == min(count, FRONT_LIMIT)
    assert found.front_truncated is (count > FRONT_LIMIT)
    assert found.front_size == count
    if count:  # evenly spread, ends included: the best and the smallest trial are among them
        shown = [point.trial for point in found.front]
        assert (max(shown), min(shown)) == (count - 1, 0)
        gaps = [earlier - later for earlier, later in pairwise(shown)]
        assert max(gaps) - min(gaps) <= 1


LARGEST = shapes.experiment(
    "n" * 40,
    objectives=[
        {"metric": "exact", "direction": "Maximize"},
        {"metric": "f1", "direction": "Maximize"},
        {"metric": "parameter_count", "direction": "Minimize"},
        {"metric": "inference_seconds", "direction": "Minimize"},
    ],
    baselines=[{"name": f"{'b' * 60}-{n:02d}"} for n in range(32)],
    maxTrials=100_000,
    parallelism=1000,
)


@pytest.mark.parametrize("letter", ["x", "😀"])
def test_a_status_stays_a_light_load_whatever_it_has_to_say(letter: str) -> None:
    """10,000 trials with 64 parameters each, thousands on the front, and long messages only."""
    rng, long = random.Random(1), letter * 5000
    parameters = {f"a_long_hyperparameter_name_{n:02d}": rng.random() / 1e5 for n in range(64)}

    def trial(number: int) -> Trial:
        measured = {name: 11 + 89 * rng.random() for name in metrics.EVALUATIONS}
        return Trial(
            number,
            parameters,
            state=State.COMPLETED if number % 10 else State.FAILED,
            baseline=f"{'b' * 60}-{number:02d}" if number < 32 else None,
            metrics={**measured, "exact": 11 + number / 113, "parameter_count": 1e6 + number},
            reason="Crashed",
            message=long,
            model=f"experiments/{'n' * 40}-8f1c2f7e/trials/{number:05d}/model",
            ended=float(number),
        )

    trials = tuple(map(trial, range(10_000)))
    waiting = tuple(
        Attempt(Stage.TRAIN, n, 1, Phase.PENDING, reason="Unschedulable", message=long)
        for n in range(10_000, 10_030)
    )
    seen = worlds.observation((*trials, *(Trial(a.trial, parameters) for a in waiting)), waiting)
    findings = [Finding(kind, "False", "R" * 60, long) for kind in OBSTACLES]
    found = worlds.status(LARGEST, replace(seen, obstacle=long), None, findings)
    text = json.dumps(yaml_files.to_document(found), ensure_ascii=False)
    print(f"\n{len(text.encode())} bytes, {len(found.front)} of {found.front_size} points")
    assert found.front_size == 9000
    assert len(found.front) > 30
    assert len(found.recent_trials) == RECENT_LIMIT
    assert sum(letter in condition.message for condition in found.conditions) >= 4
    assert len(text.encode()) < 256 * 1024


def test_running_trials_are_listed_first_with_their_progress() -> None:
    running = Trial(1, {"n_layers": 1})
    attempt = Attempt(Stage.TRAIN, 1, 2, Phase.RUNNING, started=900.0)
    earlier = Attempt(Stage.TRAIN, 1, 1, Phase.ENDED, exit_code=75, started=1.0, ended=2.0)
    reports = {
        earlier: Report("TerminationMessage", step=3, steps=20),
        attempt: Report("Scrape", step=5, steps=20, metrics={"exact": 70.0, "f1": 75.0}),
    }
    found = derive(
        worlds.observation((worlds.completed(0, 80.0, 1), running), (earlier, attempt), reports)
    )
    assert [(t.trial, t.progress) for t in found.recent_trials] == [(1, 0.25), (0, None)]
    first = found.recent_trials[0]
    assert (first.state, first.reason, first.message) == ("Running", "Running", "attempt 2 runs")
    assert first.values == {"exact": 70.0}


def test_what_waits_says_why() -> None:
    trials = tuple(Trial(n, {}) for n in range(3))
    message = "no node takes the pod: 0/3 nodes are available"
    waits = Attempt(Stage.TRAIN, 0, 1, Phase.PENDING, reason="Unschedulable", message=message)
    over = Attempt(Stage.TRAIN, 1, 1, Phase.ENDED, exit_code=75, reason="Evicted", message="gone")
    found = derive(worlds.observation(trials, (waits, over)))
    assert [(t.trial, t.state, t.reason, t.message) for t in found.recent_trials] == [
        (0, "Pending", "Unschedulable", message),
        (1, "Pending", "Pending", "no process works on it yet"),
        (2, "Pending", "Pending", "no process works on it yet"),
    ]
    assert found.trials == TrialCounts(total=3, pending=3)
    assert found.active == 1
    (sentence,) = [c.message for c in found.conditions if c.type == "Progressing"]
    assert sentence == f"3 of 8 trials are suggested, 0 processes run, 1 wait: {message}"


def test_trials_are_counted_by_what_people_call_their_state() -> None:
    trials = (
        worlds.completed(0, 80.0, 1),
        worlds.completed(1, 40.0, 1),  # below the threshold
        Trial(2, {}, state=State.INFEASIBLE, reason="Diverged"),
        Trial(3, {}, state=State.FAILED, reason="Crashed"),
        Trial(4, {}),
        Trial(5, {}),
        Trial(6, {}),
        Trial(7, {}, state=State.STOPPED, reason="CannotImprove"),
        Trial(8, {}, state=State.STOPPED, reason="Outranked"),
        Trial(9, {}, continues=8),
    )
    attempts = (
        Attempt(Stage.PREPARE, 0, 1, Phase.ENDED, exit_code=0),
        Attempt(Stage.TRAIN, 4, 1, Phase.RUNNING, started=900.0),
        Attempt(Stage.TRAIN, 5, 1, Phase.PENDING),
        Attempt(Stage.TRAIN, 3, 1, Phase.RUNNING, started=900.0),  # told; its pod still ends
    )
    found = derive(worlds.observation(trials, attempts))
    assert found.trials == TrialCounts(
        total=9, pending=3, running=1, completed=1, infeasible=2, stopped=1, failed=1
    )
    assert found.progress == "5/8"  # one of the stopped ones goes on: it is pending
    assert found.active == 3


def test_a_stopped_and_a_repeated_trial_say_why() -> None:
    message = "exact of 55 ± 2 can be expected, but the threshold is 60"
    reached = {"exact": 48.0}
    trials = (
        replace(worlds.completed(0, 80.0, 1), reason="Duplicate", message="as trial 3"),
        Trial(1, {}, state=State.STOPPED, reason="CannotImprove", message=message, metrics=reached),
    )
    first, second = derive(worlds.observation(trials)).recent_trials
    assert (first.state, first.reason) == ("Completed", "Duplicate")
    assert first.message == "as trial 3; all thresholds and constraints hold"
    assert (second.state, second.reason, second.message) == ("Stopped", "CannotImprove", message)
    assert second.values == reached


def test_trials_that_wait_for_their_turn_degrade_nothing() -> None:
    paused = tuple(Trial(n, {}, state=State.STOPPED, reason="Paused") for n in range(12))
    found = {c.type: c for c in derive(worlds.observation(paused)).conditions}
    assert found[ConditionType.DEGRADED].status == "False"
    collapsed = tuple(replace(trial, reason="Collapsed") for trial in paused)
    found = {c.type: c for c in derive(worlds.observation(collapsed)).conditions}
    assert (found[ConditionType.DEGRADED].status, found[ConditionType.DEGRADED].reason) == (
        "True",
        "NoFeasibleTrial",
    )


def test_what_is_no_metric_or_no_number_is_not_shown() -> None:
    """A status that cannot be written would hide everything else."""
    nan, trials = float("nan"), (worlds.completed(0, 80.0, 1), Trial(1, {}), Trial(2, {}))
    odd = {**trials[0].metrics, "of_tomorrow": 1.0}
    diverged = Trial(
        2, {}, State.INFEASIBLE, "deep", metrics={"exact": nan, "parameter_count": nan}
    )
    attempt = Attempt(Stage.TRAIN, 1, 1, Phase.RUNNING, started=900.0)
    preparation = replace(
        worlds.PREPARATION, teacher={**worlds.PREPARATION.teacher, "of_tomorrow": 1.0, "f1": nan}
    )
    found = derive(
        worlds.observation(
            (replace(trials[0], metrics=odd), trials[1], diverged),
            (attempt,),
            {attempt: Report("Scrape", metrics={"exact": nan, "parameter_count": 3e5})},
            preparation=preparation,
        )
    )
    assert found.front[0].metrics.keys() == trials[0].metrics.keys()
    assert found.baselines[0].values == {}
    assert found.teacher == worlds.PREPARATION.teacher
    assert [t.values for t in found.recent_trials] == [
        {"parameter_count": 300_000},
        {"exact": 80.0, "parameter_count": 100_000},
        {},
    ]


def test_gpu_hours_are_those_of_all_attempts() -> None:
    trials = (
        worlds.completed(0, 80.0, 1, seconds=3600.0, gpus=2.0),
        Trial(1, {}, state=State.FAILED, seconds=1800.0, gpus=2.0),
        Trial(2, {}),
        Trial(3, {}),
    )
    attempts = (
        Attempt(Stage.PREPARE, 0, 1, Phase.ENDED, exit_code=0, started=0.0, ended=900.0),
        Attempt(Stage.TRAIN, 0, 1, Phase.ENDED, exit_code=0, started=0.0, ended=3600.0),  # told
        Attempt(Stage.TRAIN, 2, 1, Phase.ENDED, exit_code=75, started=0.0, ended=450.0),
        Attempt(Stage.TRAIN, 2, 2, Phase.RUNNING, started=9_550.0),
        Attempt(Stage.TRAIN, 3, 1, Phase.PENDING),
    )
    seen = replace(worlds.observation(trials, attempts, now=10_000.0), gpus=2.0)
    priced = worlds.experiment(costPerGpuHour=3, maxCost=100, maxGpuHours=8)
    found = worlds.status(priced, seen, None)
    assert found.gpu_hours == 2 * (1 + 0.5 + 0.25 + 0.125 + 0.125)
    assert found.compute_seconds == 5400.0
    assert (found.cost, found.cost_per_front_point) == (12.0, 12.0)
    assert (found.front[0].gpu_hours, found.front[0].cost) == (2.0, 6.0)
    used = {budget.name: (budget.used, budget.limit) for budget in found.budgets}
    assert used == {"maxTrials": (2, 8), "maxGpuHours": (4.0, 8), "maxCost": (12.0, 100)}


def test_a_point_of_the_front_cost_what_its_whole_training_did() -> None:
    paused = Trial(0, {}, state=State.STOPPED, reason="Paused", seconds=3600.0, gpus=1.0)
    further = worlds.completed(1, 80.0, 1, seconds=7200.0, gpus=1.0, continues=0)
    seen = worlds.observation((paused, further))
    (point,) = worlds.status(worlds.experiment(costPerGpuHour=2), seen, None).front
    assert (point.trial, point.gpu_hours, point.cost) == (1, 3.0, 6.0)


def test_without_gpus_hours_of_run_time_count_against_budgets_and_cost() -> None:
    seen = worlds.observation((worlds.completed(0, 80.0, 1, seconds=1800.0),))
    found = worlds.status(worlds.experiment(costPerGpuHour=3, maxGpuHours=8), seen, None)
    assert (found.gpu_hours, found.cost) == (0.0, 1.5)
    assert found.budgets[-1].used == 0.5


def test_a_finished_experiment_uses_no_more_of_its_time() -> None:
    spec = {"maxDurationSeconds": 9000, "maxTrials": 1, "parallelism": 1}
    seen = worlds.observation((worlds.completed(0, 80.0, 1, ended=700.0),), now=90_000.0)
    found = worlds.status(worlds.experiment(**spec), seen, None)
    assert condition(found, "Succeeded") == ("True", "MaxTrialsReached")
    assert {b.name: b.used for b in found.budgets} == {"maxTrials": 1, "maxDurationSeconds": 700}


def test_a_status_names_what_belongs_to_the_experiment() -> None:
    experiment = shapes.experiment()
    found = worlds.status(experiment, worlds.observation(), None)
    assert found.results == "experiments/tiny-8f1c2f7e"
    label, value = found.selector.split("=")
    assert shapes.pod(shapes.job(), "Running", None)["metadata"]["labels"][label] == value
    assert found.observed_generation == 1


PREPARING = Attempt(Stage.PREPARE, 0, 1, Phase.RUNNING, started=900.0)
UNDATED = Attempt(Stage.PREPARE, 0, 1, Phase.ENDED, exit_code=65, message="no answers")
COMPLETED = tuple(worlds.completed(n, 80.0, 1) for n in range(8))
TEMPLATE = Finding(ConditionType.TEMPLATE_VALID, "False", "TemplateRefused", "no such field")
DATABASE = Finding(ConditionType.STORAGE_REACHABLE, "False", "DatabaseUnavailable", "no route")
FINE = Finding(ConditionType.TEMPLATE_VALID, "True", "Accepted", "the API server takes the Jobs")


@pytest.mark.parametrize(
    ("word", "spec", "seen", "findings"),
    [
        ("Preparing", {}, worlds.observation(preparation=None), [FINE]),
        ("Preparing", {}, worlds.observation(attempts=(PREPARING,), preparation=None), []),
        ("Suspended", {"suspend": True}, worlds.observation(preparation=None), []),
        ("Failed", {}, worlds.observation(attempts=(UNDATED,), preparation=None), []),
        ("Running", {}, worlds.observation(), [FINE]),
        ("Running", {}, worlds.observation(COMPLETED[:3]), []),
        ("Suspended", {"suspend": True}, worlds.observation(COMPLETED[:3]), []),
        ("Succeeded", {}, worlds.observation(COMPLETED), []),
        ("Succeeded", {"suspend": True}, worlds.observation(COMPLETED), []),
        (
            "Failed",
            {},
            worlds.observation(tuple(worlds.completed(n, 40.0, 1) for n in range(8))),
            [],
        ),
        ("TemplateRefused", {}, worlds.observation(), [TEMPLATE]),
        ("TemplateRefused", {}, worlds.observation(COMPLETED), [TEMPLATE]),
        ("DatabaseUnavailable", {}, worlds.observation(), [TEMPLATE, DATABASE]),
    ],
)
def test_a_state_is_one_word(
    word: str, spec: dict[str, Any], seen: Observation, findings: list[Finding]
) -> None:
    found = worlds.status(worlds.experiment(**spec), seen, None, findings)
    assert found.state == word


def test_what_the_operator_found_out_stands_beside_what_is_derived() -> None:
    found = worlds.status(EXPERIMENT, worlds.observation(), None, [TEMPLATE, DATABASE])
    assert [str(c.type) for c in found.conditions] == [
        "TemplateValid",
        "StorageReachable",
        "Prepared",
        "Progressing",
        "Succeeded",
        "Degraded",
    ]
    assert condition(found, "TemplateValid") == ("False", "TemplateRefused")
    assert {c.observed_generation for c in found.conditions} == {1}


def test_an_obstacle_is_said_where_people_look_for_progress() -> None:
    found = derive(replace(worlds.observation(), obstacle="no such field"))
    assert condition(found, "Progressing") == ("False", "Obstructed")
    (message,) = [c.message for c in found.conditions if c.type == "Progressing"]
    assert message == "nothing starts: no such field"


@pytest.mark.parametrize("reason", ["ImagePullFailed", "PodConfigInvalid"])
def test_what_only_a_person_can_end_degrades_the_experiment(reason: str) -> None:
    waits = Attempt(Stage.TRAIN, 0, 1, Phase.PENDING, reason=reason, message="no such image")
    seen = worlds.observation((Trial(0, {}),), (waits,))
    assert condition(derive(seen), "Degraded") == ("True", reason)
    unschedulable = replace(waits, reason="Unschedulable")
    seen = worlds.observation((Trial(0, {}),), (unschedulable,))
    assert condition(derive(seen), "Degraded") == ("False", "AsExpected")


def test_an_experiment_of_which_only_an_obstacle_is_known_says_that() -> None:
    found = status.obstructed(3, None, None, DATABASE, 60.0)
    assert (found.state, found.progress, found.front) == ("DatabaseUnavailable", "", [])
    assert found.observed_generation == 3
    assert found.conditions == [
        Condition(
            type=ConditionType.STORAGE_REACHABLE,
            status="False",
            reason="DatabaseUnavailable",
            message="no route",
            last_transition_time="1970-01-01T00:01:00Z",
            observed_generation=3,
        )
    ]
    assert status.obstructed(3, 8, None, DATABASE, 60.0).progress == "0/8"


def test_an_obstacle_leaves_what_was_known() -> None:
    reachable = Finding(ConditionType.STORAGE_REACHABLE, "True", "Connected", "it answers")
    before = worlds.status(EXPERIMENT, worlds.observation(COMPLETED[:3]), None, [reachable])
    found = status.obstructed(2, 8, before, DATABASE, 5000.0)
    assert found.state == "DatabaseUnavailable"
    assert found.observed_generation == 2
    assert (found.front, found.trials, found.progress) == (before.front, before.trials, "3/8")
    assert condition(found, "StorageReachable") == ("False", "DatabaseUnavailable")
    assert len(found.conditions) == len(before.conditions)
    times = {str(c.type): (c.last_transition_time, c.observed_generation) for c in found.conditions}
    assert times.pop("StorageReachable") == ("1970-01-01T01:23:20Z", 2)
    assert set(times.values()) == {("1970-01-01T00:16:40Z", 1)}  # nobody has looked since
    again = status.obstructed(2, 8, found, DATABASE, 9000.0)
    assert again == found


def test_an_obstacle_that_is_gone_leaves_no_trace() -> None:
    found = status.obstructed(1, 8, derive(worlds.observation()), DATABASE, 5000.0)
    reachable = Finding(ConditionType.STORAGE_REACHABLE, "True", "Connected", "it answers")
    after = worlds.status(EXPERIMENT, worlds.observation(now=6000.0), found, [reachable])
    assert after.state == "Running"
    assert condition(after, "StorageReachable") == ("True", "Connected")


def test_a_status_survives_the_way_through_yaml(tmp_path: Path) -> None:
    path = tmp_path / "status.yaml"
    found = derive(worlds.observation((worlds.completed(0, 80.0, 1),)))
    yaml_files.write_status(path, EXPERIMENT, found)
    assert yaml_files.read_status(path) == found


def test_what_a_person_suggested_is_shown_as_such_and_where_it_stands() -> None:
    point = {"n_layers": 3}
    names = ("mine", "waits", "stopped")
    wanted = worlds.experiment(
        suggestions=[{"name": name, "parameters": point} for name in names], maxTrials=20
    )
    stopped = replace(worlds.completed(1, 50.0, 3, by_hand="stopped"), state=State.STOPPED)
    further = Trial(2, stopped.parameters, by_hand="stopped", continues=1)
    enqueued = worlds.completed(3, 81.0, 3, by_hand="typed")
    mine = worlds.completed(0, 90.0, 3, by_hand="mine")
    unnamed = worlds.completed(4, 91.0, 3, by_hand="")
    found = worlds.status(wanted, worlds.observation((mine, stopped, further, enqueued, unnamed)))
    assert [(s.name, s.trial, s.state) for s in found.suggestions] == [
        ("mine", 0, "Completed"),
        ("waits", None, "Waiting"),
        ("stopped", 2, "Running"),
        ("typed", 3, "Completed"),
    ]
    assert found.suggestions[0].values["exact"] == 90.0
    assert [(p.trial, p.suggestion) for p in found.front] == [(4, "")]
    assert {t.trial: t.suggestion for t in found.recent_trials}[0] == "mine"


def test_what_others_have_put_into_the_study_is_a_condition_as_long_as_it_is_there() -> None:
    seen = worlds.observation((worlds.completed(0, 90.0, 3),))
    others = Others(notes=("trials of other tools: 2", "enqueued trials that cannot run: 1"))
    found = worlds.status(EXPERIMENT, replace(seen, others=others))
    (said,) = [c for c in found.conditions if c.type == "ForeignTrials"]
    assert (said.status, said.reason) == ("True", "LeftAlone")
    assert said.message == "trials of other tools: 2; enqueued trials that cannot run: 1"
    after = worlds.status(EXPERIMENT, seen, found)
    assert "ForeignTrials" not in [c.type for c in after.conditions]


def test_a_study_that_has_less_than_what_was_told_of_it_was_restored() -> None:
    four = tuple(worlds.completed(number, 60.0 + number, 1) for number in range(4))
    running = (*four[:3], Trial(3, four[3].parameters))
    told = derive(worlds.observation(four))
    assert conditions.forgotten(None, worlds.observation()) == ""
    assert conditions.forgotten(told, worlds.observation(four)) == ""
    assert conditions.forgotten(told, worlds.observation((*four, Trial(4, {})))) == ""
    said = "the study was restored: it has {} trials and {} s of trainings, but had 4 and 40 s"
    for trials, words in ((four[:2], (2, 20)), (running, (4, 30)), ((), (0, 0))):
        assert said.format(*words) in conditions.forgotten(told, worlds.observation(trials))


def test_a_stopped_trial_that_goes_on_is_nothing_that_was_forgotten() -> None:
    stopped = replace(worlds.completed(0, 60.0, 1), state=State.STOPPED)
    told = derive(worlds.observation((stopped,)))
    further = Trial(1, stopped.parameters, continues=0)
    assert conditions.forgotten(told, worlds.observation((stopped, further))) == ""


def test_an_experiment_that_is_deleted_says_what_that_waits_for_beside_what_it_was() -> None:
    before = derive(worlds.observation((worlds.completed(0, 60.0, 1),)))
    found = status.deleting(7, before, "2 processes to end", 100.0)
    assert found.state == "Deleting"
    assert condition(found, "Deleting") == ("True", "Waiting")
    assert "waits for: 2 processes to end" in found.conditions[0].message
    assert [c.type for c in found.conditions[1:]] == [c.type for c in before.conditions]
    assert status.deleting(7, found, "2 processes to end", 200.0) == found
    assert status.deleting(7, None, "the database", 100.0).conditions
