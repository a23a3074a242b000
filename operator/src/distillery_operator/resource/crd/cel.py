"""PURE: writes rules in CEL, in the form in which a CRD asks for them.

It runs none: :mod:`distillery_operator.resource.crd.programs` does.
"""

from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any

from distillery_operator.resource import sentences

Rule = dict[str, Any]
REQUIRED, FORBIDDEN = "FieldValueRequired", "FieldValueForbidden"


def rule(
    holds: str, sentence: str, field: str = "", reason: str = "", when: str = "", **filled: str
) -> Rule:
    """Return an entry of ``x-kubernetes-validations``.

    Args:
        holds: the expression that must be true.
        sentence: what is said otherwise, a template.
        field: below this node, to which the sentence belongs.
        reason: what the server calls it instead of FieldValueInvalid.
        when: the expression on which the rule depends.
        filled: expressions for the template's places.
    """
    made = {"rule": f"{when} ? {holds} : true" if when else holds}
    made |= _formatted(sentence, filled) if filled else {"message": sentence}
    if field:
        made["fieldPath"] = f".{field}"
    if reason:
        made["reason"] = reason
    return made


def bounds(low: float | None, high: float | None) -> list[Rule]:
    """Return the bounds of a number where one is a fraction.

    The server's own check cuts the bounds to whole numbers where the value is whole, and would take
    0 for something that is at least 0.001.
    """
    found = []
    for name, key, sign, bound in (
        ("greater_than_equal", "ge", ">=", low),
        ("less_than_equal", "le", "<=", high),
    ):
        if bound is not None:
            said = sentences.OF_FIELD[name].format(**{key: sentences.number(bound)})
            found.append(
                rule(f"self {sign} {float(bound)!r}", f"{said}, but got {{value}}", value="self")
            )
    return found


def _formatted(sentence: str, filled: Mapping[str, str]) -> dict[str, str]:
    """Fill a template in CEL. format: the server reckons that joined texts cost too much."""
    names = [name for _, name, _, _ in Formatter().parse(sentence) if name]
    template = sentence.replace("%", "%%").format(**dict.fromkeys(names, "%s"))
    places = ", ".join(filled[name] for name in names)
    return {"messageExpression": f"{text(template)}.format([{places}])"}


def text(words: str) -> str:
    """Write a text."""
    return "'" + words.replace("\\", "\\\\").replace("'", "\\'") + "'"


def texts(names: Iterable[str]) -> str:
    """Write a list of texts."""
    return f"[{', '.join(text(name) for name in names)}]"


def mapping(entries: Iterable[tuple[str, str]]) -> str:
    """Write a map from texts to expressions."""
    return f"{{{', '.join(f'{text(name)}: {value}' for name, value in entries)}}}"


def only(names: Iterable[str], sentence: str) -> Rule:
    """Refuse unknown names in an object whose schema lists the known ones and keeps the others.

    CEL neither sees nor names a field that the schema does not list, but it counts it.
    """
    listed = ", ".join(f"has(self.{name})" for name in names)
    return rule(f"size(dyn(self)) == [{listed}].filter(given, given).size()", sentence)
