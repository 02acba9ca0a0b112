"""How long the retries of a run may still last."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Max, Min

from campaigns.audience.reasons import Reason
from campaigns.models import Run
from delivery.engine.outcomes import JITTER
from delivery.models import Message
from delivery.providers.base import Manners
from delivery.providers.registry import provider_of

LOOKED_FOR_EVERY_SECS = 5


def over_at(run: Run) -> datetime | None:
    """About when the last retry of the run is over, if every one fails. None if nobody can say: tries that certainly
    never arrived are not counted.

    Reads every row of the run, 0.1 s per million, so open pages share the answer for some seconds.
    """
    if run.connection is None:
        return None
    manners = provider_of(run.connection.provider).manners
    key = f"run-retries:{run.pk}:{run.epoch}"
    kept: tuple[datetime | None] | None = cache.get(key)
    if kept is None:
        rows = Message.objects.filter(run=run, reason=Reason.RETRY_SCHEDULED)
        found = rows.aggregate(due=Max("due_at"), least=Min("retries"))
        kept = (found["due"] + longest_wait(manners, found["least"]) if found["least"] else None,)
        cache.set(key, kept, timeout=LOOKED_FOR_EVERY_SECS)
    (last,) = kept
    return min(last, run.ends_at) if last and run.ends_at else last


def longest_wait(manners: Manners, retries: int) -> timedelta:
    """Total back-off still ahead of a row after `retries` failed attempts."""
    doubled = sum(2**n for n in range(retries, manners.retries_most - 1))
    return timedelta(seconds=sum(JITTER) / 2 * manners.retry_wait_secs * doubled)
