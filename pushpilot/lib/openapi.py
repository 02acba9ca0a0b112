"""The parts of the OpenAPI document that ninja does not write: bodies that it does not parse, and
the errors of every operation."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from pushpilot.lib.problems import CONTENT_TYPE

# {status: (code, detail)} of an example.
REFUSALS: dict[int, tuple[str, str]] = {
    400: ("malformed_json", "The body is not valid JSON: it ends in the middle."),
    401: ("token_expired", "This access token has expired. Get a new one with your refresh token."),
    403: ("scope_missing", "This API key lacks the scope `campaigns:send`, so it may not do this."),
    404: ("not_found", "There is no such thing here."),
    409: ("refused", "The campaign is being sent. Cancel the send before you edit the campaign."),
    412: ("changed_meanwhile", "Somebody has changed this since you read it."),
    413: ("too_large", "The body is too large."),
    415: ("unsupported_media_type", "Send the body as application/json."),
    422: ("invalid", "name: There is no such field. Take it out."),
    429: ("too_many_requests", "More than 600 requests in a minute. Try again later."),
    503: ("busy", "The database did not answer in time. Send the request again."),
}
_TEXT = {"type": "string"}
PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "An error (RFC 9457). `code` is for programs, `detail` for people.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "code": _TEXT,
        "detail": _TEXT,
        "errors": {
            "description": "Of a 422: what is wrong with which field, at most twenty.",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {"field": _TEXT, "code": _TEXT, "detail": _TEXT},
            },
        },
        "more": {"description": "How many errors are not listed.", "type": "integer"},
        "current": {"description": "Of a 412: the state as it is now.", "type": "object"},
    },
}
RATE_HEADERS = {
    "RateLimit-Limit": "How many requests a minute has.",
    "RateLimit-Remaining": "How many are left in this minute.",
    "RateLimit-Reset": "In how many seconds the next minute begins.",
}
# Security schemes of operations that work in the workspace of X-Workspace-ID.
WORKSPACE_SCHEMES = {"Access"}
WORKSPACE_HEADER = {
    "in": "header",
    "name": "X-Workspace-ID",
    "required": False,
    "description": "The id or slug of the workspace, for a person who is in several.",
    "schema": {"type": "string", "maxLength": 60},
}


def refusals(*statuses: int) -> dict[str, Any]:
    """For `openapi_extra`: errors that `complete` does not see an operation by."""
    return {"responses": {status: refusal(status) for status in statuses}}


def refusal(status: int, description: str = "") -> dict[str, Any]:
    code, detail = REFUSALS[status]
    example = {
        "type": f"about:blank#{code}",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
    }
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    return {
        "description": description or HTTPStatus(status).phrase,
        "content": {CONTENT_TYPE: content},
    }


def complete(document: dict[str, Any]) -> None:
    """Add to every operation the errors that it may answer, with an example, the headers of its
    answers, and X-Workspace-ID."""
    components = document["components"]
    components["schemas"]["Problem"] = PROBLEM
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    schemes = {name for one in operation.get("security", ()) for name in one}
    parameters = operation.setdefault("parameters", [])
    if schemes & WORKSPACE_SCHEMES and "{workspace}" not in path:
        parameters.append(WORKSPACE_HEADER)
    responses = operation["responses"]
    for status in sorted(_expected(path, method, operation, schemes)):
        known = responses.pop(str(status), responses.pop(status, {}))
        responses[str(status)] = refusal(status, known.get("description", ""))
    for status in list(responses):
        answer = responses.pop(status)
        headers = {
            name: {"description": words, "schema": {"type": "integer"}}
            for name, words in RATE_HEADERS.items()
        }
        responses[str(status)] = {**answer, "headers": headers}


def _expected(path: str, method: str, operation: dict[str, Any], schemes: set[str]) -> set[int]:
    named = {(one["in"], one["name"]) for one in operation["parameters"]}
    found = {400, 422, 429, 503, 401, 403}
    if "{" in path or schemes & WORKSPACE_SCHEMES:
        found.add(404)
    if method != "get":
        found |= {409}
    if "requestBody" in operation:
        found |= {413, 415}
    if ("header", "If-Match") in named:
        found.add(412)
    return found


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
