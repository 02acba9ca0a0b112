"""What the routes of campaigns show and an upper layer knows; pushpilot.api fills it."""

from __future__ import annotations

from collections.abc import Callable

from campaigns.models import Run


def _closed(run: Run) -> dict[str, int]:
    """What is known of a run without the ledger: all of one that has ended."""
    return dict(run.tally)


# {reason slug: recipients} of a run at this moment
tally_of: Callable[[Run], dict[str, int]] = _closed
