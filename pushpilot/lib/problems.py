"""Errors of the API, named by what the caller can do about them, as problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse, JsonResponse

CONTENT_TYPE = "application/problem+json"
BUSY = ("busy", "The database did not answer in time. Look whether it was written, and send it again.")


class Problem(Exception):
    """Answered as application/problem+json with this status, machine-readable code and sentence."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers, self.extra = status, code, detail, headers, extra


def invalid(errors: list[dict[str, str]]) -> Problem:
    """422 for fields: [{"field", "code", "detail"}, …], of which the first is the sentence."""
    return Problem(422, "invalid", f"{errors[0]['field']}: {errors[0]['detail']}", errors=errors)


def invalid_fields(found: Mapping[str, Iterable[ValidationError]]) -> Problem:
    """The same for what a Django form or model found: {field: errors}."""
    return invalid(
        [
            {"field": field, "code": error.code or "invalid", "detail": error.messages[0]}
            for field, errors in found.items()
            for error in errors
        ]
    )


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None, **extra: Any) -> HttpResponse:
    """The answer itself."""
    body = {"type": f"about:blank#{code}", "title": code.replace("_", " "), "status": status, "code": code}
    return JsonResponse({**body, "detail": detail, **extra}, status=status, headers=headers, content_type=CONTENT_TYPE)
