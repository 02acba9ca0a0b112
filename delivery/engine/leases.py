"""Leases on shards: which worker has which shard, the fence before every send, the window of a
dead worker."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from os import getpid

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Now

from campaigns.models import AmbiguityPolicy, Run
from delivery.engine import record, statements
from delivery.engine.record import Tally
from delivery.models import Shard

LEASE = timedelta(seconds=settings.LEASE_SECS)
# The first and last message id that may be in flight.
Window = tuple[int, int] | tuple[None, None]
NOTHING: Window = (None, None)


def worker_name() -> str:
    """Which process this is, for people who read the shard table."""
    return f"{socket.gethostname()[:40]}:{getpid()}"


@dataclass
class Lease:
    """A shard that belongs to this worker until `release`, or until the worker is silent for
    LEASE."""

    shard: Shard
    owner: str
    epoch: int
    tally: Tally = field(default_factory=dict)
    # a commit failed and may have happened nevertheless: read the row's tally again
    is_stale: bool = False

    def fence(self, window: Window, finished: Tally) -> bool:
        """Move the window in the database. Only if this returns True may its messages be sent.

        False if the lease was lost, or if the run was paused, cancelled or edited since the claim.
        """
        sending = (
            f" AND lease_until > {statements.database_now()} "  # noqa: S608
            "AND EXISTS (SELECT 1 FROM campaigns_run r "
            "WHERE r.id = delivery_shard.run_id AND r.state = 'running' AND r.epoch = %s)"
        )
        return self._move(window, finished, sending, [self.epoch])

    def renew(self, window: Window, finished: Tally) -> bool:
        """Move the window for outcomes alone, also after the run has stopped. False if the lease
        was lost."""
        return self._move(window, finished, "", [])

    def is_current(self) -> bool:
        """Whether the run still sends what it sent at the claim."""
        return Run.objects.filter(
            pk=self.shard.run_id, state=Run.State.RUNNING, epoch=self.epoch
        ).exists()

    def _move(self, window: Window, finished: Tally, also: str, values: list[int]) -> bool:
        tally = self._tally_with(finished)
        moved = statements.run(
            "UPDATE delivery_shard "  # noqa: S608 - SQL of ours
            "SET window_from = %s, window_to = %s, tally = %s, "
            f"lease_until = {statements.database_now(LEASE)} "
            f"WHERE id = %s AND state = 'leased' AND owner = %s{also} RETURNING id",
            [*window, msgspec.json.encode(tally).decode(), self.shard.pk, self.owner, *values],
        )
        if moved:
            self.tally = tally
        return bool(moved)

    def release(self, *, done: bool, not_before: datetime) -> None:
        """Give the shard up, done or for another slice. Its window must be empty."""
        state = Shard.State.DONE if done else Shard.State.OPEN
        if done and self.shard.held:
            state = Shard.State.HELD
        self._mine().update(state=state, owner="", lease_until=None, not_before=not_before)

    def count_held(self, until: datetime) -> None:
        """Count the rows that wait for a platform. The first `until` stays while there are any."""
        self.shard.held = record.deferred(self.shard)
        self.shard.held_until = (self.shard.held_until or until) if self.shard.held else None
        self._mine().update(held=self.shard.held, held_until=self.shard.held_until)

    def _tally_with(self, finished: Tally) -> Tally:
        if self.is_stale:
            self.tally = Shard.objects.values_list("tally", flat=True).get(pk=self.shard.pk)
            self.is_stale = False
        return record.add(self.tally, finished)

    def _mine(self) -> QuerySet[Shard, Shard]:
        return Shard.objects.filter(pk=self.shard.pk, state=Shard.State.LEASED, owner=self.owner)


def claim(now: datetime, *, is_directs_turn: bool = True) -> Lease | None:
    """Lease one shard of a running run: an open one, or one whose worker died. None if there is
    nothing to do. Direct messages go first; not `is_directs_turn`: they go last.

    Call with every workspace visible; a dead worker's window is settled in the same transaction.
    """
    free = Q(state=Shard.State.OPEN, not_before__lte=now) | Q(
        state=Shard.State.LEASED, lease_until__lt=Now()
    )
    for run_id in _in_turn(free, is_directs_turn=is_directs_turn):
        for shard in (
            Shard.objects.filter(free, run_id=run_id)
            .select_related("run")
            .order_by("not_before", "pk")[:8]
        ):
            lease = _take(shard, now)
            if lease is not None:
                return lease
    return None


def next_moment() -> datetime | None:
    """When the next shard can be claimed at the latest: an open one, or a leased one whose
    worker may have died. None if nothing is being sent. Call with every workspace visible."""
    left = Shard.objects.filter(run__state=Run.State.RUNNING)
    found = left.aggregate(
        open=Min("not_before", filter=Q(state=Shard.State.OPEN)),
        leased=Min("lease_until", filter=Q(state=Shard.State.LEASED)),
    )
    return min((moment for moment in found.values() if moment is not None), default=None)


def _in_turn(free: Q, *, is_directs_turn: bool) -> list[int]:
    """Running runs with a free shard: first those of the workspace with the fewest workers, then
    the one that waits the longest. So a campaign to a thousand never waits behind one to a
    million."""
    shards = Shard.objects.order_by()
    busy = shards.filter(
        workspace=OuterRef("workspace"), state=Shard.State.LEASED, lease_until__gte=Now()
    )
    served = shards.filter(run=OuterRef("pk")).values("run").annotate(last=Max("leased_at"))
    is_last = ~Q(direct="") if not is_directs_turn else Q(direct="")
    runs = Run.objects.filter(
        Exists(shards.filter(free, run=OuterRef("pk"))), state=Run.State.RUNNING
    ).annotate(
        is_last=Case(When(is_last, then=Value(1)), default=Value(0)),
        busy=Coalesce(Subquery(busy.values("workspace").annotate(n=Count("pk")).values("n")), 0),
        served=Subquery(served.values("last")),
    )
    return list(
        runs.order_by("is_last", "busy", F("served").asc(nulls_first=True), "pk").values_list(
            "pk", flat=True
        )[:20]
    )


@transaction.atomic
def _take(shard: Shard, now: datetime) -> Lease | None:
    owner = f"{worker_name()}:{secrets.token_hex(4)}"
    seen = Shard.objects.filter(pk=shard.pk, state=shard.state, owner=shard.owner)
    if shard.state == Shard.State.LEASED:
        seen = seen.filter(lease_until__lt=Now())
    taken = seen.update(
        state=Shard.State.LEASED,
        owner=owner,
        lease_until=Now() + LEASE,
        leased_at=now,
        attempts=F("attempts") + (1 if shard.state == Shard.State.LEASED else 0),
    )
    if not taken:
        return None
    shard.refresh_from_db()
    lease = Lease(shard, owner, shard.run.epoch, shard.tally)
    lost = settle_window(shard, now)
    # After the window is settled: the dead worker's messages were of the revision at its claim.
    Shard.objects.filter(pk=shard.pk).update(revision=shard.run.revision.number)
    record.requeue_retries(shard, now)
    if lease.renew(NOTHING, lost):
        return lease
    return None


def settle_window(shard: Shard, now: datetime) -> Tally:
    """Settle what a dead worker had in flight: unknown, or waiting again and flagged, as the
    policy says."""
    return record.mark_window(
        shard, now, is_resend=shard.run.ambiguity_policy == AmbiguityPolicy.RESEND
    )


@transaction.atomic
def settle_orphan(shard: Shard, now: datetime) -> bool:
    """Settle a shard whose worker is gone, of a run that sends no more. False if the worker
    lives."""
    owner = f"{worker_name()}:settled"
    orphan = Shard.objects.filter(pk=shard.pk, state=Shard.State.LEASED, lease_until__lt=Now())
    if not orphan.update(owner=owner, lease_until=Now() + LEASE):
        return False
    shard.refresh_from_db()
    lease = Lease(shard, owner, shard.run.epoch, shard.tally)
    lease.renew(NOTHING, settle_window(shard, now))
    lease.release(done=False, not_before=now)
    return True
