import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import worlds
from distillery_operator import documents, resources, rules
from distillery_operator.errors import InvalidExperiment, NotFound

SAMPLES = Path(__file__).parent.parent / "manifests" / "samples"


def faults(document: object) -> list[str]:
    with pytest.raises(InvalidExperiment) as caught:
        rules.parse(document)
    return [str(fault) for fault in caught.value.faults]


def parameter(**changes: Any) -> dict[str, Any]:
    made = {"name": "learning_rate", "type": "Float", "low": 0.01, "high": 0.8, **changes}
    return worlds.document(parameters=[{k: v for k, v in made.items() if v is not None}])


def data(**changes: Any) -> dict[str, Any]:
    made = {**worlds.DOCUMENT["spec"]["data"], **changes}
    return worlds.document(data={k: v for k, v in made.items() if v is not None})


def top(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    made = copy.deepcopy(worlds.DOCUMENT)
    change(made)
    return made


BROKEN: list[tuple[object, str, str]] = [
    (None, "the document", "must be a valid dictionary"),
    ([], "the document", "must be a valid dictionary"),
    (top(lambda d: d.pop("spec")), "spec", "must be given"),
    (top(lambda d: d.update(kind="Job")), "kind", "but got 'Job'"),
    (top(lambda d: d.update(apiVersion="v1")), "apiVersion", "but got 'v1'"),
    (top(lambda d: d["metadata"].update(name="Über")), "metadata.name", "but got 'Über'"),
    (top(lambda d: d["metadata"].update(name="a" * 41)), "metadata.name", "at most 40"),
    (top(lambda d: d["metadata"].update(name="../../etc")), "metadata.name", "pattern"),
    (top(lambda d: d["metadata"].pop("name")), "metadata.name", "must be given"),
    (worlds.document(objectives=None), "spec.objectives", "must be given"),
    (worlds.document(objectives=[]), "spec.objectives", "at least 1"),
    (worlds.document(objectives=[{"metric": "exact"}]), "spec.objectives[0].direction", "given"),
    (
        worlds.document(objectives=[{"metric": "exakt", "direction": "Maximize"}]),
        "spec.objectives[0].metric",
        "but got 'exakt'",
    ),
    (
        worlds.document(objectives=[{"metric": "exact", "direction": "Minimize"}]),
        "spec.objectives[0].direction",
        "must be Maximize for exact, but got Minimize",
    ),
    (
        worlds.document(objectives=[{"metric": "best_exact_thresh", "direction": "Maximize"}]),
        "spec.objectives[0].metric",
        "must be one of",
    ),
    (
        worlds.document(objectives=[{"metric": "f1", "direction": "Maximize"}] * 2),
        "spec.objectives[1].metric",
        "must be unique",
    ),
    (
        worlds.document(objectives=[{"metric": "f1", "direction": "Maximize", "threshold": "50"}]),
        "spec.objectives[0].threshold",
        "must be a finite number, but got '50'",
    ),
    (
        worlds.document(
            objectives=[{"metric": "f1", "direction": "Maximize", "threshold": float("nan")}]
        ),
        "spec.objectives[0].threshold",
        "must be a finite number",
    ),
    (worlds.document(constraints=[{"metric": "exact"}]), "spec.constraints[0]", "got neither"),
    (
        worlds.document(constraints=[{"metric": "f1", "minimum": 9, "maximum": 3}]),
        "spec.constraints[0]",
        "minimum <= maximum must hold, but got (9, 3)",
    ),
    (
        worlds.document(constraints=[{"metric": "speed", "minimum": 9}]),
        "spec.constraints[0].metric",
        "but got 'speed'",
    ),
    (worlds.document(parameters=[]), "spec.parameters", "at least 1"),
    (parameter(name="warmth"), "spec.parameters[0].name", "no trainer consumes 'warmth'"),
    (parameter(low=None), "spec.parameters[0].low", "must be given for type Float"),
    (parameter(low=0.9), "spec.parameters[0]", "low <= high must hold, but got (0.9, 0.8)"),
    (parameter(low=-1), "spec.parameters[0].low", "must lie in [0, 1], but got -1"),
    (parameter(low=0, log=True), "spec.parameters[0].low", "must be above 0 if log is true"),
    (parameter(step=-0.1), "spec.parameters[0].step", "must be above 0, but got -0.1"),
    (parameter(step=0.1, log=True), "spec.parameters[0].step", "absent if log is true"),
    (parameter(choices=[1]), "spec.parameters[0].choices", "absent for type Float"),
    (parameter(type="Double"), "spec.parameters[0].type", "but got 'Double'"),
    (parameter(low="2e-6"), "spec.parameters[0].low", "must be a finite number, but got '2e-6'"),
    (parameter(log="yes"), "spec.parameters[0].log", "valid boolean, but got 'yes'"),
    (parameter(scale="ln"), "spec.parameters[0].scale", "no such field"),
    (parameter(name="n_layers"), "spec.parameters[0].type", "must be Int for n_layers"),
    (
        parameter(name="n_layers", type="Int", low=1, high=3.5),
        "spec.parameters[0].high",
        "must be an integer for type Int, but got 3.5",
    ),
    (
        parameter(name="layer_selection"),
        "spec.parameters[0].type",
        "must be Categorical for layer_selection",
    ),
    (
        worlds.document(parameters=[{"name": "layer_selection", "type": "Categorical"}]),
        "spec.parameters[0].choices",
        "at least one value",
    ),
    (
        worlds.document(
            parameters=[{"name": "layer_selection", "type": "Categorical", "choices": ["Last"]}]
        ),
        "spec.parameters[0].choices[0]",
        "must be one of First, EvenlySpaced, but got 'Last'",
    ),
    (
        worlds.document(
            parameters=[
                {"name": "layer_selection", "type": "Categorical", "choices": ["First"], "low": 1}
            ]
        ),
        "spec.parameters[0].low",
        "must be absent for type Categorical",
    ),
    (
        worlds.document(parameters=worlds.DOCUMENT["spec"]["parameters"][:1] * 2),
        "spec.parameters[1].name",
        "must be unique",
    ),
    (worlds.document(training={"n_layers": 3}), "spec.training.n_layers", "must be absent"),
    (worlds.document(training={"warmth": 3}), "spec.training.warmth", "no trainer consumes"),
    (worlds.document(training={"epochs": "many"}), "spec.training.epochs", "must be a number"),
    (worlds.document(training={"dropout": True}), "spec.training.dropout", "must be a number"),
    (worlds.document(training={"dropout": {}}), "spec.training.dropout", "must be a number, true"),
    (
        worlds.document(training={"hidden_size": 64}),
        "spec.parameters",
        "hidden_size is consumed only if initialization can be Scratch",
    ),
    (
        worlds.document(training={"initialization": "Pretrained"}),
        "spec.student.model",
        "must be given if initialization can be Pretrained",
    ),
    (
        worlds.document(baselines=[{"name": "a"}, {"name": "a"}]),
        "spec.baselines[1].name",
        "must be unique",
    ),
    (
        worlds.document(baselines=[{"name": "a", "parameters": {"n_layers": 0}}]),
        "spec.baselines[0].parameters.n_layers",
        "must lie in [1, 48], but got 0",
    ),
    (worlds.document(baselines=[{"name": "A b"}]), "spec.baselines[0].name", "pattern"),
    (data(train=None), "spec.data", "must have name, or both train and validation"),
    (data(name="squad_v2"), "spec.data", "but got both"),
    (data(stride=64), "spec.data.stride", "= 45 must hold, but got 64"),
    (data(maxQueryLength=64), "spec.data.maxLength", "must hold, but got (64, 64)"),
    (data(maxLength=True), "spec.data.maxLength", "must be a valid integer, but got True"),
    (worlds.document(teacher={}), "spec.teacher.model", "must be given"),
    (
        worlds.document(teacher={"model": "t", "floor": {"exakt": 60}}),
        "spec.teacher.floor.exakt",
        "must name one of",
    ),
    (worlds.document(parallelism=9), "spec.parallelism", "<= maxTrials must hold, but got (9, 8)"),
    (worlds.document(parallelism=0), "spec.parallelism", "greater than or equal to 1"),
    (worlds.document(maxTrials="8"), "spec.maxTrials", "must be a valid integer, but got '8'"),
    (worlds.document(sampler={"type": "Grid"}), "spec.sampler.type", "but got 'Grid'"),
    (worlds.document(maxTrails=8), "spec.maxTrails", "no such field"),
    (
        worlds.document(teacher={"model": "<script>" * 200}),
        "spec.teacher.model",
        "at most 1024 characters",
    ),
]


@pytest.mark.parametrize(("document", "field", "rule"), BROKEN)
def test_a_broken_experiment_is_refused_with_field_rule_and_value(
    document: object, field: str, rule: str
) -> None:
    found = faults(document)
    assert any(text.startswith(f"{field}: ") and rule in text for text in found), found


def test_all_faults_of_a_document_are_found_at_once() -> None:
    spec = worlds.document(parallelism=9, foo=1)["spec"]
    spec["parameters"][0]["low"] = "low"
    spec["parameters"][1]["high"] = 0
    spec["objectives"][0]["metric"] = "exakt"
    found = faults({**worlds.DOCUMENT, "spec": spec})
    fields = {text.split(": ")[0] for text in found}
    assert fields == {
        "spec.parameters[0].low",
        "spec.parameters[1].high",
        "spec.parameters[1]",
        "spec.objectives[0].metric",
        "spec.parallelism",
        "spec.foo",
    }


def test_a_long_value_is_shortened_in_the_message() -> None:
    (found,) = faults(worlds.document(maxTrials="9" * 10_000))
    assert len(found) < 300
    assert "10002 characters" in found


def test_the_collapse_guard_is_in_force_unless_given() -> None:
    spec = worlds.experiment(constraints=[{"metric": "NoAns_exact", "minimum": 0}]).spec
    found = {c.metric: c.minimum for c in resources.constraints(spec)}
    assert found == {"NoAns_exact": 0, "HasAns_exact": resources.COLLAPSE_GUARD}


def test_answerable_data_has_no_collapse_guard() -> None:
    answerable = worlds.document(data={**worlds.DOCUMENT["spec"]["data"], "unanswerable": False})
    assert resources.constraints(rules.parse(answerable).spec) == []


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_sample_is_valid(path: Path) -> None:
    assert documents.read_experiment(path).metadata.name == path.stem


def test_there_are_samples() -> None:
    names = {path.stem for path in SAMPLES.glob("*.yaml")}
    assert {"quickstart", "squad2-distilbert", "squad2-compact", "squad2-minilm"} <= names


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a: [", "must be YAML"),
        ("", "must hold one document, but got 0"),
        ("a: 1\n---\nb: 2", "must hold one document, but got 2"),
        ("a: 1\na: 2", "duplicate key"),
        ("!!python/object/apply:os.system ['true']", "must be YAML"),
        ("&a [*a]", "must be"),
        ("\x00", "must be YAML"),
        ("just text", "must be a valid dictionary"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused(text: str, rule: str) -> None:
    with pytest.raises(InvalidExperiment, match=rule):
        documents.parse_experiment(text, "experiment.yaml")


def test_a_number_in_scientific_notation_needs_no_quotes() -> None:
    text = documents.dump(worlds.document()).replace("low: 0.01", "low: 2e-6")
    assert documents.parse_experiment(text, "x").spec.parameters[0].low == 2e-6


def test_a_missing_and_an_oversize_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no experiment file"):
        documents.read_experiment(tmp_path / "none.yaml")
    large = tmp_path / "large.yaml"
    large.write_text("#" * 1_100_000)
    with pytest.raises(InvalidExperiment, match="at most 1000000 bytes, but got 1100000"):
        documents.read_experiment(large)
