"""What lies beside an exported model and says what it is."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from distillery_contract.size import Architecture
from distillery_operator.errors import NotFound
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status
from distillery_operator.results import model_card, results
from distillery_operator.search import reported
from distillery_operator.trials.provenance import Provenance, Trainer
from distillery_operator.trials.trial import FinalTest, State, Trial
from support import worlds
from support.seeds import again

EXPERIMENT = worlds.experiment(teacher={"model": "org/a | b\n## teacher"})
MADE = Provenance(
    3, "0f0f", "abc", "trainer:1@sha256:00", Trainer("1.0", "2.9", "5.0", "NVIDIA H200")
)
TRIAL = worlds.completed(7, 81.5, 3, provenance=MADE)


def card(trial: Trial) -> str:
    return model_card.card(EXPERIMENT, [trial], trial.number)


def test_a_model_card_says_what_was_measured_and_what_made_it() -> None:
    text = card(TRIAL)
    _, head, body = text.split("---\n", 2)
    metadata = YAML(typ="safe").load(head)
    assert metadata["pipeline_tag"] == "question-answering"
    assert metadata["distillery"] == {
        "experiment": "tiny", "trial": 7, "seed": 42, "provenance": asdict(MADE)
    }  # fmt: skip
    for line in (
        "# Trial 7 of tiny",
        "| exact (percent) | 81.5 |",
        "| parameter_count (parameters) | 300000 |",
        "| trainer | 1.0 |",
        "| device | NVIDIA H200 |",
        "| image | trainer:1@sha256:00 |",
        "| generation of the spec | 3 |",
        "| n_layers | 3 |",
    ):
        assert line in body.splitlines()
    assert "A student of org/a \\| b ## teacher that" in body  # it stays one line


def test_a_model_card_tells_what_was_optimised_from_what_no_decision_has_read() -> None:
    tested = replace(TRIAL, test=FinalTest({"exact": 79.24242424242425}))
    lines = card(tested).splitlines()
    places = [n for n, line in enumerate(lines) if line.startswith("## Measured")]
    assert "which the search has optimised" in lines[places[0]]
    assert "which no decision has read" in lines[places[1]]
    assert lines.index("| exact (percent) | 81.5 |") < places[1]
    assert lines.index("| exact (percent) | 79.2424 |") > places[1]
    assert model_card.NO_TEST not in lines
    assert model_card.NO_TEST in card(TRIAL).splitlines()


def test_what_is_not_known_is_not_said() -> None:
    silent = replace(TRIAL, provenance=Provenance(request="0f0f"))
    assert "| digest of the request | 0f0f |" in card(silent)
    assert "| trainer |" not in card(silent)
    unknown = card(replace(TRIAL, provenance=None))
    assert "What made it" not in unknown


def others(*confirmed: float) -> list[Trial]:
    """Return twelve trials that are the better the larger they are, the last trained again."""
    trials = [worlds.completed(n, 60 + 5 * (1 + n % 4) + n % 3, 1 + n % 4) for n in range(12)]
    return [*trials[:-1], again(trials[-1], *confirmed)]


def test_a_model_card_says_what_to_expect_when_it_is_trained_again() -> None:
    trials = others()
    lines = model_card.card(EXPERIMENT, trials, 11).splitlines()
    [known] = reported.again(EXPERIMENT.spec, trials, [trials[11]])
    start = lines.index("## Expected when trained again, with another seed")
    assert lines[start + 4 : start + 8] == [
        f"| exact, mean | {known.expected[11].mean:.4g} |",
        f"| exact, standard deviation | {known.expected[11].deviation:.3g} |",
        f"| exact, error on left-out trials | {known.error:.3g} |",
        f"| exact, the same error of their mean | {known.spread:.3g} |",
    ]
    assert "trained again" not in card(TRIAL)  # a single trial lets expect nothing


def test_a_model_card_expects_what_the_front_says_where_it_reports_expectations() -> None:
    experiment = worlds.experiment(confirm={"share": 0.1, "report": "Expectation"})
    trials = others(83.0, 84.0)
    lines = model_card.card(experiment, trials, 11).splitlines()
    point = next(t for t in reported.front(experiment.spec, trials) if t.number == 11)
    believed = reported.beliefs(experiment.spec, trials)["exact"][11]
    start = lines.index("## Expected when trained again, with another seed")
    assert lines[start + 4 : start + 7] == [
        f"| exact, mean | {point.metrics['exact']:.4g} |",
        f"| exact, standard deviation | {believed.deviation:.3g} |",
        "",
    ]


def test_a_model_card_names_the_seed_of_the_model_and_what_others_came_to() -> None:
    trained = again(TRIAL, 79.5, 80.5, model="seed")
    failed = replace(trained.confirmations[1], state=State.INFEASIBLE, metrics={}, message="nan")
    trial = replace(trained, confirmations=(trained.confirmations[0], failed))
    lines = card(replace(trial, model="own")).splitlines()
    start = lines.index("## Trained again with other seeds")
    assert lines[start + 4].startswith("| seed 43 | exact 79.5 (percent), ")
    assert lines[start + 5] == "| seed 44 | Infeasible: nan |"
    assert "| seed | 42 |" in lines
    assert "| exact (percent) | 81.5 |" in lines
    lines = card(trial).splitlines()  # the search's own model is gone
    assert "| seed | 43 |" in lines
    assert "| exact (percent) | 79.5 |" in lines


class World:
    """The results of one trial, with a study or without."""

    report = Path("report.html")

    def __init__(self, study: bool) -> None:
        self._study = study

    def look(self) -> tuple[Experiment, Status]:
        return EXPERIMENT, worlds.status(EXPERIMENT, worlds.observation())

    def trials(self) -> tuple[Trial, ...]:
        if not self._study:
            raise NotFound("there is no study")
        return (TRIAL,)

    def studied(self) -> tuple[Mapping[str, Architecture], tuple[Trial, ...]]:
        return worlds.SOURCES, self.trials()

    def models(self) -> Mapping[int, str]:
        return {7: "trials/00007/model"}

    def suggest(self, name: str, parameters: Mapping[str, object]) -> str:
        raise AssertionError(name)

    def copy(self, model: str, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text(model)


@pytest.mark.parametrize("study", [True, False])
def test_an_exported_model_has_its_card_as_far_as_the_study_is_there(
    tmp_path: Path, study: bool
) -> None:
    results.export(World(study), 7, tmp_path / "out")
    files = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    cards = {"README.md": card(TRIAL)} if study else {}
    assert files == {"config.json": "trials/00007/model", **cards}
