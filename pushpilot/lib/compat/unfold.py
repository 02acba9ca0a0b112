"""Unfold."""

from __future__ import annotations

from typing import Any


def actions_of(page: Any) -> dict[str, list[Any]]:
    """{place: actions of Unfold's kind} as they are declared; the public methods want a request and leave out what its
    user may not do."""
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
