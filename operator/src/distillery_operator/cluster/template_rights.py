"""PURE: what a pod template must not reach: API tokens, and what is the operator's own.

An administrator may allow it (``--allow-credentials``); then nobody asks here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from distillery_operator.resource import sentences

TOKEN: Final = "automountServiceAccountToken"


def faults(
    spec: Mapping[str, Any], namespace: str, private: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yield the field and the rule of whatever a pod's spec must not have.

    Args:
        spec: of the pod.
        namespace: of the experiment.
        private: Secrets and claims of the operator, as ``namespace/name``.
    """
    if spec.get(TOKEN):
        yield TOKEN, f"must be false or absent, but got {sentences.shown(spec[TOKEN])}"
    for path, key, value in _walk(spec, ""):
        if key == "serviceAccountToken":
            yield path, "must be absent: trials hold no API token"
        elif key in ("secretName", "claimName", "name") and f"{namespace}/{value}" in private:
            if key == "name" and not _of_secret(path):
                continue
            yield path, f"must not be {sentences.shown(value)}, which is the operator's own"


def _of_secret(path: str) -> bool:
    """Tell whether a field ``name`` is that of a Secret."""
    parent = path.split(".")[-2] if "." in path else ""
    return parent in ("secret", "secretRef", "secretKeyRef")


def _walk(part: object, path: str) -> Iterator[tuple[str, str, object]]:
    """Yield each field of a document: its path, its key, its value."""
    if isinstance(part, dict):
        for key, value in part.items():
            place = f"{path}.{key}" if path else str(key)
            yield place, str(key), value
            yield from _walk(value, place)
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from _walk(value, f"{path}[{number}]")
