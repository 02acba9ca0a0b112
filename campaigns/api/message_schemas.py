"""The parts of the OpenAPI document that come from the channels, and fields whose values the verbs
judge."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from campaigns.channels import registry
from campaigns.channels.base import Channel, Option

_JSON_TYPES: dict[type, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    dict: {"type": "object", "additionalProperties": {"type": "string"}},
}


def text(limit: int, description: str) -> Any:
    return Field(description=description, json_schema_extra={"maxLength": limit})


def choice(values: list[str], description: str = "", *, or_null: bool = False) -> Any:
    named: list[Any] = [*values, None] if or_null else [*values]
    return Field(description=description or None, json_schema_extra={"enum": named})


def with_message_fields(schema: dict[str, Any]) -> None:
    """Add the fields of all channels to those of the model."""
    for channel in registry.CHANNELS.values():
        for name, described in _message_schema(channel).items():
            schema["properties"].setdefault(name, described)
    schema["additionalProperties"] = False


def _message_schema(channel: Channel) -> dict[str, Any]:
    found = {
        field.name: {"type": "string", "maxLength": field.limit_characters}
        for field in channel.fields
    }
    found |= {option.name: _option_schema(option) for option in channel.options}
    for other, name in channel.other_names.items():
        found[other] = {**found[name], "description": f"Another name of `{name}`, in requests."}
    return {name: {"title": name, **described} for name, described in found.items()}


def _option_schema(option: Option) -> dict[str, Any]:
    if option.parts:
        parts = {name: {"type": "string"} for name in option.parts}
        item = {"type": "object", "properties": parts, "additionalProperties": False}
        return {"type": "array", "items": item}
    found = dict(_JSON_TYPES[option.takes])
    if option.limit_characters:
        found["maxLength"] = option.limit_characters
    return found
