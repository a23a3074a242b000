"""The contract between operator and trainer: requests, hyperparameters, sizes, exit codes."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_contract import metrics, parameters, request, size, wire
from distillery_contract.parameters import PARAMETERS, Kind
from distillery_contract.request import Request, RequestError, Stage
from distillery_contract.size import Architecture, Family

REQUEST = Request(
    experiment="tiny",
    stage=Stage.TRAIN,
    data=request.Data(train="train.json", validation="validation.json"),
    teacher=request.Teacher("teacher", floor={"exact": 60.0}),
    student=request.Student(),
    cache="cache",
    output="out",
    trial=3,
    parameters={"learning_rate": 1e-4, "n_layers": 2},
)
BERT = Architecture(Family.BERT, 30522, 512, 768, 3072, 12, 12, 2)
DISTILBERT = Architecture(Family.DISTILBERT, 30522, 512, 768, 3072, 6, 12)


def value(parameter: parameters.Parameter) -> st.SearchStrategy[Any]:
    if parameter.kind is Kind.CATEGORICAL:
        return st.sampled_from(parameter.choices)
    if parameter.kind is Kind.INT:
        return st.integers(int(parameter.low), int(parameter.high))
    return st.floats(parameter.low, parameter.high)


hyperparameters = st.fixed_dictionaries({}, optional={n: value(p) for n, p in PARAMETERS.items()})


@given(hyperparameters, st.text(), st.integers(1, 9))
def test_a_request_survives_the_way_through_json(
    given_: dict[str, Any], name: str, attempt: int
) -> None:
    if parameters.unused(given_):
        given_["initialization"] = "Scratch"
    made = replace(REQUEST, parameters=given_, experiment=name, attempt=attempt)
    assert Request.from_json(made.to_json()) == made


@given(hyperparameters)
def test_what_is_sent_to_a_trainer_has_an_effect(given_: dict[str, Any]) -> None:
    sent = parameters.effective(given_)
    assert parameters.unused(sent) == []
    assert given_.items() - sent.items() <= {("hidden_size", given_.get("hidden_size"))}
    assert parameters.effective({**given_, "initialization": "Scratch"}).keys() >= given_.keys()


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(REQUEST.to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "must be JSON"),
        ("[]", "must be a JSON object, but got list"),
        (changed(version=2), "version must be 1, but got 2"),
        (
            changed(stage="guess"),
            "stage must be one of describe, prepare, train, test, collect, confirm,"
            " but got 'guess'",
        ),
        (
            changed(stage="confirm"),
            "stage must not be confirm: a further training has the stage train",
        ),
        (changed(speed=1), "speed: no such field"),
        (changed(trial="3"), "trial must be of type int, but got '3'"),
        (changed(trial=True), "trial must be of type int, but got True"),
        (changed(data=None), "data must be an object"),
        (changed(data={"stride": 1.5}), "data.stride must be of type int, but got 1.5"),
        (changed(teacher={}), "teacher: "),
        (changed(teacher={}), "teacher: these fields must be given: model"),
        (changed(teacher=3), "teacher must be an object, but got 3"),
        (
            changed(teacher={"model": "m", "floor": 60}),
            "teacher.floor must be an object, but got 60",
        ),
        (
            changed(teacher={"model": "m", "floor": {"exact": "60"}}),
            "teacher.floor.exact must be of type int or float, but got '60'",
        ),
        (changed(data={"null_threshold": True}), "must be of type int or float, but got True"),
        (changed(parameters=3), "parameters must be an object, but got 3"),
        (changed(parameters={"warmth": 1}), "parameters.warmth: no trainer consumes this"),
        (changed(parameters={"dropout": 2}), "parameters.dropout: must lie in [0, 1], but got 2"),
        (changed(parameters={"hidden_size": 8}), "consumed only if initialization is Scratch"),
        (changed(remove=["old"]), "remove is consumed only if stage is collect, but it is 'train'"),
        (changed(rungs=[0.5, 1]), "rungs must lie between 0 and 1, but got [0.5, 1]"),
        (changed(rungs=0.5), "rungs must be a list, but got 0.5"),
        (changed(continues=17), "continues must be of type str or NoneType, but got 17"),
        (changed(remove="old", stage="collect"), "remove must be a list, but got 'old'"),
        *(
            (changed(remove=["a", folder], stage="collect"), f"without '..', but got {folder!r}")
            for folder in ("..", "a/../b", "/", "/a", "//a", "", ".", "./", "\0", "\ud800", 3, None)
        ),
    ],
)
def test_a_broken_request_is_refused_with_rule_and_value(text: str, fault: str) -> None:
    with pytest.raises(RequestError) as caught:
        Request.from_json(text)
    assert any(fault in f for f in caught.value.faults), caught.value.faults


def test_all_faults_of_a_request_are_found_at_once() -> None:
    broken = {"data": {"strid": 1}, "parameters": {"dropout": 2}, "remove": ["/", "a", ".."]}
    with pytest.raises(RequestError) as caught:
        Request.from_json(changed(trial="3", stage="guess", **broken))
    assert len(caught.value.faults) == 7


def test_every_field_that_must_be_given_is_named_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        Request.from_json('{"version": 1, "trial": "3"}')
    assert caught.value.faults == [
        "trial must be of type int, but got '3'",
        "the request: these fields must be given: experiment, stage, data, student, cache, output",
    ]


def test_a_field_that_is_missing_has_its_default_and_no_teacher_is_none() -> None:
    document = json.loads(REQUEST.to_json())
    for name in ("teacher", "trial", "parameters", "rungs"):
        del document[name]
    assert Request.from_json(json.dumps(document)) == replace(
        REQUEST, teacher=None, trial=0, parameters={}
    )


def test_folders_to_remove_survive_the_way_through_json() -> None:
    made = replace(REQUEST, stage=Stage.COLLECT, remove=("a/b c", "..d", "é/./f/"))
    assert Request.from_json(made.to_json()) == made


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_default_keeps_its_own_bounds(name: str) -> None:
    default = PARAMETERS[name].default
    assert default is None or PARAMETERS[name].fault(default) is None


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("n_layers", 2.0), ("n_layers", True), ("dropout", "0.1"), ("dropout", float("nan")),
     ("compile", 1), ("compile", "true"), ("initialization", "scratch"), ("epochs", 0)],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_or_size_is_a_fault(name: str, wrong: object) -> None:
    assert repr(wrong) in (PARAMETERS[name].fault(wrong) or "")


@pytest.mark.parametrize(
    ("parameters_", "count"),
    [
        ({}, 66_364_418),  # the published size of DistilBERT with an answer head
        ({"n_layers": 1, "n_heads": 1}, 28_760_258),
        ({"n_layers": 4, "n_heads": 11}, 51_401_474),
        ({"n_layers": 20}, 165_594_626),
    ],
)
def test_sizes_are_those_of_the_closed_form(parameters_: dict[str, Any], count: int) -> None:
    layers, heads = parameters_.get("n_layers", 6), parameters_.get("n_heads", 12)
    closed = 23_835_648 + 1_538 + layers * (7_087_872 - (12 - heads) * 196_800)
    pretrained = {"initialization": "Pretrained", **parameters_}
    found = size.student_size({"teacher": BERT, "student": DISTILBERT}, pretrained)
    assert found == closed == count


@pytest.mark.parametrize(
    ("parameters_", "rule"),
    [
        ({"n_heads": 13}, "n_heads <= 12 must hold"),
        ({"n_layers": 13}, "n_layers <= 12 must hold, the layers of the teacher, but got 13"),
        ({"initialization": "Scratch", "hidden_size": 100}, "must be a multiple of 12"),
    ],
)
def test_a_shape_that_does_not_exist_is_refused(parameters_: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        size.shape({"teacher": BERT}, parameters_)


@pytest.mark.parametrize("architecture", [BERT, DISTILBERT])
def test_an_architecture_survives_the_way_through_metrics(architecture: Architecture) -> None:
    assert Architecture.of_dimensions(architecture.dimensions()) == architecture


def test_every_exit_code_has_a_reason() -> None:
    assert set(wire.REASON_OF_EXIT) == set(wire.Exit)


def test_metric_names_follow_the_conventions() -> None:
    for family in metrics.FAMILIES:
        assert family.name.startswith("distillery_")
        assert not family.name.endswith(("_total", "_info", "_milliseconds"))
        assert family.help
    assert len({family.name for family in metrics.FAMILIES}) == len(metrics.FAMILIES)
