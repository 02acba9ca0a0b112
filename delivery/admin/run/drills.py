"""What a run page says about its crash drills."""

from __future__ import annotations

from datetime import datetime

from django.core.cache import cache
from django.db.models import Count, Q

from campaigns.audience.reasons import UNSURE
from campaigns.models import AmbiguityPolicy, Run
from delivery.admin.run.notices import Notice
from delivery.engine import drill
from delivery.models import Drill, Message, Shard
from pushpilot.lib.display import counted, how_long

COUNTED_EVERY_SECS = 5


def notices(run: Run, shards: list[Shard], now: datetime) -> list[Notice]:
    """About the latest drill of the run; empty if there was none."""
    is_possible = (
        run.connection is not None and run.connection.is_sandbox and run.started_at is not None
    )
    latest = Drill.objects.filter(run=run).order_by("-pk").first() if is_possible else None
    if latest is None:
        return []
    if latest.killed_at is None:
        if now - latest.asked_at <= drill.PATIENCE:
            return [Notice("info", "skull", f"Crash drill: {latest.worker} is being killed.")]
        return [
            Notice(
                "info",
                "skull",
                f"Crash drill: {latest.worker} had finished before it could be killed.",
            )
        ]
    if run.is_ended:
        return [
            Notice(
                "success",
                "verified",
                f"Crash drill: {latest.worker} was killed in the middle. {_after(run)}",
            )
        ]
    leased = [shard for shard in shards if shard.worker == latest.worker]
    if leased:
        left = max((shard.lease_until - now for shard in leased if shard.lease_until), default=None)
        when = f"in {how_long(left)}" if left is not None and left.total_seconds() > 0 else "now"
        says = (
            f"{latest.worker} is dead. Its lease ends {when}; then another worker takes over "
            "where it stopped."
        )
        return [Notice("warning", "skull", f"Crash drill: {says}")]
    return [
        Notice(
            "success",
            "verified",
            f"Crash drill: {latest.worker} was killed, another one took over. {_after(run)}",
        )
    ]


def _after(run: Run) -> str:
    if run.ambiguity_policy == AmbiguityPolicy.RESEND:
        return (
            "What was in flight is sent again, each flagged as a possible duplicate; nobody is "
            "lost."
        )
    unsure, twice = _left_behind(run)
    if unsure:
        who = f"{counted(unsure, 'recipient')} in flight {'is' if unsure == 1 else 'are'}"
        return f"{who} counted as “Unknown”: nobody is lost, nobody gets it twice."
    if twice:  # perhaps those whom somebody had sent to again
        return "Nobody is lost, and nobody is unknown because of it."
    return "Nothing was in flight in that moment, so nobody is lost and nobody is unknown."


def _left_behind(run: Run) -> tuple[int, int]:
    """Recipients of whom a dead worker left it unknown, and possible duplicates. Reads every row
    of the run, 0.1 s per million, so open pages share the answer for some seconds."""
    key = f"run-drill:{run.pk}:{run.epoch}"
    kept: tuple[int, int] | None = cache.get(key)
    if kept is None:
        found = Message.objects.filter(run=run).aggregate(
            unsure=Count("pk", filter=Q(reason__in=UNSURE, error_code="WORKER_DIED")),
            twice=Count("pk", filter=Q(possible_duplicate__gt=0)),
        )
        kept = found["unsure"], found["twice"]
        cache.set(key, kept, timeout=COUNTED_EVERY_SECS)
    return kept
