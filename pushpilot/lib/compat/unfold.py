"""Unfold."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def actions_of(page: Any) -> dict[str, list[Any]]:
    """{place: actions of Unfold's kind} as they are declared; the public methods want a request
    and leave out what its user may not do."""
    return {
        "list": page._get_base_actions_list(),
        "row": page._get_base_actions_row(),
        "detail": page._get_base_actions_detail(),
        "submit line": page._get_base_actions_submit_line(),
    }


def bulk_actions_of(page: Any) -> list[tuple[Any, str, str]]:
    """(function, name, description) of the actions on ticked rows, as they are declared."""
    found: list[tuple[Any, str, str]] = page._get_base_actions()
    return found


def setting(site: Any, name: str, request: HttpRequest, part: str = "") -> Any:
    """A value of the UNFOLD settings for this request: functions in it are called, by their
    dotted paths, too."""
    found = site._get_config(name, request)
    return site._get_value(found[part] if part else found, request)
