"""PURE: what the rules of the definition say of a document, here instead of on the API server.

:mod:`distillery_operator.resource.parsing` asks for it, so that a file obeys the very rules that
the API server has: those in ``x-kubernetes-validations``, and the keys of lists. Types, names and
bounds of single fields are left to pydantic, whose models the schema is made from.
"""

import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from distillery_operator.errors import Fault
from distillery_operator.resource import sentences
from distillery_operator.resource.crd import definition, programs
from distillery_operator.resource.crd.cel import Rule
from distillery_operator.resource.sentences import Path

METADATA: Final = {"type": "object", "properties": {"name": {"type": "string"}}}
"""What rules see of an object's metadata."""


class Node(NamedTuple):
    """A part of a document that the schema knows."""

    schema: Mapping[str, Any]
    value: Any
    path: Path

    def rules(self, on_edits: bool) -> list[Rule]:
        """Return the rules that stand here: those on edits, or all others."""
        found = self.schema.get("x-kubernetes-validations", [])
        return [rule for rule in found if ("oldSelf" in rule["rule"]) == on_edits]


def broken(document: Mapping[str, Any], faulty: Collection[Path]) -> Iterator[Fault]:
    """Find the rules that a document breaks.

    A rule that looks at a faulty part is skipped, so that its fault makes up no other. All other
    rules are evaluated, so that it hides none.

    Args:
        document: an experiment, each part of which has the type of the schema or is faulty.
        faulty: the parts that have not, or that are missing though required.
    """
    for node in _nodes(document, faulty):
        rules = [r for r in node.rules(on_edits=False) if not _looks_at(r, node.path, faulty)]
        if rules:
            scope = programs.Scope({"self": node.value})
            yield from (fault for rule in rules for fault in _verdict(rule, node.path, scope))
        yield from _repeated(node)


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Fault]:
    """Find the rules on edits that a sound experiment breaks, given the sound one before it.

    The items of a list have no rules on edits: which of the old ones became which cannot be told
    from their places.
    """
    before = {node.path: node.value for node in _nodes(old, ())}
    for node in _nodes(new, ()):
        rules = node.rules(on_edits=True)
        if rules and node.path in before:
            scope = programs.Scope({"self": node.value, "oldSelf": before[node.path]})
            yield from (fault for rule in rules for fault in _verdict(rule, node.path, scope))


def _verdict(rule: Rule, path: Path, scope: programs.Scope) -> Iterator[Fault]:
    if not scope.value(rule["rule"]):
        said = rule.get("message") or scope.value(rule["messageExpression"])
        yield Fault(sentences.place((*path, *rule.get("fieldPath", "").split(".")[1:])), said)


def _repeated(node: Node) -> Iterator[Fault]:
    """Find the items of a list that have the key of an item before them."""
    names = node.schema.get("x-kubernetes-list-map-keys", [])
    seen = []
    for place, item in enumerate(node.value if names else []):
        key = {name: item.get(name) for name in names} if item else {}
        if key in seen:
            said = sentences.DUPLICATE.format(value=sentences.shown(key))
            yield Fault(sentences.place((*node.path, place)), said)
        if key and None not in key.values():
            seen.append(key)


def _looks_at(rule: Rule, path: Path, faulty: Collection[Path]) -> bool:
    """Tell whether a rule needs a part that is faulty itself, or lies within one that is."""
    texts = (rule["rule"], rule.get("messageExpression", ""))
    looked_at = [(*path, *steps) for text in texts for steps in programs.parts(text)]
    return any(_leads(fault, part) for fault in faulty for part in looked_at)


def _leads(fault: Path, part: Path) -> bool:
    return len(fault) <= len(part) and all(
        step == other or (other == programs.EACH and isinstance(step, int))
        for step, other in zip(fault, part, strict=False)
    )


@functools.cache
def _schema() -> Mapping[str, Any]:
    """Return the schema of what rules look at."""
    whole = definition.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return {**whole, "properties": {"metadata": METADATA, "spec": whole["properties"]["spec"]}}


def _nodes(document: Mapping[str, Any], faulty: Collection[Path]) -> Iterator[Node]:
    """Walk over the sound parts of a document."""
    schema = _schema()
    return _below(Node(schema, _seen(schema, document, (), frozenset(faulty)), ()))


def _below(node: Node) -> Iterator[Node]:
    schema, value, path = node
    yield node
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _below(Node(schema["properties"][name], part, (*path, name)))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            if item is not None:
                yield from _below(Node(schema["items"], item, (*path, place)))


def _seen(schema: Mapping[str, Any], value: Any, path: Path, faulty: Collection[Path]) -> Any:
    """Return a value as rules see it: known fields alone, numbers by their type; None for no value.

    None stands also for what is faulty, and for objects whose fields the schema does not know.
    """
    if path in faulty:
        return None
    if value is None:
        return schema.get("default")
    match schema.get("type"):
        case "object":
            parts = {
                name: _seen(part, value.get(name), (*path, name), faulty)
                for name, part in schema.get("properties", {}).items()
            }
            return {name: part for name, part in parts.items() if part is not None}
        case "array":
            return [_seen(schema["items"], v, (*path, i), faulty) for i, v in enumerate(value)]
        case "number":
            return float(value)
        case "integer":
            return int(value)
    return value
