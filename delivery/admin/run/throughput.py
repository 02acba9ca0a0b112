"""How fast a run goes now, what limits it, when it will be done, and how long its retries may
still last."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Max, Min

from campaigns.audience.reasons import Reason
from campaigns.models import Run
from delivery.engine import pace
from delivery.engine.outcomes import JITTER
from delivery.models import Message
from delivery.providers.base import Manners
from delivery.providers.registry import provider_of

logger = logging.getLogger(__name__)

# the rate shown is that of the last 20 seconds in which somebody looked
WINDOW = timedelta(seconds=20)
LEAST = timedelta(seconds=2)
EVERY = timedelta(seconds=1)
# A worker that uses this much of what it may send is held back by the limit, not by itself.
AT_LIMIT = 0.8
RETRIES_LOOKED_AT_EVERY_SECS = 5

_Sample = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Limit:
    """The tightest of what a run may send. `per_second` is the full rate, 0 without any limit;
    of it `share` is allowed now (or when it opens), growing to 1 until `full_at`. `whose`:
    connection or run."""

    per_second: int = 0
    whose: str = ""
    share: float = 1.0
    full_at: datetime | None = None
    is_growing: bool = False  # something has gone already since `share` began to grow
    # the provider said 429: the rate begins again lower than a first send's would
    is_throttled: bool = False
    closed_until: datetime | None = None  # nothing may go before

    @property
    def now(self) -> float:
        return self.per_second * self.share

    def secs_for(self, messages: int, now: datetime) -> float:
        """How long so many messages take at least."""
        wait = 0.0
        if self.closed_until:
            wait = max(0.0, (self.closed_until - now).total_seconds())
        if not self.per_second:
            return wait
        ramp = 0.0
        if self.full_at:
            ramp = max(0.0, (self.full_at - now).total_seconds() - wait)
        average = self.per_second * (1 + self.share) / 2
        if ramp and messages < average * ramp:
            return wait + messages / average
        return wait + ramp + (messages - average * ramp) / self.per_second


def limit_of(run: Run, now: datetime) -> Limit:
    """What the buckets of the run and of its connection allow, once something may go."""
    buckets = []
    if run.connection:
        buckets = pace.buckets_of(run, run.connection, now)
    closed = max(filter(None, (bucket.closed(now) for bucket in buckets)), default=None)
    throttled = any(bucket.is_throttled(now) for bucket in buckets)
    at = closed or now
    for bucket in buckets:
        bucket.refill(at)
    limits = [_limit(bucket, at) for bucket in buckets if bucket.per_second]
    tightest = min(limits, key=lambda one: one.now, default=Limit())
    return replace(tightest, is_throttled=throttled, closed_until=closed)


def _limit(bucket: pace.Bucket, at: datetime) -> Limit:
    full_at = bucket.full_at(at)
    is_growing = full_at is not None and bucket.ramp_from < at
    return Limit(bucket.per_second, bucket.whose, bucket.share(at), full_at, is_growing)


def recent_rate(run: Run, attempted: int, now: datetime) -> float | None:
    """Attempted messages a second over the last seconds; None until two looks lie LEAST apart.
    Each look leaves its sample for the next, in the cache, apart for each epoch: a pause must
    not slow what comes after it."""
    key = f"run-speed:{run.pk}:{run.epoch}"
    try:
        samples: list[_Sample] = [
            one for one in cache.get(key) or [] if now - one[0] <= WINDOW and one[1] <= attempted
        ]
        if not samples or now - samples[-1][0] >= EVERY:
            samples.append((now, attempted))
            cache.set(key, samples, timeout=60)
    except Exception:  # each cache has errors of its own; without it the page shows no rate
        logger.warning("the cache does not answer", exc_info=True)
        return None
    at, had = samples[0]
    span = now - at
    if span >= LEAST:
        return (attempted - had) / span.total_seconds()
    return None


def eta_secs(limit: Limit, waiting: int, rate: float | None, now: datetime) -> float | None:
    """When nothing waits any more; None if nobody can say: nothing was measured, and nothing
    limits it."""
    least = limit.secs_for(waiting, now)
    if rate and (not limit.per_second or rate < AT_LIMIT * limit.now):
        return max(least, waiting / rate)
    return least or None


def retries_over_at(run: Run) -> datetime | None:
    """About when the last retry of the run is over, if every one fails. None if nobody can say:
    tries that certainly never arrived are not counted.

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
        cache.set(key, kept, timeout=RETRIES_LOOKED_AT_EVERY_SECS)
    (last,) = kept
    if last and run.ends_at:
        return min(last, run.ends_at)
    return last


def longest_wait(manners: Manners, retries: int) -> timedelta:
    """Total back-off still ahead of a row after `retries` failed attempts."""
    doubled = sum(2**n for n in range(retries, manners.retries_most - 1))
    return timedelta(seconds=sum(JITTER) / 2 * manners.retry_wait_secs * doubled)
