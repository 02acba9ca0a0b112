"""How fast a run goes now, what limits it, and when it will be done."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Q

from campaigns.models import Run
from delivery.engine.pace import RAMP, first_share, share, still_closed
from delivery.models import Pace

logger = logging.getLogger(__name__)

WINDOW = timedelta(seconds=20)  # the rate shown is that of the last 20 seconds in which somebody looked
LEAST = timedelta(seconds=2)
EVERY = timedelta(seconds=1)
# A worker that uses this much of what it may send is held back by the limit, not by itself.
AT_LIMIT = 0.8

_Sample = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Limit:
    """The tightest of what a run may send. `per_second` is the full rate, 0 without any limit; of it `share` is
    allowed now, growing to 1 until `full_at`. `whose`: connection or run."""

    per_second: int = 0
    whose: str = ""
    share: float = 1.0
    full_at: datetime | None = None
    is_throttled: bool = False  # the provider said 429: the rate begins again lower than a first send's would
    closed_until: datetime | None = None  # nothing may go before

    @property
    def now(self) -> float:
        return self.per_second * self.share

    def secs_for(self, messages: int, now: datetime) -> float:
        """How long so many messages take at least."""
        wait = max(0.0, (self.closed_until - now).total_seconds()) if self.closed_until else 0.0
        if not self.per_second:
            return wait
        ramp = max(0.0, (self.full_at - now).total_seconds()) if self.full_at else 0.0
        average = self.per_second * (1 + self.share) / 2
        if ramp and messages < average * ramp:
            return wait + messages / average
        return wait + ramp + (messages - average * ramp) / self.per_second


def limit_of(run: Run, now: datetime) -> Limit:
    """What the buckets of the run and of its connection allow. One query."""
    connection = run.connection
    rows = Pace.objects.filter(Q(connection=run.connection_id, run=None) | Q(run=run.pk)) if connection else ()
    buckets = {"run" if row.run_id else "connection": row for row in rows}
    limits = []
    for whose, per_second in (("connection", connection.per_second if connection else 0), ("run", run.per_second or 0)):
        limits.append(_limit(whose, per_second, buckets.get(whose), now))
    closed = max((one.closed_until for one in limits if one.closed_until), default=None)
    bounded = [one for one in limits if one.per_second]
    tightest = min(bounded, key=lambda one: one.now, default=Limit())
    throttled = any(one.is_throttled for one in limits)
    return Limit(tightest.per_second, tightest.whose, tightest.share, tightest.full_at, throttled, closed)


def _limit(whose: str, per_second: int, row: Pace | None, now: datetime) -> Limit:
    if row is None:
        return Limit(per_second, whose)
    closed = still_closed(row.closed_until, now)
    full_at = row.ramp_from + RAMP if row.ramp_base < 1 else None
    if full_at is None or full_at <= now:
        return Limit(per_second, whose, closed_until=closed)
    # A 429 begins a ramp when its break ends, mostly from less than a first send's rate.
    throttled = row.ramp_from > now or row.ramp_base < first_share(per_second)
    return Limit(per_second, whose, share(row.ramp_from, row.ramp_base, now), full_at, throttled, closed)


def recent_rate(run: Run, attempted: int, now: datetime) -> float | None:
    """Attempted messages a second over the last seconds; None until two looks lie LEAST apart. Each look leaves its
    sample for the next, in the cache, apart for each epoch: a pause must not slow what comes after it."""
    key = f"run-speed:{run.pk}:{run.epoch}"
    try:
        samples: list[_Sample] = [one for one in cache.get(key) or [] if now - one[0] <= WINDOW and one[1] <= attempted]
        if not samples or now - samples[-1][0] >= EVERY:
            samples.append((now, attempted))
            cache.set(key, samples, timeout=60)
    except Exception:  # each cache has errors of its own; without it the page shows no rate
        logger.warning("the cache does not answer", exc_info=True)
        return None
    at, had = samples[0]
    span = now - at
    return (attempted - had) / span.total_seconds() if span >= LEAST else None


def eta_secs(limit: Limit, waiting: int, rate: float | None, now: datetime) -> float | None:
    """When nothing waits any more; None if nobody can say: nothing was measured, and nothing limits it."""
    least = limit.secs_for(waiting, now)
    if rate and (not limit.per_second or rate < AT_LIMIT * limit.now):
        return max(least, waiting / rate)
    return least or None
