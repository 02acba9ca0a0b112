"""How fast a run may send: token buckets, one per connection and one per run that has a limit of
its own, shared by all workers. They are rows, so they survive a restart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from campaigns.models import Run
from delivery.engine import statements
from delivery.engine.installation import CLOCK_LIMIT
from delivery.engine.statements import stamp
from delivery.models import Pace
from delivery.providers.base import Manners
from delivery.providers.registry import provider_of
from tenants.models import Connection

BURST = timedelta(seconds=1)
LONGEST_BREAK = timedelta(hours=1)  # whatever a provider asks for: then it is asked again
IDLE = timedelta(minutes=5)  # after that the next message begins a new ramp
SLOWEST = 0.05  # of the full rate; a provider that answers 429 halves it each time
QUARTER_SECS = 15 * 60


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may go before `until`. `why`: asked (the provider said Retry-After), quarter_hour,
    connection or run (its limit of messages a second)."""

    until: datetime
    why: str


class _Limit(NamedTuple):
    """Whose row: a connection or a run."""

    whose: str
    key: int
    per_second: int
    manners: Manners


@dataclass(slots=True)
class Bucket:
    """A token bucket as its row says; `refill` brings it to a moment. The only reading of such a
    row."""

    whose: str  # connection or run
    per_second: int
    pk: int
    tokens: float
    refilled_at: datetime
    ramp_from: datetime
    ramp_base: float
    closed_until: datetime | None
    manners: Manners  # of the connection's provider

    def share(self, now: datetime) -> float:
        """How much of the full rate is allowed: from `ramp_base` it grows to all of it within
        the provider's ramp."""
        ramp = self.manners.ramp
        grown = 1.0
        if ramp:
            grown = min(1.0, max(0.0, (now - self.ramp_from) / ramp))
        return self.ramp_base + (1 - self.ramp_base) * grown

    def full_at(self, now: datetime) -> datetime | None:
        """When the whole rate is allowed; None if it is already."""
        until = self.ramp_from + self.manners.ramp
        if self.ramp_base < 1 and until > now:
            return until
        return None

    def is_throttled(self, now: datetime) -> bool:
        """Whether the provider said 429: a ramp begins when its break ends, mostly lower than a
        first send's."""
        is_lower = self.ramp_from > now or self.ramp_base < first_share(
            self.manners, self.per_second
        )
        return is_lower and self.full_at(now) is not None

    def closed(self, now: datetime) -> datetime | None:
        """Until when nothing may go. A time too far ahead was written by a clock that was wrong."""
        until, furthest = self.closed_until, now + LONGEST_BREAK + 2 * CLOCK_LIMIT
        if until is not None and now < until <= furthest:
            return until
        return None

    def refill(self, now: datetime) -> None:
        if now - self.refilled_at > IDLE:
            # A long break after a 429 is no rest: the rate that it asked for comes after it.
            self.ramp_base = min(first_share(self.manners, self.per_second), self.share(now))
            self.ramp_from = now
        # by a clock that was wrong: nothing would be refilled until then
        if self.refilled_at - now > 2 * CLOCK_LIMIT:
            self.refilled_at = self.ramp_from = now
        rate = self.per_second * self.share(now)
        elapsed_secs = max(0.0, (now - self.refilled_at).total_seconds())
        self.tokens = min(rate * BURST.total_seconds(), self.tokens + elapsed_secs * rate)
        # A worker whose clock is behind must not turn the bucket's clock back: the same second
        # would fill it twice.
        self.refilled_at = max(now, self.refilled_at)

    def missing(self, wanted: int, now: datetime) -> timedelta:
        """How long until `wanted` tokens are there, or a burst of them."""
        rate = max(self.per_second * self.share(now), 0.001)
        enough = max(1.0, min(wanted, rate * BURST.total_seconds()))
        return timedelta(seconds=max(0.0, (enough - self.tokens) / rate))


def first_share(manners: Manners, per_second: int) -> float:
    """The share of its rate that a send begins with."""
    if per_second:
        return min(1.0, manners.ramp_floor / per_second)
    return 1.0


def manners_of(connection: Connection) -> Manners:
    return provider_of(connection.provider).manners


def take(run: Run, connection: Connection, wanted: int, now: datetime) -> int:
    """How many of `wanted` messages may go now. Call inside the transaction that moves the
    fence: it locks the buckets until that commits."""
    if wanted <= 0 or (run.avoid_quarter_hours and quarter_hour_until(connection, now)):
        return 0
    buckets = buckets_of(run, connection, now, is_taking=True)
    if any(bucket.closed(now) for bucket in buckets):
        return 0
    limited = [bucket for bucket in buckets if bucket.per_second]
    for bucket in limited:
        bucket.refill(now)
    granted = min([wanted, *(int(bucket.tokens) for bucket in limited)])
    for bucket in limited:
        bucket.tokens -= granted
        _store(bucket)
    for bucket in buckets:
        # Over, or of a wrong clock: it must not come true hours later.
        if bucket.closed_until and not bucket.per_second:
            Pace.objects.filter(pk=bucket.pk, closed_until=bucket.closed_until).update(
                closed_until=None
            )
    return granted


