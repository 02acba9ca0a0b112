"""A provider that refuses us."""

import itertools

from delivery.providers.base import Outcome, Verdict
from delivery.providers.fcm.sender import FcmSender


def broken(monkeypatch, every: int = 1) -> None:
    """The provider refuses us for good, at every `every`-th message."""
    real, count = FcmSender.poll, itertools.count()

    def said(one: Outcome) -> Outcome:
        return (
            one
            if next(count) % every
            else Outcome(one.message_id, Verdict.BROKEN, "PERMISSION_DENIED")
        )

    monkeypatch.setattr(
        FcmSender, "poll", lambda sender, secs: [said(one) for one in real(sender, secs)]
    )
