"""The rules of the definition, evaluated here; test_crd compares them with a real API server."""

from collections.abc import Iterator
from typing import Any

import pytest

from distillery_operator.errors import InvalidExperiment
from distillery_operator.resource import parsing
from distillery_operator.resource.crd import checking, definition, programs
from support import broken, worlds

ERRORS = (ArithmeticError, LookupError, TypeError, ValueError)


def rules(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk over all rules of a schema, each with the path of its node."""
    for rule in node.get("x-kubernetes-validations", []):
        yield path, rule
    for name, part in node.get("properties", {}).items():
        yield from rules(part, f"{path}.{name}")
    if "items" in node:
        yield from rules(node["items"], f"{path}[]")


SCHEMA = definition.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
RULES = list(rules(SCHEMA))


def test_there_are_rules_of_all_kinds() -> None:
    assert len(RULES) >= 100
    assert len([r for _, r in RULES if "messageExpression" in r]) >= 30
    assert len([r for _, r in RULES if "oldSelf" in r["rule"]]) >= 2


@pytest.mark.parametrize(
    ("expression", "steps"),
    [
        ("self >= 0.1", {()}),
        ("has(self.low) && has(self.high) ? self.low <= self.high : true", {("low",), ("high",)}),
        ("self.type != 'self.name' ? has(self.low) : true", {("type",), ("low",)}),
        ("has(dyn(self).choices) && size(dyn(self).choices) > 0", {("choices",)}),
        ("size(self.baselines) <= 50", {("baselines",)}),
        ("self.rungs.isSorted()", {("rungs",)}),
        (
            "self.spec.warmStartFrom.all(w, w.experiment != self.metadata.name)",
            {
                ("spec", "warmStartFrom"),
                ("spec", "warmStartFrom", "[]"),
                ("spec", "warmStartFrom", "[]", "experiment"),
                ("metadata", "name"),
            },
        ),
        (
            "self.all(p, p.name != 'a' || has(p.when))",
            {(), ("[]",), ("[]", "name"), ("[]", "when")},
        ),
        (
            "[self.map(q, q.name)].exists(names, names.indexOf('a') > 0)",
            {(), ("[]",), ("[]", "name")},
        ),
        ("self == oldSelf", {()}),
    ],
)
def test_a_rule_tells_which_parts_it_looks_at(expression: str, steps: set[tuple[str, ...]]) -> None:
    assert programs.parts(expression) == steps


def test_each_rule_looks_at_parts_that_the_schema_knows() -> None:
    """A part that was misread would let a rule run on what is broken."""
    known = set(parts(SCHEMA)) | {("metadata", "name")}
    for path, rule in RULES:
        node = tuple(path.replace("[]", ".[]").split(".")[1:])
        for text in (rule["rule"], rule.get("messageExpression", "")):
            assert {(*node, *steps) for steps in programs.parts(text)} <= known, text


def parts(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Walk over the paths of all parts of a schema."""
    yield path
    for name, part in node.get("properties", {}).items():
        yield from parts(part, (*path, name))
    if "items" in node:
        yield from parts(node["items"], (*path, "[]"))


@pytest.mark.parametrize("value", [[], ["a", "b"], ["b", "a"], [0.5, 0.25], [0.5, 0.5]])
def test_lists_are_sorted_as_in_kubernetes(value: list[Any]) -> None:
    scope = programs.Scope({"self": value})
    assert scope.value("self.isSorted()") == (value == sorted(value))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("First", "First"),
        (True, "true"),
        (8, "8"),
        (1_000_000, "1000000"),
        (8.0, "8"),
        (1e6, "1e+06"),
        (1234567.5, "1.2345675e+06"),
        (1e-5, "1e-05"),
        ([0.5, 0.25], "[0.5, 0.25]"),
    ],
)
def test_values_are_written_as_the_api_server_writes_them(value: object, written: str) -> None:
    scope = programs.Scope({"self": value})
    assert scope.value("'100 %%, but got %s'.format([self])") == f"100 %, but got {written}"


def test_a_part_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ERRORS):
        programs.Scope({"self": {}}).value("self.low > 0.0")


def test_a_rule_that_looks_at_a_faulty_part_is_skipped() -> None:
    document = broken.parameter(low=0.9)
    path = ("spec", "parameters", 0, "low")
    (found,) = checking.broken(document, [])
    assert str(found) == "spec.parameters[0]: low <= high must hold, but got (0.9, 0.8)"
    for faulty in (path, path[:3], path[:2], path[:1], ()):
        assert list(checking.broken(document, [faulty])) == []
    assert list(checking.broken(document, [("spec", "parameters", 1, "low")])) == [found]


def test_what_is_faulty_is_not_taken_for_absent() -> None:
    document = worlds.document(maxTrials="many", parallelism=51)  # more than maxTrials' default
    assert list(checking.broken(document, [("spec", "maxTrials")])) == []
    document = broken.parameter(low="low")  # a bound that must be given
    assert list(checking.broken(document, [("spec", "parameters", 0, "low")])) == []


def test_every_parameter_in_a_wrong_place_is_named() -> None:
    spec = worlds.document()["spec"]
    when = {"parameter": "n_heads", "minimum": 2}
    spec["parameters"] = [{**parameter, "when": when} for parameter in spec["parameters"]]
    found = _faults({**worlds.DOCUMENT, "spec": spec})
    assert [fault for fault in found if "listed before it" in fault] == [
        f"spec.parameters: {name} must depend on a parameter that is listed before it,"
        " but got n_heads"
        for name in ("learning_rate", "n_layers", "layer_selection")
    ]


def _faults(document: object) -> list[str]:
    with pytest.raises(InvalidExperiment) as caught:
        parsing.parse(document)
    return [str(fault) for fault in caught.value.faults]


def test_an_edit_is_compared_with_what_was_there_before() -> None:
    before = worlds.document()
    assert parsing.changed(before, before) == []
    assert parsing.changed(before, worlds.document(maxTrials=20, suspend=True)) == []
    edited = worlds.document(
        objectives=before["spec"]["objectives"][::-1], parameters=before["spec"]["parameters"][:1]
    )
    assert [str(fault) for fault in parsing.changed(before, edited)] == [
        "spec.objectives: objectives are immutable but for their thresholds, so give the"
        " experiment another name",
        "spec.parameters: the search space is immutable, so give the experiment another name",
    ]


def test_no_rule_on_edits_stands_within_a_list() -> None:
    """There `changed` does not know which item was which."""
    assert [path for path, rule in RULES if "oldSelf" in rule["rule"] and "[]" in path] == []
