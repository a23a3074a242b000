"""PURE: turns a pydantic model into a structural OpenAPI schema, the form that a CRD asks for.

It knows no model of ours: :mod:`distillery_operator.resource.crd.definition` has them turned.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from distillery_operator.resource.crd import cel

Schema = dict[str, Any]

OPEN: Final = {"x-kubernetes-preserve-unknown-fields": True}
"""Lets an object keep what the schema does not know."""
KEPT: Final = (
    "type", "enum", "required", "pattern", "minLength", "maxLength", "minItems", "maxItems",
    "x-kubernetes-preserve-unknown-fields",
)  # fmt: skip


def structural(model: type[BaseModel], path: str, more: Mapping[str, Schema]) -> Schema:
    """Return the schema of a model.

    Args:
        model: whose fields are described.
        path: of the model within the resource, such as ``spec``.
        more: what pydantic does not know of a node, by its path, such as ``spec.parameters[]``.
    """
    document = model.model_json_schema(by_alias=True)
    return _node(document, path, more, document.get("$defs", {}))


def _node(found: Schema, path: str, more: Mapping[str, Schema], models: Schema) -> Schema:
    source = _plain(found, models)
    made: Schema = {"description": _description(source, path)} if "description" in source else {}
    made |= {key: source[key] for key in KEPT if key in source}
    if "properties" in source:
        made["properties"] = {
            name: _node(part, f"{path}.{name}", more, models)
            for name, part in source["properties"].items()
        }
    others = source.get("additionalProperties", False)
    if others is not False:
        part = {} if others is True else _node(others, f"{path}.*", more, models)
        made |= {"additionalProperties": part} if part else OPEN
    if "items" in source:
        made["items"] = _node(source["items"], f"{path}[]", more, models)
    return made | _bounds(source) | more.get(path, {})


def _plain(found: Schema, models: Schema) -> Schema:
    """Resolve a reference, drop an alternative null, take an integer or a number for a number."""
    rest = {key: part for key, part in found.items() if key not in ("$ref", "anyOf")}
    if "$ref" in found:
        return _plain(models[found["$ref"].rpartition("/")[2]], models) | rest
    parts = [part for part in found.get("anyOf", []) if part != {"type": "null"}]
    if parts == [{"type": "integer"}, {"type": "number"}]:
        return {"type": "number"} | rest
    if parts:
        (part,) = parts
        return _plain(part, models) | rest
    return rest


def _description(source: Schema, path: str) -> str:
    """Return a description that ends with the range and, where a user may write, the default.

    ``kubectl explain`` shows neither. And a default that the schema has is written into every
    object: then an object differs from the file that it came from, and a later version of
    Distillery cannot tell a wish from an old default.
    """
    low, high, above = _range(source)
    parts = [source["description"]]
    if low is not None and high is not None:
        parts.append(f"From {low:.10g} to {high:.10g}.")
    elif low is not None:
        parts.append(f"At least {low:.10g}.")
    elif above is not None:
        parts.append(f"Above {above:.10g}.")
    default = source.get("default") if path.startswith("spec.") else None
    if default not in (None, {}, [], ""):
        shown = default if isinstance(default, str) else json.dumps(default)
        parts.append(f"Default: {shown}.")
    return " ".join(parts)


def _range(source: Schema) -> tuple[float | None, float | None, float | None]:
    """Return the bounds of a number; pydantic calls them ge, le, gt where it is optional."""
    return (
        source.get("minimum", source.get("ge")),
        source.get("maximum", source.get("le")),
        source.get("exclusiveMinimum", source.get("gt")),
    )


def _bounds(source: Schema) -> Schema:
    low, high, above = _range(source)
    if any(isinstance(bound, float) and not bound.is_integer() for bound in (low, high)):
        return {"x-kubernetes-validations": cel.bounds(low, high)}
    made: Schema = {} if low is None else {"minimum": low}
    if above is not None:
        made |= {"minimum": above, "exclusiveMinimum": True}
    return made if high is None else {**made, "maximum": high}
