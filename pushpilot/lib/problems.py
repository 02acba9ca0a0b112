"""Errors of the API, named by what the caller can do about them."""

from __future__ import annotations

from typing import Any


class Problem(Exception):
    """Answered as application/problem+json with this status, machine-readable code and sentence."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers, self.extra = status, code, detail, headers, extra
