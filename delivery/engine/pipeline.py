"""The send pipeline. A tick asks for due runs; each claimed Run fixes its audience once, is cut
into Shards, and each shard is worked: take what the pace allows, render, move the fence, send,
record. The last shard closes the run.

Each hand-over is a row and each claim a conditional update, so any worker may die anywhere
(docs/engine.md).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from campaigns import plan
from campaigns.audience import selection
from campaigns.audience.reasons import Reason
from campaigns.contacts import consent
from campaigns.models import Campaign, Contact, Run
from delivery.engine import direct, heartbeat, installation, leases, reach, record
from delivery.engine.leases import LEASE
from delivery.engine.work import work_shard
from delivery.models import Message, Shard
from pushpilot.lib import wake
from tenants import audit
from tenants.scope import every_workspace, scope
from tenants.workspaces import lock_if_open

logger = logging.getLogger(__name__)

State = Run.State
SLICE = timedelta(seconds=20)
# of a slice, while a bell waits: a tick must not stand behind slow sends for minutes
TURN = timedelta(seconds=2)
CHUNK_CONTACTS = 20_000
SHARD_LEAST, SHARD_MOST = 250, 10_000
LAST_PARTS = 8  # at the end of a run a shard of the usual size becomes so many small ones
MAX_ATTEMPTS = 5
# What becomes of who still waits, and of the run, once nobody works on it any more.
ENDS = {
    State.CANCELLED: (Reason.CANCELLED, State.CANCELLED),
    State.FAILED: (Reason.CANCELLED, State.FAILED),
    State.FINISHING: (Reason.EXPIRED, State.COMPLETED),
}


def tick(now: datetime) -> None:
    """Move every run that can move: launch what is due, settle what was stopped, finish what is
    done; wake workers."""
    if installation.check_in(now):
        return
    with every_workspace():
        for step, due in _agenda(now):
            for run in due.select_related("workspace", "campaign", "revision"):
                _guarded(step, run, now)
        reach.settle(now)
        idle = (Shard.State.DONE, Shard.State.HELD)
        waiting = Shard.objects.filter(run__state=State.RUNNING).exclude(state__in=idle).count()
        waiting += Run.objects.filter(state=State.PREPARING).count()
        waiting += direct.is_waiting()
    for _ in range(min(waiting, settings.WORKERS)):
        wake.ring("work")


def _agenda(now: datetime) -> list[tuple[Callable[[Run, datetime], None], QuerySet[Run, Run]]]:
    planned = Run.objects.filter(state=State.PLANNED, workspace__deletion_due_at=None)
    return [
        (miss, planned.filter(not_after__lt=now)),
        (launch, planned.filter(intended_at__lte=now, not_after__gte=now)),
        (
            expire,
            Run.objects.filter(
                state__in=(State.PREPARING, State.RUNNING, State.PAUSED), ends_at__lte=now
            ),
        ),
        (wind_up, Run.objects.filter(state__in=(State.PAUSED, *ENDS), finished_at__isnull=True)),
        (finish, Run.objects.filter(state=State.RUNNING)),
    ]


def _guarded(step: Callable[[Run, datetime], None], run: Run, now: datetime) -> None:
    """Keep one broken run from stopping the others; after MAX_ATTEMPTS it fails with its reason."""
    try:
        with scope(run.workspace):
            step(run, now)
    except (OperationalError, InterfaceError):
        logger.warning(
            "run %s: %s: the database did not answer", run.pk, step.__name__, exc_info=True
        )
    except Exception as error:
        logger.exception("run %s: %s failed", run.pk, step.__name__)
        attempts = run.attempts + 1
        Run.objects.filter(pk=run.pk).update(
            attempts=attempts, last_error=f"{step.__name__}: {error}"[:500]
        )
        # what is under way is never given up
        if attempts >= MAX_ATTEMPTS and step in (launch, prepare):
            _fail(run, f"{step.__name__}: {error}", now)


@transaction.atomic
def miss(run: Run, now: datetime) -> None:
    """Mark a run that could not start in time as missed. Its owner decides: nothing is sent late
    by surprise."""
    late = "PushPilot was not running at the planned time and the time limit has passed."
    moved = Run.objects.filter(pk=run.pk, state=State.PLANNED).update(
        state=State.MISSED, epoch=F("epoch") + 1, finished_at=now, last_error=late
    )
    if moved:
        plan.plan_next(run, now)
        plan.settle_status(run.campaign, Campaign.Status.FAILED)
        audit.record(
            run.workspace, "campaign missed", run.campaign, by=None, detail={"run": run.pk}
        )


@transaction.atomic
def launch(run: Run, now: datetime) -> None:
    """Claim the occurrence and write the next one, unless the workspace was closed since the
    tick looked."""
    if not lock_if_open(run.workspace):
        return
    consent.adopt(run.workspace)
    account = run.connection_in_use()  # the one of today, not of the day it was planned
    newest = (
        Contact.objects.filter(workspace=run.workspace)
        .order_by("-pk")
        .values_list("pk", flat=True)
        .first()
    )
    claimed = Run.objects.filter(pk=run.pk, state=State.PLANNED).update(
        state=State.PREPARING,
        epoch=F("epoch") + 1,
        started_at=now,
        connection=account,
        audience_to=newest or 0,
        attempts=0,
        last_error="",
    )
    if claimed:
        plan.plan_next(run, now)
        plan.settle_status(run.campaign, Campaign.Status.RUNNING)


def prepare(run: Run, now: datetime) -> None:
    """Fix the audience in chunks of contacts, for at most one slice, then cut. May be repeated
    after a crash."""
    owner = f"{leases.worker_name()}:{secrets.token_hex(4)}"
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=Now())
    if not Run.objects.filter(free, pk=run.pk, state=State.PREPARING).update(
        owner=owner, lease_until=Now() + LEASE
    ):
        return
    run.refresh_from_db(fields=["prepared_to", "audience_to", "state", "epoch"])
    mine = Run.objects.filter(pk=run.pk, state=State.PREPARING, owner=owner)
    until = now + SLICE
    if run.is_broadcast:
        with transaction.atomic():
            if not mine.update(lease_until=Now() + LEASE):
                return  # cancelled since
            record.fix_broadcast(run)
        cut(run, mine)
        return
    while timezone.now() < until and not heartbeat.is_stopping():
        last = _chunk_end(run)
        if last is None:
            # Cutting renews no lease: a takeover in the middle would undo it, again and again.
            mine.update(lease_until=Now() + 4 * LEASE)
            cut(run, mine)
            return
        with transaction.atomic():
            if not mine.update(prepared_to=last, lease_until=Now() + LEASE):
                return  # cancelled, or another worker took over
            chunk = selection.recipients(run.workspace, run.channel, run.audience_rule)
            record.fix_audience(
                run, chunk.filter(pk__gt=run.prepared_to, pk__lte=last).order_by("pk")
            )
        run.prepared_to = last
    mine.update(lease_until=None)
    wake.ring("work")


def _chunk_end(run: Run) -> int | None:
    """The last contact id of the next chunk; None if every contact of the launch is in the
    ledger."""
    known = Contact.objects.filter(workspace=run.workspace, pk__gt=run.prepared_to)
    if run.audience_to is not None:  # a version that wrote no bound had launched it
        known = known.filter(pk__lte=run.audience_to)
    ids = known.order_by("pk").values_list("pk", flat=True)
    full = ids[CHUNK_CONTACTS - 1 : CHUNK_CONTACTS].first()
    if full is not None:
        return full
    return ids.last()


@transaction.atomic
def cut(run: Run, mine: QuerySet[Run, Run]) -> None:
    """Cut the waiting rows into shards and open the run for work."""
    tally = record.tally(run)
    waiting = tally.pop(Reason.PENDING.slug, 0)
    starts = _cuts(run, waiting)
    last = Message.objects.filter(run=run).order_by("-pk").values_list("pk", flat=True).first() or 0
    ends = [*(start - 1 for start in starts[1:]), last]
    Shard.objects.bulk_create(
        Shard(workspace=run.workspace, run=run, first_id=first, last_id=end)
        for first, end in zip(starts, ends, strict=False)
    )
    opened = mine.update(
        state=State.RUNNING,
        audience_size=waiting + sum(tally.values()),
        tally=tally,
        owner="",
        lease_until=None,
    )
    if not opened:
        transaction.set_rollback(True)
        return
    for _ in range(min(len(starts), settings.WORKERS)):
        wake.ring("work")
    if not starts:
        wake.ring("tick")


def _cuts(run: Run, waiting: int) -> list[int]:
    """The first row of each shard. The last shards are small: with 10,000 rows each, one of two
    workers stood idle for the last 5 s of a million. Small ones throughout cost rate: a worker
    empties its window at the end of each."""
    size = max(SHARD_LEAST, min(SHARD_MOST, waiting // (settings.WORKERS * 4)))
    small = max(SHARD_LEAST, size // LAST_PARTS)
    starts, parts = record.pending_ids(run, small), size // small
    whole = len(starts) - parts * settings.WORKERS
    return [start for place, start in enumerate(starts) if place % parts == 0 or place > whole]


def work(now: datetime) -> None:
    """Prepare runs, then take shards and work them, for one slice, or for one turn if others
    wait for this process; ring again if there is more."""
    if installation.check_in(now):
        return
    until = now + SLICE
    with every_workspace():
        for run in Run.objects.filter(state=State.PREPARING).select_related(
            "workspace", "campaign", "revision"
        ):
            _guarded(prepare, run, now)
        is_directs_turn = True
        while timezone.now() < until and not heartbeat.is_stopping():
            if timezone.now() - now >= TURN and wake.is_awaited():
                break
            direct.gather(timezone.now())
            lease = leases.claim(timezone.now(), is_directs_turn=is_directs_turn)
            if lease is None:
                break
            # Without the credentials: a key that is lost must stop this run with its reason, not
            # this query.
            found = Run.objects.select_related("workspace", "campaign", "revision", "connection")
            run = found.defer("connection__sealed").get(pk=lease.shard.run_id)
            with scope(run.workspace):
                work_shard(lease, run, _end_of_turn(until))
                finish(run, timezone.now())
            is_directs_turn = not run.direct
        again_at = leases.next_moment()
    if again_at is not None:
        wake.ring("work", at=again_at if again_at > timezone.now() else None)


def _end_of_turn(until: datetime) -> datetime:
    """When to hand back a shard that is claimed now: earlier if others wait, so that a slow run
    does not keep it."""
    if wake.is_awaited():
        return min(until, timezone.now() + TURN)
    return until


@transaction.atomic
def finish(run: Run, now: datetime) -> None:
    """Close a run whose shards are all done: count its tally and write it."""
    if run.direct:
        # `direct.gather` adds shards with the run locked
        locked = Run.objects.select_for_update(no_key=True).filter(pk=run.pk)
        if direct.is_open(run, now) or not locked.values_list("pk").first():
            return
    if Shard.objects.filter(run=run).exclude(state=Shard.State.DONE).exists():
        return
    if Run.objects.filter(pk=run.pk, state=State.RUNNING).update(state=State.FINISHING):
        _close(run, State.COMPLETED, now)


def expire(run: Run, now: datetime) -> None:
    """End a run whose time is over: every worker stops at its next group, then `wind_up` closes
    the run."""
    Run.objects.filter(pk=run.pk, state=run.state, epoch=run.epoch).update(
        state=State.FINISHING, epoch=F("epoch") + 1
    )


def wind_up(run: Run, now: datetime) -> None:
    """Settle the orphans of a run that sends no more. Unless it is paused, close it when no
    worker is left."""
    for shard in Shard.objects.filter(
        run=run, state=Shard.State.LEASED, lease_until__lt=Now()
    ).select_related("run"):
        leases.settle_orphan(shard, now)
    if run.state not in ENDS or Shard.objects.filter(run=run, state=Shard.State.LEASED).exists():
        return
    reason, end = ENDS[State(run.state)]
    until = now + SLICE
    is_left = True
    while is_left:
        with transaction.atomic():
            if not _is_unchanged(run):
                return
            is_left = record.close_waiting(run, reason)
        if is_left and timezone.now() >= until:
            return  # the next tick goes on
    with transaction.atomic():
        if _is_unchanged(run):
            Shard.objects.filter(run=run).update(state=Shard.State.DONE)
            _close(run, end, now)


def _is_unchanged(run: Run) -> bool:
    """Lock the run; whether it is what this tick read many seconds ago. Another tick may have
    closed it, and a person may have opened it again."""
    same = Run.objects.filter(pk=run.pk, state=run.state, epoch=run.epoch, finished_at=None)
    return bool(same.select_for_update().values_list("pk", flat=True))


def _close(run: Run, state: str, now: datetime) -> None:
    tally = record.tally(run)
    # nothing was prepared: no tally of zeros
    size = None if run.started_at is None else sum(tally.values())
    Run.objects.filter(pk=run.pk).update(
        state=state, tally=tally, audience_size=size, finished_at=now, owner="", lease_until=None
    )
    if state == State.COMPLETED:
        plan.settle_status(run.campaign, Campaign.Status.COMPLETED)
    audit.record(
        run.workspace, f"run {state}", run.campaign, by=None, detail={"run": run.pk, **tally}
    )


@transaction.atomic
def _fail(run: Run, why: str, now: datetime) -> None:
    """Fail the run for good; the next tick closes it. A series goes on, unless planning its next
    date fails."""
    failed = Run.objects.filter(pk=run.pk).exclude(state__in=Run.ENDED_STATES)
    if not failed.update(state=State.FAILED, epoch=F("epoch") + 1, last_error=why[:500]):
        return
    try:
        with transaction.atomic():
            plan.plan_next(run, now)
    except Exception:
        logger.exception("run %s: its next occurrence could not be planned", run.pk)
    plan.settle_status(run.campaign, Campaign.Status.FAILED)
