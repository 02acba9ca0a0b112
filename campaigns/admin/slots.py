"""Slots on the pages of this layer: upper layers fill them, the root wiring (pushpilot.sites)
says with what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from django.http import HttpRequest

from campaigns.models import Campaign, Contact

# Each panel gives safe HTML, or "" for nothing.
CAMPAIGN_PANELS: list[Callable[[HttpRequest, Campaign], str]] = []
CONTACT_PANELS: list[Callable[[HttpRequest, Contact], str]] = []
# Why the campaign's open runs do not move, as a sentence, or "".
OBSTACLES: list[Callable[[Campaign], str]] = []


class UpperPages(Protocol):
    """Addresses of the pages that an upper layer brings and pages of this layer lead to."""

    def run(self, run_id: int) -> str: ...

    def edit_message(self, run_id: int) -> str:
        """Where the message of a run is edited while the run is under way."""
        ...

    def check_message(self) -> str:
        """What the preview asks whether the provider would take the message."""
        ...

    def send_test(self) -> str:
        """What sends the message as a test to a contact or an address."""
        ...


pages: UpperPages
