"""The shards of a run for its page: which part of the audience each is, who works on it, and how
it stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, IntegerField, Q, Value, When

from campaigns.audience.reasons import FAILED, UNSURE, Reason
from campaigns.models import Run
from delivery.models import Shard
from pushpilot.lib.display import counted, format_number, how_long

SHOWN = 100
_ORDER = Case(
    When(state=Shard.State.LEASED, then=Value(0)),
    When(state=Shard.State.DONE, then=Value(2)),
    default=Value(1),
    output_field=IntegerField(),
)


def table_of(run: Run, now: datetime) -> dict[str, Any]:
    """The shards under work first, then those that wait, then those that are done; at most SHOWN
    of them."""
    shards = Shard.objects.filter(run=run)
    is_waiting = Q(state__in=(Shard.State.OPEN, Shard.State.HELD))
    counts = shards.aggregate(
        all=Count("pk"),
        leased=Count("pk", filter=Q(state=Shard.State.LEASED)),
        open=Count("pk", filter=is_waiting),
        done=Count("pk", filter=Q(state=Shard.State.DONE)),
        workers=Count("owner", filter=Q(state=Shard.State.LEASED), distinct=True),
    )
    rows = [_row(shard, run, now) for shard in shards.order_by(_ORDER, "first_id")[:SHOWN]]
    out = _ruled_out(run)
    ruled_out = f"{counted(out, 'recipient')} {'was' if out == 1 else 'were'}" if out else ""
    return {
        "rows": rows,
        "counts": counts,
        "more": counts["all"] - len(rows),
        "ruled_out": ruled_out,
    }


def _ruled_out(run: Run) -> int:
    """Recipients whose reason was known before the audience was cut. Until the run has ended its
    own tally holds them, then it holds everybody."""
    skipped = [
        reason.slug for reason in Reason if not reason.is_waiting and not reason.is_attempted
    ]
    whole = int(sum(run.tally.get(slug, 0) for slug in skipped))
    if not (run.is_ended and run.finished_at):
        return whole
    tallies = Shard.objects.filter(run=run).values_list("tally", flat=True)
    return max(0, whole - int(sum(tally.get(slug, 0) for tally in tallies for slug in skipped)))


def _row(shard: Shard, run: Run, now: datetime) -> dict[str, Any]:
    accepted, failed, unsure = (
        sum(shard.tally.get(reason.slug, 0) for reason in group)
        for group in ((Reason.ACCEPTED,), FAILED, UNSURE)
    )
    return {
        "shard": shard,
        "worker": shard.worker,
        "since": how_long(now - shard.leased_at)
        if shard.leased_at and shard.state == Shard.State.LEASED
        else "",
        "until": _until(shard, now),
        "accepted": accepted,
        "failed": failed,
        "unsure": unsure,
        "skipped": sum(shard.tally.values()) - accepted - failed - unsure,
        "note": _note(shard, run, now),
        "tone": _tone(shard, now),
    }


def _is_silent(shard: Shard, now: datetime) -> bool:
    return (
        shard.state == Shard.State.LEASED
        and shard.lease_until is not None
        and shard.lease_until < now
    )


def _until(shard: Shard, now: datetime) -> str:
    if shard.lease_until is None or shard.state != Shard.State.LEASED:
        return ""
    return "ran out" if _is_silent(shard, now) else f"{how_long(shard.lease_until - now)} left"


def _note(shard: Shard, run: Run, now: datetime) -> str:
    if shard.state == Shard.State.HELD:
        return f"{format_number(sum(shard.held.values()))} wait for a platform"
    if (
        shard.state == Shard.State.OPEN
        and shard.not_before >= now + timedelta(seconds=1)
        and not run.is_ended
    ):
        return f"again in {how_long(shard.not_before - now)}"
    return ""


def _tone(shard: Shard, now: datetime) -> str:
    if shard.state == Shard.State.DONE:
        return "success"
    if shard.state in (Shard.State.OPEN, Shard.State.HELD):
        return "default"
    return "danger" if _is_silent(shard, now) else "primary"
