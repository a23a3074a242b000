"""Dataclasses to JSON and back, by the type hints of their fields. ``request`` uses it.

A hint is a dataclass, an enum, a mapping from names, a sequence, ``str``, ``int``, ``float``,
``bool``, or one of these or None. Where the values of a mapping or a sequence have a rule of their
own, the field names it: ``field(metadata={RULE: faults})``. ``faults`` is a function that takes the
mapping or the list as it was given, and returns every fault as a sentence.

A field that a later release has added is marked ``field(metadata={LATER: True})``. It is written
only where it has another value than its default: an earlier release reads what does not use it, and
its text, by which requests are told apart, is the same.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

RULE: Final = "rule"
LATER: Final = "later"

T = TypeVar("T")


def encode(value: Any) -> str:
    """Write a dataclass as JSON. Its keys are sorted, so equal values are equal texts."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Return a dataclass as what JSON has, without later fields that have their default."""
    if is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name))
            for field in fields(value)
            if LATER not in field.metadata or getattr(value, field.name) != field.default
        }
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    return value


def decode(cls: type[T], document: object, faults: list[str], path: str = "") -> T | None:
    """Build a dataclass from what JSON gave.

    A field that is missing has its default, or None where its type allows None.

    Args:
        cls: the dataclass.
        document: should be an object of JSON.
        faults: gets every fault, as a sentence with the path of its field.
        path: where the document stands in the whole one.

    Returns:
        The dataclass; None if the document has a fault.
    """
    where, before = path or "the request", len(faults)
    if not isinstance(document, dict):
        faults.append(f"{where} must be an object, but got {document!r}")
        return None
    known: dict[str, Field[Any]] = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    hints, values, missing = get_type_hints(cls), {}, []
    faults += [
        f"{_below(path, name)}: no such field; known are {', '.join(known)}"
        for name in document
        if name not in known
    ]
    for name, field in known.items():
        if name in document:
            rule = field.metadata.get(RULE)
            values[name] = _value(hints[name], document[name], faults, _below(path, name), rule)
        elif field.default is MISSING and field.default_factory is MISSING:
            if NoneType in _kinds(hints[name]):
                values[name] = None
            else:
                missing.append(name)
    if missing:
        faults.append(f"{where}: these fields must be given: {', '.join(missing)}")
    return cls(**values) if len(faults) == before else None


def _value(hint: Any, given: object, faults: list[str], path: str, rule: Any = None) -> Any:
    """Return the value of a field; note its faults."""
    kinds = _kinds(hint)
    if given is None and NoneType in kinds:
        return None
    origin: Any = get_origin(kinds[0]) or kinds[0]
    if is_dataclass(origin):
        return decode(kinds[0], given, faults, path)
    if issubclass(origin, Enum):
        return _member(origin, given, faults, path)
    if origin is Mapping:
        return _mapping(get_args(kinds[0])[1], given, faults, path, rule)
    if origin is Sequence:
        return _sequence(get_args(kinds[0])[0], given, faults, path, rule)
    return _scalar(kinds, given, faults, path)


def _member(kind: type[Enum], given: object, faults: list[str], path: str) -> Enum | None:
    values = [member.value for member in kind]
    if given in values:
        return kind(given)
    faults.append(f"{path} must be one of {', '.join(map(str, values))}, but got {given!r}")
    return None


def _mapping(inner: Any, given: object, faults: list[str], path: str, rule: Any) -> object:
    if not isinstance(given, dict):
        faults.append(f"{path} must be an object, but got {given!r}")
    elif rule:
        faults += rule(given)
    else:
        return {n: _value(inner, value, faults, f"{path}.{n}") for n, value in given.items()}
    return given


def _sequence(inner: Any, given: object, faults: list[str], path: str, rule: Any) -> object:
    if not isinstance(given, list):
        faults.append(f"{path} must be a list, but got {given!r}")
        return ()
    if rule:
        faults += rule(given)
        return tuple(given)
    return tuple(_value(inner, v, faults, f"{path}[{i}]") for i, v in enumerate(given))


def _scalar(kinds: tuple[Any, ...], given: object, faults: list[str], path: str) -> object:
    # A whole number stands for a float as well: few programs write 1.0 where 1 says the same.
    types = tuple(t for kind in kinds for t in ((int, float) if kind is float else (kind,)))
    if not isinstance(given, types) or (isinstance(given, bool) and bool not in types):
        names = " or ".join(t.__name__ for t in types)
        faults.append(f"{path} must be of type {names}, but got {given!r}")
    return given


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is UnionType else (hint,)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
