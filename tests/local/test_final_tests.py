"""A search with test questions on one machine, by the quick trainer, to the end of its tests."""

from pathlib import Path

import pytest

from distillery_operator.resource import yaml_files
from distillery_operator.resource.status import ConditionType, Status
from support import command_line, worlds

DATA = {**worlds.DOCUMENT["spec"]["data"], "test": "test.json"}
TRIALS = command_line.RESULTS / "trials"


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with an experiment of three trials."""
    (tmp_path / "train.json").touch()
    monkeypatch.chdir(tmp_path)
    edit(3)
    return tmp_path


def edit(trials: int) -> None:
    baselines = [{"name": "six", "parameters": {"n_layers": 6, "learning_rate": 0.2}}]
    text = command_line.text(data=DATA, maxTrials=trials, baselines=baselines)
    Path("tiny.yaml").write_text(text)


def run() -> Status:
    done = command_line.call("run", "tiny.yaml")
    assert done.code == 0, done.out + done.err
    return yaml_files.read_status(command_line.RESULTS / "status.yaml")


def said(found: Status) -> tuple[str, str]:
    (condition,) = [c for c in found.conditions if c.type is ConditionType.TESTED]
    return condition.status, condition.reason


def evaluations() -> dict[int, int]:
    """Return how often the model of each trial was evaluated on the test questions."""
    found = TRIALS.glob("*/tests")
    return {int(path.parent.name): len(path.read_text().splitlines()) for path in found}


@pytest.mark.long
def test_a_search_tests_what_it_has_chosen_once_and_goes_on_to_test_what_is_new(
    search: Path,
) -> None:
    found = run()
    assert said(found) == ("True", "Tested")
    chosen = {point.trial for point in found.front} | {0}
    assert evaluations() == dict.fromkeys(chosen, 1)
    for point in found.front:
        assert point.test["exact"] == point.values["exact"] - 1
    assert found.baselines[0].test["exact"] == found.baselines[0].values["exact"] - 1
    assert found.teacher_test == {"exact": 89.0}
    again = run()  # nothing is left to do
    assert again.front == found.front
    edit(6)
    after = run()
    assert said(after) == ("True", "Tested")
    assert evaluations() == dict.fromkeys(chosen | {p.trial for p in after.front}, 1)


@pytest.mark.long
def test_tests_that_failed_are_told_and_run_again_with_the_next_run(search: Path) -> None:
    (search / "tests-fail").touch()
    failed = run()
    assert said(failed) == ("False", "TestFailed")
    assert failed.state == "Succeeded"
    assert not any(point.test for point in failed.front)
    (search / "tests-fail").unlink()
    assert said(run()) == ("True", "Tested")
    assert set(evaluations().values()) == {2}
