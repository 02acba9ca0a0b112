"""Leases on shards: who works on what, the fence before every send, and what becomes of a dead worker's window."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from os import getpid

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from campaigns.models import Run
from campaigns.reasons import Reason
from delivery import record
from delivery.models import Shard
from delivery.record import Tally

LEASE = timedelta(seconds=settings.LEASE_SECS)
# The first and last message id that may be in flight.
Window = tuple[int, int] | tuple[None, None]
NOTHING: Window = (None, None)


def worker_name() -> str:
    """Which process this is, for people who read the shard table."""
    return f"{socket.gethostname()[:40]}:{getpid()}"


@dataclass
class Lease:
    """A shard that is ours until `release`, or until we are silent for LEASE."""

    shard: Shard
    owner: str
    epoch: int
    tally: Tally = field(default_factory=dict)
    is_stale: bool = False  # a commit failed: it may have happened or not, so the row's own tally counts

    def fence(self, window: Window, finished: Tally) -> bool:
        """Move the window in the database; only if this returns True may anything in it be sent.

        Fails when the lease was lost, or the run was paused, cancelled or edited since we took it.
        """
        tally = self._tally_with(finished)
        sending = Run.objects.filter(pk=OuterRef("run_id"), state=Run.State.RUNNING, epoch=self.epoch)
        moved = (
            self._mine()
            .filter(Exists(sending), lease_until__gt=Now())
            .update(window_from=window[0], window_to=window[1], tally=tally, lease_until=Now() + LEASE)
        )
        if moved:
            self.tally = tally
        return bool(moved)

    def keep(self, window: Window, finished: Tally) -> bool:
        """Like `fence` for outcomes that come after the run stopped: nothing new may be sent. False: lease lost."""
        tally = self._tally_with(finished)
        kept = self._mine().update(window_from=window[0], window_to=window[1], tally=tally, lease_until=Now() + LEASE)
        if kept:
            self.tally = tally
        return bool(kept)

    def release(self, *, done: bool, not_before: datetime) -> None:
        """Hand the shard back, done or for another slice. Its window must be empty."""
        state = Shard.State.DONE if done else Shard.State.OPEN
        self._mine().update(state=state, owner="", lease_until=None, not_before=not_before)

    def _tally_with(self, finished: Tally) -> Tally:
        if self.is_stale:
            self.tally = Shard.objects.values_list("tally", flat=True).get(pk=self.shard.pk)
            self.is_stale = False
        return record.add(self.tally, finished)

    def _mine(self) -> QuerySet[Shard, Shard]:
        return Shard.objects.filter(pk=self.shard.pk, state=Shard.State.LEASED, owner=self.owner)


def claim(now: datetime) -> Lease | None:
    """Lease one shard of a running run: an open one, or one whose worker died. None if there is nothing to do.

    Call with every workspace visible; a dead worker's window is settled in the same transaction.
    """
    running = Q(run__state=Run.State.RUNNING)
    is_open = Q(state=Shard.State.OPEN, not_before__lte=now)
    is_orphan = Q(state=Shard.State.LEASED, lease_until__lt=Now())
    for shard in (
        Shard.objects.filter(running, is_open | is_orphan).select_related("run").order_by("not_before", "pk")[:20]
    ):
        lease = _take(shard, now)
        if lease is not None:
            return lease
    return None


@transaction.atomic
def _take(shard: Shard, now: datetime) -> Lease | None:
    owner = f"{worker_name()}:{secrets.token_hex(4)}"
    seen = Shard.objects.filter(pk=shard.pk, state=shard.state, owner=shard.owner)
    if shard.state == Shard.State.LEASED:
        seen = seen.filter(lease_until__lt=Now())
    taken = seen.update(
        state=Shard.State.LEASED, owner=owner, lease_until=Now() + LEASE,
        attempts=F("attempts") + (1 if shard.state == Shard.State.LEASED else 0),
    )  # fmt: skip
    if not taken:
        return None
    shard.refresh_from_db()
    lease = Lease(shard, owner, shard.run.epoch, shard.tally)
    lost = settle_window(shard, now)
    record.wake_retries(shard, now)
    return lease if lease.keep(NOTHING, lost) else None


def settle_window(shard: Shard, now: datetime) -> Tally:
    """What a dead worker had in flight: unknown (the default policy), or waiting again and flagged."""
    is_resend = shard.run.ambiguity_policy == Run.AmbiguityPolicy.RESEND
    return record.mark_window(shard, Reason.PENDING if is_resend else Reason.UNKNOWN, now)


@transaction.atomic
def bury(shard: Shard, now: datetime) -> bool:
    """Settle an orphaned shard of a run that no longer sends (paused, cancelled). False if its worker lives."""
    owner = f"{worker_name()}:buried"
    orphan = Shard.objects.filter(pk=shard.pk, state=Shard.State.LEASED, lease_until__lt=Now())
    if not orphan.update(owner=owner, lease_until=Now() + LEASE):
        return False
    shard.refresh_from_db()
    lease = Lease(shard, owner, shard.run.epoch, shard.tally)
    lease.keep(NOTHING, settle_window(shard, now))
    lease.release(done=False, not_before=now)
    return True
