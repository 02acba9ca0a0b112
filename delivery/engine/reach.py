"""Which platforms a connection reaches: proven ones took a message with its credentials; held
ones wait, because their own push service refuses the provider. Both are rows, so that all
workers and the next campaigns know."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction

from campaigns.models import Run
from delivery.engine import record, statements
from delivery.models import Reach, Shard
from delivery.providers.base import Outcome
from pushpilot.lib import wake
from tenants import audit
from tenants.models import Connection
from tenants.scope import scope

PROBE_EVERY = timedelta(minutes=15)
HELD_MOST = timedelta(hours=24)  # an offer that comes later than that is no help to anybody

# {platform: its last answer in this worker, if that is news}; None: a message was accepted
News = Mapping[str, Outcome | None]


def of(connection: Connection) -> dict[str, Reach]:
    return {one.platform: one for one in Reach.objects.filter(connection=connection)}


def proven(connection: Connection) -> set[str]:
    return {platform for platform, one in of(connection).items() if one.proven_at}


def forget(connection: Connection) -> None:
    """Forget everything: the connection has other credentials."""
    Reach.objects.filter(connection=connection).delete()


def learn(connection: Connection, news: News, now: datetime) -> None:
    """Write what answers have shown about the connection, unless it was changed since it was
    read. Call inside the transaction that writes the answers, before it locks a run: saving a
    connection locks it before its runs."""
    same = Connection.objects.filter(pk=connection.pk, updated_at=connection.updated_at)
    if not same.select_for_update(no_key=True).values_list("pk").first():
        return
    for platform, fault in sorted(news.items()):
        known, _ = Reach.objects.get_or_create(
            workspace_id=connection.workspace_id, connection=connection, platform=platform
        )
        row = Reach.objects.filter(pk=known.pk)
        if fault is None:
            row.update(
                proven_at=now, held_since=None, code="", detail="", probe=None, probe_at=None
            )
            wake.ring("tick")
            continue
        code, detail = statements.plain(fault.code, 64), statements.plain(fault.detail, 500)
        # Each worker finds out by itself; the first one holds it, and the next try stays as it is.
        free = row.filter(held_since=None)
        if free.update(
            held_since=now, code=code, detail=detail, probe=None, probe_at=now + PROBE_EVERY
        ):
            audit.record(
                connection.workspace,
                "platform held",
                connection,
                by=None,
                detail={"platform": platform, "code": code},
            )


def settle(now: datetime) -> None:
    """Move shards that wait for a platform: open a shard of a released platform, let one message
    through if a probe is due, give up a shard that waited for HELD_MOST. Call with every
    workspace visible."""
    waiting = Shard.objects.filter(state=Shard.State.HELD, run__state=Run.State.RUNNING)
    shards = list(waiting.select_related("run", "run__workspace").order_by("-pk"))
    if not shards:
        return
    holds = {
        (one.connection_id, one.platform): one for one in Reach.objects.exclude(held_since=None)
    }
    opened = False
    for shard in shards:
        found = [holds.get((shard.run.connection_id or 0, platform)) for platform in shard.held]
        still = [hold for hold in found if hold is not None]
        if len(still) < len(found):
            opened |= bool(_open(shard, now))
        elif shard.held_until is not None and shard.held_until <= now:
            with scope(shard.run.workspace):
                give_up(shard)
            wake.ring("tick")  # for its end
        else:
            due = [hold for hold in still if hold.probe_at is not None and hold.probe_at <= now]
            opened |= any(_probe(shard, hold, now) for hold in due)
    if opened:
        wake.ring("work")


def _open(shard: Shard, now: datetime) -> int:
    return Shard.objects.filter(pk=shard.pk, state=Shard.State.HELD).update(
        state=Shard.State.OPEN, not_before=now
    )


@transaction.atomic
def _probe(shard: Shard, hold: Reach, now: datetime) -> bool:
    """Let the next of the platform's waiting messages through."""
    chosen = record.next_deferred(shard, hold.platform, after=hold.probe or 0)
    due = Reach.objects.filter(pk=hold.pk, probe_at=hold.probe_at)
    if chosen is None or not due.update(probe=chosen, probe_at=now + PROBE_EVERY):
        return False
    hold.probe_at = now + PROBE_EVERY
    record.requeue(chosen)
    return bool(_open(shard, now))


@transaction.atomic
def give_up(shard: Shard) -> int:
    """Reject the shard's deferred rows with the provider's code; a person can send them again.
    Returns how many."""
    if not Shard.objects.filter(pk=shard.pk, state=Shard.State.HELD).update(state=Shard.State.DONE):
        return 0
    return record.reject_deferred(shard)
