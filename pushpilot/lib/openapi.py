"""OpenAPI schemas of bodies that ninja does not parse."""

from __future__ import annotations

from typing import Any

import msgspec


def schema_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON schema of a msgspec struct with every reference put in place: an operation has
    nowhere to keep them.

    Structs that contain themselves cannot be written like this.
    """
    (schema,), parts = msgspec.json.schema_components((struct,), ref_template="{name}")
    placed: dict[str, Any] = _in_place(schema, parts)
    return placed


def _in_place(node: Any, parts: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            return _in_place(parts[node["$ref"]], parts)
        return {key: _in_place(value, parts) for key, value in node.items()}
    if isinstance(node, list):
        return [_in_place(value, parts) for value in node]
    return node
