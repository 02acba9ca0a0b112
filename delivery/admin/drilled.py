"""What a run page says about its crash drills."""

from __future__ import annotations

from datetime import datetime

from campaigns.models import AmbiguityPolicy, Run
from delivery import drill
from delivery.admin.standing import Notice
from delivery.models import Drill, Shard
from pushpilot.lib.words import counted, how_long


def notices(run: Run, shards: list[Shard], unknown: int, now: datetime) -> list[Notice]:
    """About the latest drill of the run; empty if there was none. `unknown`: recipients in that line of its account."""
    is_possible = run.connection is not None and run.connection.is_sandbox and run.started_at is not None
    latest = Drill.objects.filter(run=run).order_by("-pk").first() if is_possible else None
    if latest is None:
        return []
    if latest.killed_at is None:
        if now - latest.asked_at <= drill.PATIENCE:
            return [Notice("info", "skull", f"Crash drill: {latest.worker} is being killed.")]
        return [Notice("info", "skull", f"Crash drill: {latest.worker} had finished before it could be killed.")]
    if run.is_ended:
        return [
            Notice(
                "success", "verified", f"Crash drill: {latest.worker} was killed in the middle. {_after(run, unknown)}"
            )
        ]
    held = [shard for shard in shards if shard.worker == latest.worker]
    if held:
        left = max((shard.lease_until - now for shard in held if shard.lease_until), default=None)
        when = f"in {how_long(left)}" if left is not None and left.total_seconds() > 0 else "now"
        says = f"{latest.worker} is dead. Its lease ends {when}; then another worker takes over where it stopped."
        return [Notice("warning", "skull", f"Crash drill: {says}")]
    return [
        Notice(
            "success",
            "verified",
            f"Crash drill: {latest.worker} was killed, another one took over. {_after(run, unknown)}",
        )
    ]


def _after(run: Run, unknown: int) -> str:
    if run.ambiguity_policy == AmbiguityPolicy.RESEND:
        return "What was in flight is sent again, each flagged as a possible duplicate; nobody is lost."
    if not unknown:
        return "Nothing was in flight in that moment, so nobody is lost and nobody is unknown."
    who = f"{counted(unknown, 'recipient')} {'is' if unknown == 1 else 'are'}"
    return f"{who} in the line “Unknown”: nobody is lost, nobody gets it twice."
