from pathlib import Path
from typing import Any

import pytest

from distillery_operator.errors import InvalidExperiment, NotFound
from distillery_operator.resource import parsing, yaml_files
from distillery_operator.resource.spec import COLLAPSE_GUARD, effective_constraints
from support import broken, worlds
from support.worlds import SCRATCH

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"


def faults(document: object) -> list[str]:
    with pytest.raises(InvalidExperiment) as caught:
        parsing.parse(document)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("document", "field", "rule"), [*broken.BROKEN, *broken.LATER, *broken.ELSEWHERE]
)
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


def test_all_faults_within_an_object_are_found_at_once() -> None:
    found = faults(
        worlds.document(
            earlyStopping={"confidence": -1, "rungs": [0.5, 0.2], "pause": True},
            data={"name": "squad_v2", "train": "a.json", "nullThreshold": "0", "stride": 9999},
            teacher={"floor": {"exakt": 60}},
            student={"depth": 3},
            training={"initialization": "Pretrained"},
            sampler={"type": "Random", "seed": -1, "crossover": 0.5},
        )
    )
    assert {text.split(": ")[0] for text in found} == {
        "spec.earlyStopping.confidence",
        "spec.earlyStopping.rungs",
        "spec.earlyStopping.pause",
        "spec.data",
        "spec.data.nullThreshold",
        "spec.data.stride",
        "spec.teacher.model",
        "spec.teacher.floor.exakt",
        "spec.student.depth",
        "spec.student.model",
        "spec.sampler.seed",
        "spec.sampler.crossover",
    }


@pytest.mark.parametrize("rungs", [[0.5, None], [0.5, "late"], [0.5, {}], {}, 0.5, None])
def test_rungs_that_are_no_numbers_are_not_looked_at(rungs: object) -> None:
    found = faults(worlds.document(earlyStopping={"rungs": rungs, "pause": True}, parallelism=9))
    assert [text for text in found if "must ascend" in text] == []
    assert {"spec.earlyStopping.pause", "spec.parallelism"} <= {f.split(": ")[0] for f in found}


LAYERS = {"name": "n_layers", "type": "Int", "low": 1, "high": 6}


@pytest.mark.parametrize(
    "document",
    [
        broken.widths("Scratch", size={}),
        broken.widths("Teacher", "Scratch", size={"when": SCRATCH}),
        broken.widths("Teacher", "Scratch", training={"hidden_size": 48}),
        broken.widths("Teacher", "Scratch", size={"when": SCRATCH}, training={"hidden_size": 48}),
        worlds.document(
            training={"initialization": "Scratch", "hidden_size": 48},
            baselines=[{"name": "usual", "parameters": {"initialization": "Teacher"}}],
        ),
        worlds.document(
            baselines=[
                {"name": "new", "parameters": {"initialization": "Scratch", "hidden_size": 48}}
            ]
        ),
    ],
)
def test_a_width_has_its_place_where_a_student_is_built_from_scratch(
    document: dict[str, Any],
) -> None:
    parsing.parse(document)


def test_a_width_may_depend_on_what_depends_on_the_initialization() -> None:
    document = broken.widths("Teacher", "Scratch", size={})
    first, width = document["spec"]["parameters"]
    width["when"] = {"parameter": "n_layers", "maximum": 3}
    document["spec"]["parameters"] = [first, {**LAYERS, "when": SCRATCH}, width]
    parsing.parse(document)
    document["spec"]["parameters"] = [first, LAYERS, width]
    (said,) = faults(document)
    assert said.startswith("spec.parameters[2].when: must be {parameter: initialization, values")


def test_an_initialization_that_is_not_always_searched_is_elsewhere_as_in_training() -> None:
    document = broken.widths("Scratch", size={})
    first, width = document["spec"]["parameters"]
    first["when"] = {"parameter": "n_layers", "maximum": 3}
    document["spec"]["parameters"] = [LAYERS, first, width]
    (said,) = faults(document)
    assert said.endswith("but initialization can be Teacher")
    document["spec"]["training"] = {"initialization": "Scratch"}
    parsing.parse(document)


def test_a_long_value_is_shortened_in_the_message() -> None:
    (found,) = faults(worlds.document(maxTrials="9" * 10_000))
    assert len(found) < 300
    assert "10002 characters" in found


def test_a_number_that_no_double_holds_is_refused() -> None:
    found = faults(broken.parameter(high=10**400))
    assert found[0].startswith("spec.parameters[0].high: must be of type number, but got 1000")


def test_the_collapse_guard_is_in_force_unless_given() -> None:
    spec = worlds.experiment(constraints=[{"metric": "NoAns_exact", "minimum": 0}]).spec
    found = {c.metric: c.minimum for c in effective_constraints(spec)}
    assert found == {"NoAns_exact": 0, "HasAns_exact": COLLAPSE_GUARD}


def test_answerable_data_has_no_collapse_guard() -> None:
    answerable = worlds.document(data={**worlds.DOCUMENT["spec"]["data"], "unanswerable": False})
    assert effective_constraints(parsing.parse(answerable).spec) == []


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_sample_is_valid(path: Path) -> None:
    assert yaml_files.read_experiment(path).metadata.name == path.stem


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
        ("just text", "must be of type object"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused(text: str, rule: str) -> None:
    with pytest.raises(InvalidExperiment, match=rule):
        yaml_files.parse_experiment(text, "experiment.yaml")


def test_a_number_in_scientific_notation_needs_no_quotes() -> None:
    text = yaml_files.dump(worlds.document()).replace("low: 0.01", "low: 2e-6")
    assert yaml_files.parse_experiment(text, "x").spec.parameters[0].low == 2e-6


def test_a_missing_and_an_oversize_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no experiment file"):
        yaml_files.read_experiment(tmp_path / "none.yaml")
    large = tmp_path / "large.yaml"
    large.write_text("#" * 1_100_000)
    with pytest.raises(InvalidExperiment, match="at most 1000000 bytes, but got 1100000"):
        yaml_files.read_experiment(large)
