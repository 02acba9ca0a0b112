"""Slots of the delivery pages that upper layers fill; the root wiring appends to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.http import HttpRequest
from django.utils.safestring import SafeString

from campaigns.models import Run

# A panel of the run page: its HTML, "" for none.
RUN_PANELS: list[Callable[[HttpRequest, Run], SafeString]] = []

# What became of messages after the provider took them, in words: {message id: ["delivered",
# "opened"]}.
MESSAGE_STATES: list[Callable[[list[int]], dict[int, list[str]]]] = []


def panels(request: HttpRequest, run: Run) -> list[SafeString]:
    return [html for panel in RUN_PANELS if (html := panel(request, run))]


def states_of(message_ids: Iterable[int]) -> dict[int, list[str]]:
    """The later states of these messages, from every source, in the sources' order."""
    ids = list(message_ids)
    found: dict[int, list[str]] = {}
    for source in MESSAGE_STATES if ids else ():
        for message_id, words in source(ids).items():
            found.setdefault(message_id, []).extend(words)
    return found