def wait_needed(run: Run, connection: Connection, wanted: int, now: datetime) -> Wait | None:
    """How long `wanted` messages (at most a second's worth) must wait, and why; None if they may
    go. Locks nothing."""
    waits = []
    if run.avoid_quarter_hours and (quarter := quarter_hour_until(connection, now)):
        waits.append(Wait(quarter, "quarter_hour"))
    for bucket in buckets_of(run, connection, now):
        if closed := bucket.closed(now):
            waits.append(Wait(closed, "asked"))
        elif bucket.per_second:
            bucket.refill(now)
            if missing := bucket.missing(wanted, now):
                waits.append(Wait(now + missing, bucket.whose))
    return max(waits, key=lambda wait: wait.until, default=None)


def quarter_hour_until(connection: Connection, now: datetime) -> datetime | None:
    """When the time around a quarter of the hour that the provider wants to be spared is over;
    None outside of it."""
    around = int(manners_of(connection).quarter_hours.total_seconds())
    into = (now.minute * 60 + now.second + around) % QUARTER_SECS
    if into >= 2 * around:
        return None
    return now.replace(microsecond=0) + timedelta(seconds=2 * around - into)


def close(connection: Connection, until: datetime, now: datetime, *, is_throttled: bool) -> None:
    """Close the connection until `until`. `is_throttled`: the provider said 429, so the rate
    begins again at half of what it was. Answers to one burst count once."""
    until = min(until, now + LONGEST_BREAK)
    limit = _Limit("connection", connection.pk, connection.per_second, manners_of(connection))
    bucket = _bucket(limit, now, is_locked=False)
    if bucket.closed(now):
        Pace.objects.filter(pk=bucket.pk, closed_until__lt=until).update(closed_until=until)
        return
    changes: dict[str, object] = {"closed_until": until}
    if is_throttled:
        changes |= {
            "ramp_from": until,
            "ramp_base": max(SLOWEST, bucket.share(now) / 2),
            "tokens": 0.0,
        }
    Pace.objects.filter(pk=bucket.pk).update(**changes)


def buckets_of(
    run: Run, connection: Connection, now: datetime, *, is_taking: bool = False
) -> list[Bucket]:
    """The buckets that limit the run. `is_taking` makes and locks their rows, the connection's
    before the run's: in one order workers never deadlock."""
    manners = manners_of(connection)
    limits = [_Limit("connection", connection.pk, connection.per_second, manners)]
    if run.per_second:
        limits.append(_Limit("run", run.pk, run.per_second, manners))
    found = []
    for limit in limits:
        if is_taking and limit.per_second:
            found.append(_bucket(limit, now, is_locked=True))
        else:
            found.append(_read(limit, is_locked=False) or _fresh(limit, now))
    return found


def _bucket(limit: _Limit, now: datetime, *, is_locked: bool) -> Bucket:
    """The bucket, after making its row if that is missing."""
    while (bucket := _read(limit, is_locked=is_locked)) is None:
        full = _fresh(limit, now)
        row = Pace(
            **{f"{limit.whose}_id": limit.key},
            tokens=full.tokens,
            refilled_at=now,
            ramp_from=now,
            ramp_base=full.ramp_base,
        )
        Pace.objects.bulk_create([row], ignore_conflicts=True)  # another worker may be first
    return bucket


def _read(limit: _Limit, *, is_locked: bool) -> Bucket | None:
    sql = (
        "SELECT id, tokens, refilled_at, ramp_from, ramp_base, closed_until "  # noqa: S608
        f"FROM delivery_pace WHERE {limit.whose}_id = %s"
        f"{' FOR UPDATE' if is_locked and statements.is_postgresql() else ''}"
    )
    for pk, tokens, refilled_at, ramp_from, ramp_base, closed_until in statements.run(
        sql, [limit.key]
    ):
        times = (statements.moment(refilled_at), statements.moment(ramp_from))
        closed = None
        if closed_until:
            closed = statements.moment(closed_until)
        return Bucket(
            limit.whose, limit.per_second, pk, tokens, *times, ramp_base, closed, limit.manners
        )
    return None


def _store(bucket: Bucket) -> None:
    statements.run(
        "UPDATE delivery_pace SET tokens = %s, refilled_at = %s, ramp_from = %s, ramp_base = %s, "
        "closed_until = NULL WHERE id = %s",
        [
            bucket.tokens,
            stamp(bucket.refilled_at),
            stamp(bucket.ramp_from),
            bucket.ramp_base,
            bucket.pk,
        ],
    )


def _fresh(limit: _Limit, now: datetime) -> Bucket:
    """A full, unused bucket without a row."""
    begin = first_share(limit.manners, limit.per_second)
    tokens = limit.per_second * begin * BURST.total_seconds()
    return Bucket(limit.whose, limit.per_second, 0, tokens, now, now, begin, None, limit.manners)
