"""ETag and If-Match: of two editors with the same state the second one is told, and overwrites
nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from pushpilot.lib.problems import Problem

_IF_MATCH: dict[str, Any] = {
    "in": "header",
    "name": "If-Match",
    "required": False,
    "description": "The `ETag` of the state that you read. If it has changed since, the answer is "
    "412 with the state as it is now.",
    "schema": {"type": "string", "maxLength": 400},
}

DOCUMENTED: dict[str, Any] = {"parameters": [_IF_MATCH]}
"""`openapi_extra` of a route that calls `expect`."""


class Versioned(Protocol):
    """Every change of what the API tells of a row moves `updated_at`, or its `version` if it has
    one."""

    pk: Any
    updated_at: datetime


V = TypeVar("V", bound=Versioned)


def of(row: Versioned) -> str:
    version = getattr(row, "version", "")
    return f'"{row.pk}-{row.updated_at:%Y%m%d%H%M%S%f}{version}"'


def put(response: HttpResponse, row: Versioned) -> None:
    """Tell the version of the row that is answered. A route asks ninja for the response as a
    parameter of its own."""
    response.headers["ETag"] = of(row)


def expect(request: HttpRequest, row: V, tell: Callable[[V], Any]) -> None:
    """Compare If-Match with the row. Call in the transaction that holds the row locked, before
    anything is written. Raises Problem 412 with `current`, what `tell` says of the row."""
    wanted = request.headers.get("If-Match", "").strip()
    versions = {one.strip().removeprefix("W/") for one in wanted.split(",")}
    if not wanted or wanted == "*" or of(row) in versions:
        return
    detail = _(
        "Somebody has changed this since you read it. Compare your changes with `current` and send "
        "them again with its ETag."
    )
    headers = {"ETag": of(row)}
    raise Problem(412, "changed_meanwhile", detail, headers=headers, current=tell(row))
