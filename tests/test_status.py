from dataclasses import replace
from pathlib import Path

import pytest

import worlds
from distillery_contract.request import Stage
from distillery_operator import documents, resources, status
from distillery_operator.resources import Status
from distillery_operator.trials import Attempt, Observation, Phase, Report, State, Trial

EXPERIMENT = worlds.experiment()


def condition(found: Status, kind: str) -> tuple[str, str]:
    (one,) = [c for c in found.conditions if c.type == kind]
    return one.status, one.reason


def derive(seen: Observation, before: Status | None = None) -> Status:
    return status.derive(EXPERIMENT, seen, before)


def test_a_fresh_experiment_is_preparing() -> None:
    found = derive(worlds.observation(preparation=None))
    assert condition(found, "Prepared") == ("Unknown", "Preparing")
    assert condition(found, "Progressing") == ("True", "Running")
    assert found.completion_time is None


def test_a_failed_preparation_says_what_a_person_can_do() -> None:
    ended = Attempt(
        Stage.PREPARE, 0, 1, Phase.ENDED, exit_code=65, started=1, ended=2, message="no answers"
    )
    found = derive(worlds.observation(attempts=(ended,), preparation=None))
    assert condition(found, "Prepared") == ("False", "PreparationFailed")
    assert condition(found, "Degraded") == ("True", "PreparationFailed")
    assert condition(found, "Succeeded") == ("False", "NoFeasibleTrial")
    assert "no answers" in found.conditions[0].message


def test_ten_trials_without_a_feasible_one_degrade_the_experiment() -> None:
    collapses = tuple(worlds.completed(n, 50.07, 1, has=0.0, no=100.0) for n in range(10))
    assert condition(derive(worlds.observation(collapses[:9])), "Degraded")[0] == "False"
    found = derive(worlds.observation(collapses))
    assert condition(found, "Degraded") == ("True", "NoFeasibleTrial")
    (message,) = [c.message for c in found.conditions if c.type == "Degraded"]
    assert "most often: Collapsed" in message
    assert found.trials.infeasible == 10


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


@pytest.mark.parametrize("count", [0, 500, 10_000])
def test_a_status_is_bounded_whatever_the_number_of_trials(count: int) -> None:
    long = "x" * 5000
    trials = tuple(
        worlds.completed(n, 50 + 50 * n / max(count, 1), 1 + n, message=long, model="m" * 60)
        for n in range(count)
    ) + tuple(Trial(count + n, {}, state=State.FAILED, message=long) for n in range(30))
    found = derive(worlds.observation(trials))
    assert len(found.front) == min(count, resources.FRONT_LIMIT)
    assert found.front_truncated is (count > resources.FRONT_LIMIT)
    assert found.front_size == count
    assert len(documents.dump(documents.to_document(found)).encode()) < 256 * 1024


def test_running_trials_are_listed_first_with_their_progress() -> None:
    running = Trial(1, {"n_layers": 1})
    seen = worlds.observation((worlds.completed(0, 80.0, 1), running))
    report = {(Stage.TRAIN, 1, 1): Report("Scrape", step=5, steps=20)}
    found = derive(replace(seen, reports=report))
    assert [(t.trial, t.progress) for t in found.recent_trials] == [(1, 0.25), (0, None)]


def test_a_status_survives_the_way_through_yaml(tmp_path: Path) -> None:
    path = tmp_path / "status.yaml"
    found = derive(worlds.observation((worlds.completed(0, 80.0, 1),)))
    documents.write_status(path, EXPERIMENT, found)
    assert documents.read_status(path) == found
