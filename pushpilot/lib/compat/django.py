"""Django."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.http import HttpRequest


def pages_of(site: AdminSite) -> dict[type[Model], Any]:
    """{model: its page}; the site itself tells of one model at a time, and raises for one that
    it does not have."""
    found: dict[type[Model], Any] = site._registry
    return found


def is_marked_for_deletion(formset: Any, row: Any) -> bool:
    """Whether the person ticked "delete" beside a row; `deleted_forms` is empty while any row is
    invalid."""
    return bool(formset.can_delete and formset._should_delete_form(row))


def set_address(request: HttpRequest, url: str) -> None:
    """What HttpRequest.build_absolute_uri puts before a path."""
    request._current_scheme_host = url  # type: ignore[attr-defined]
