"""PURE: parts of a pod template of any shape, as a user may give it."""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

TRAINER: Final = "trainer"
"""Name of the container that speaks the contract."""


def trainer(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a pod's own container named trainer, or nothing."""
    return next((c for c in items(spec, "containers") if c.get("name") == TRAINER), {})


def part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a nested object; nothing where there is none."""
    part = document.get(key)
    return part if isinstance(part, dict) else {}


def items(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return a nested list of objects; nothing where there is none."""
    part = document.get(key)
    return list(part) if is_list_of_objects(part) else []


def names(document: Mapping[str, Any], key: str) -> list[Any]:
    """Return the names of a nested list of objects."""
    return [item.get("name") for item in items(document, key)]


def is_list_of_objects(value: object) -> TypeGuard[list[Mapping[str, Any]]]:
    """Tell whether a value is a list of objects."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
