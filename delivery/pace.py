"""How fast a connection may send: one token bucket in the database, shared by all workers."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from delivery.models import Pace
from tenants.models import Connection

BURST = timedelta(seconds=1)


def take(connection: Connection, wanted: int, now: datetime) -> int:
    """How many of `wanted` messages may go now. Call inside the transaction that moves the fence: it locks the bucket
    until that commits."""
    if wanted <= 0:
        return 0
    capacity = connection.per_second * BURST.total_seconds()
    bucket = Pace.objects.select_for_update().filter(pk=connection.pk).first()
    if bucket is None:
        fresh = Pace(connection=connection, tokens=capacity, refilled_at=now)
        Pace.objects.bulk_create([fresh], ignore_conflicts=True)  # another worker may be first
        bucket = Pace.objects.select_for_update().get(pk=connection.pk)
    if bucket.closed_until is not None and bucket.closed_until > now:
        return 0
    elapsed_secs = max(0.0, (now - bucket.refilled_at).total_seconds())
    tokens = min(capacity, bucket.tokens + elapsed_secs * connection.per_second)
    granted = min(wanted, int(tokens))
    # A worker whose clock is behind must not turn the bucket's clock back: that would refill the same second twice.
    Pace.objects.filter(pk=bucket.pk).update(
        tokens=tokens - granted, refilled_at=max(now, bucket.refilled_at), closed_until=None
    )
    return granted


def close(connection: Connection, until: datetime) -> None:
    """The provider said Retry-After: nobody takes anything before `until`."""
    mine = Pace.objects.filter(pk=connection.pk)
    mine.filter(Q(closed_until__isnull=True) | Q(closed_until__lt=until)).update(closed_until=until)


def opens_in(connection: Connection, now: datetime) -> timedelta:
    """How long until at least one message may go; zero if it may now."""
    bucket = Pace.objects.filter(pk=connection.pk).first()
    if bucket is None:
        return timedelta()
    if bucket.closed_until is not None and bucket.closed_until > now:
        return bucket.closed_until - now
    missing = 1 - (bucket.tokens + (now - bucket.refilled_at).total_seconds() * connection.per_second)
    return timedelta(seconds=max(0.0, missing / max(1, connection.per_second)))
