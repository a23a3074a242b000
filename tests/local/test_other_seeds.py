"""A front that is trained again with other seeds, on one machine, by the quick trainer."""

import json
from pathlib import Path
from typing import Any

import pytest

from distillery_operator.resource import yaml_files
from distillery_operator.resource.status import ConditionType, FrontPoint, Status
from support import command_line, worlds

TRIALS = command_line.RESULTS / "trials"
RATES = {"name": "learning_rate", "type": "Float", "low": 0.05, "high": 0.2}
LAYERS = {"name": "n_layers", "type": "Int", "low": 1, "high": 6}
CONFIRM = {"share": 0.5, "runs": 2}


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.json").touch()
    monkeypatch.chdir(tmp_path)


def run(**spec: Any) -> Status:
    wanted: dict[str, Any] = {
        "parameters": [RATES, LAYERS],
        "training": {},
        "maxTrials": 12,
        "parallelism": 4,
    }
    wanted |= {"earlyStopping": {"type": "None"}}
    Path("tiny.yaml").write_text(command_line.text(**{**wanted, **spec}))
    done = command_line.call("run", "tiny.yaml")
    assert done.code == 0, done.out + done.err
    return yaml_files.read_status(command_line.RESULTS / "status.yaml")


def said(found: Status) -> str:
    (condition,) = [c for c in found.conditions if c.type is ConditionType.CONFIRMED]
    return condition.status


def seeds() -> dict[int, list[int]]:
    """Return the further trainings that lie there by their folders, by trial."""
    found: dict[int, list[int]] = {}
    for path in sorted(TRIALS.glob("*/confirm/seed-*/ledger")):
        seed = int(path.parent.name.removeprefix("seed-"))
        found.setdefault(int(path.parts[-4]), []).append(seed)
        steps = [line.split()[-1] for line in path.read_text().splitlines()]
        assert len(steps) == len(set(steps)), "no step is done twice"
    return found


def runs(point: FrontPoint) -> list[int]:
    return [run.seed for run in point.confirmation.runs] if point.confirmation else []


@pytest.mark.long
def test_a_front_is_trained_again_after_the_end_and_the_search_stays_over() -> None:
    before = run()
    assert not any(point.confirmation for point in before.front)
    after = run(confirm={**CONFIRM, "report": "Checkpoint"})
    assert said(after) != "Unknown"
    assert after.trials == before.trials
    assert [p.values for p in after.front] == [p.values for p in before.front]
    again = seeds()
    assert again
    assert {*again} <= {point.trial for point in after.front}
    for point in after.front:
        assert runs(point) == again.get(point.trial, [])
        for done in point.confirmation.runs if point.confirmation else []:
            assert done.values["exact"] == pytest.approx(
                point.values["exact"] - (done.seed - 42), abs=1e-6
            )
    assert not [*TRIALS.glob("*/confirm/seed-*/model")], "the search's own models are exported"
    requests = [json.loads(p.read_text()) for p in TRIALS.glob("*/confirm/attempt-*/request.json")]
    assert {request["stage"] for request in requests} == {"train"}
    assert run(confirm={**CONFIRM, "report": "Checkpoint"}).front == after.front


@pytest.mark.long
def test_expectations_are_reported_and_the_exported_model_names_its_seed() -> None:
    found = run(confirm=CONFIRM)
    assert said(found) != "Unknown"
    assert found.front
    again = seeds()
    for point in found.front:
        assert point.model is not None
        assert Path(point.model).is_dir()
        assert point.confirmation is not None
        assert runs(point) == again.get(point.trial, [])
        assert point.metrics["exact"] <= 100.0
    assert any(p.values["exact"] != p.metrics["exact"] for p in found.front)
    shown = command_line.call("status", "tiny").out
    assert "(any seed)" in shown


@pytest.mark.long
def test_tests_follow_the_confirmation() -> None:
    data = {**worlds.DOCUMENT["spec"]["data"], "test": "test.json"}
    found = run(confirm=CONFIRM, data=data)
    assert said(found) != "Unknown"
    (tested,) = [c for c in found.conditions if c.type is ConditionType.TESTED]
    assert tested.status == "True"
    assert all(point.test for point in found.front)
