"""The benchmark beside Katib: what it counts and compares, and the Jobs that both sides make."""

import json
import random
from pathlib import Path

import pytest

from distillery_contract import wire
from distillery_contract.request import Request, Stage
from katib import command, compare, resources
from katib.compare import Measured, Record
from katib.measure import OneSearch
from katib.side import Spent
from measured import objects
from support import parts

RECORDED = Path(__file__).parent / "katib.jsonl"
"""Lines that a small run on a busy machine has written: real ones, but no figures to quote."""


def test_what_was_spent_counts_from_a_moment_on() -> None:
    before = Spent({"controller": 2.0, "suggestions": 1.0}, 40.0)
    after = Spent({"controller": 5.0, "suggestions": 1.5}, 100.0)
    assert after.since(before) == Spent({"controller": 3.0, "suggestions": 0.5}, 60.0)


def test_katib_makes_the_jobs_that_the_operator_would_make() -> None:
    chance = random.Random(7)
    values = {
        str(p["name"]): chance.random() if p["type"] == "Float" else chance.randint(1, 6)
        for p in objects.PARAMETERS
    }
    made = resources.experiment("search-3", 20)["spec"]["trialTemplate"]
    text = json.dumps(made["trialSpec"])
    for parameter in made["trialParameters"]:  # as Katib does: in the text of the whole template
        found = str(values.get(parameter["name"], "search-3-x7bq"))
        text = text.replace(f"${{trialParameters.{parameter['name']}}}", found)
    assert "${" not in text
    job = json.loads(text)
    assert job["metadata"]["labels"]["distillery.dev/experiment"] == "search-3"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["name"] == made["primaryContainerName"]
    (order,) = [each["value"] for each in container["env"] if each["name"] == wire.REQUEST]
    request = Request.from_json(order)
    assert request.stage is Stage.TRAIN
    assert request.parameters == values
    assert request.experiment == "search-3-x7bq"  # by which the trial's metrics are reported


def recorded() -> list[Measured]:
    return [Measured(**json.loads(line)) for line in RECORDED.read_text().splitlines()]


@pytest.mark.parametrize("part", command.PARTS)
def test_each_figure_has_its_ratio_to_ours(part: str) -> None:
    lines = [each for each in recorded() if each.part == part]
    assert [each.side for each in lines] == [*command.SIDES]
    found = compare.summary({part: lines})[part]
    assert found["settings"] == lines[0].settings
    ours = found["figures"][compare.OURS]
    assert set(found["ratios"]) == set(command.SIDES) - {compare.OURS}
    for side, ratios in found["ratios"].items():
        assert set(ratios) == set(compare.LABELS[part])
        for key, ratio in ratios.items():
            assert ratio == pytest.approx(found["figures"][side][key] / ours[key], rel=0.005)


@pytest.mark.parametrize("part", command.PARTS)
def test_the_table_shows_each_figure_beside_ours(part: str) -> None:
    lines = [each for each in recorded() if each.part == part]
    ours, *others = lines
    _, heads, *rows = compare.table(part, lines).splitlines()
    assert heads.split() == ["distillery", *(w for other in others for w in (other.side, "ratio"))]
    for key, row in zip(compare.LABELS[part], rows, strict=True):
        *_, last, ratio = row.split()
        assert float(last) == others[-1].figures[key]
        assert float(ratio) == pytest.approx(float(last) / ours.figures[key], rel=0.005)
        assert f" {ours.figures[key]} " in row


def test_there_is_no_ratio_to_nothing() -> None:
    (line, *_) = (each for each in recorded() if each.part == "one")
    nothing = {**line.figures, "api_calls_per_trial": 0}
    assert compare.ratios("one", nothing, line.figures)["api_calls_per_trial"] is None


def test_without_ours_a_table_has_no_ratios() -> None:
    theirs = [each for each in recorded() if each.part == "one" and each.side != compare.OURS]
    *_, last = compare.table("one", theirs).splitlines()
    assert [float(word) for word in last.split()[-len(theirs) :]] == [
        each.figures["memory_mib"] for each in theirs
    ]
    assert compare.summary({"one": theirs})["one"]["ratios"] == {}


def test_what_was_measured_with_the_same_settings_is_kept(tmp_path: Path) -> None:
    settings = OneSearch(finished=60, refills=20, parallelism=20, seconds=4)
    line = Measured.now("one", "distillery", settings, {"last_p95_s": 0.1}, load=0.5)
    Record(tmp_path / "record.jsonl").add(line)
    again = Record(tmp_path / "record.jsonl")
    assert again.find("one", "distillery", settings) == line
    assert again.find("one", "katib-goptuna", settings) is None
    assert again.find("one", "distillery", OneSearch(60, 20, 20, 8)) is None
    assert Record().find("one", "distillery", settings) is None


def test_a_slow_machine_may_look_at_less() -> None:
    quick = command.asked(["one", "--quick", "--finished", "30"])
    assert quick.sides == ["distillery", "katib-hyperopt"]
    assert command.settings(quick) == {"one": OneSearch(30, 20, 20, 4)}
    assert list(command.settings(command.asked([]))) == ["one", "many"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--searches", "251"], "argument --searches: must be at most 250, but got 251"),
        (["--refills", "1"], "--refills: must be a whole number of at least 2, but got '1'"),
        (["--sides", "kubeflow"], "argument --sides: invalid choice: 'kubeflow'"),
        (["two"], "invalid choice: 'two'"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.asked(words)
    assert said in capsys.readouterr().err


def test_no_test_builds_katib() -> None:
    assert "katib" in parts.PARTS
    assert "katib" not in parts.of_tests(neighbours=True)
    assert "release" not in parts.of_tests(neighbours=False)
    assert {"release", "node"} < set(parts.of_tests(neighbours=True))
