"""Errors of the API, named by what the caller can do about them, as problem+json (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushpilot.lib.display import Words

CONTENT_TYPE = "application/problem+json"
LISTED_ERRORS = 20
FIELD_CHARS = 100
BUSY: tuple[str, Words] = (
    "busy",
    gettext_lazy(
        "The database did not answer in time. Check whether it stored the request, then send it "
        "again."
    ),
)


class Problem(Exception):
    """Answered as application/problem+json with this status, machine-readable code and sentence."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers, self.extra = (
            status,
            code,
            detail,
            headers,
            extra,
        )


def invalid(errors: list[dict[str, str]]) -> Problem:
    """422 for fields: [{"field", "code", "detail"}, …]. The first one is the sentence. The answer
    lists the first twenty, and how many `more` there are: it must not grow with what was sent."""
    listed = [{**error, "field": error["field"][:FIELD_CHARS]} for error in errors[:LISTED_ERRORS]]
    more: dict[str, Any] = {"more": len(errors) - len(listed)} if len(errors) > len(listed) else {}
    return Problem(
        422, "invalid", f"{listed[0]['field']}: {listed[0]['detail']}", errors=listed, **more
    )


def too_many_attempts(wait_secs: float) -> Problem:
    detail = _("Too many attempts. Wait and try again.")
    return Problem(
        429, "too_many_attempts", detail, headers={"Retry-After": str(math.ceil(wait_secs))}
    )


def invalid_fields(found: Mapping[str, Iterable[ValidationError]]) -> Problem:
    """The same for what a Django form or model found: {field: errors}."""
    return invalid(
        [
            {"field": field, "code": error.code or "invalid", "detail": error.messages[0]}
            for field, errors in found.items()
            for error in errors
        ]
    )


def problem(
    status: int, code: str, detail: Words, headers: dict[str, str] | None = None, **extra: Any
) -> HttpResponse:
    """The answer itself."""
    body = {
        "type": f"about:blank#{code}",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
    }
    return JsonResponse(
        {**body, "detail": str(detail), **extra},
        status=status,
        headers=headers,
        content_type=CONTENT_TYPE,
    )
