"""Platforms that a run waits for: what the page says about them, and what a person may do."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F

from campaigns.channels import registry
from campaigns.models import Run
from delivery.admin.run.notices import Notice
from delivery.decisions import QUIET
from delivery.engine.record import Tally, add
from delivery.models import Reach, Shard
from delivery.providers.registry import provider_of
from pushpilot.lib.display import counted, planned_moment
from tenants.models import Connection

State = Run.State


def counts(shards: list[Shard]) -> Tally:
    """{platform: recipients that wait for it}."""
    return add({}, *(shard.held for shard in shards))


def verbs(run: Run, shards: list[Shard]) -> list[str]:
    held = [shard for shard in shards if shard.state == Shard.State.HELD]
    others = [shard for shard in shards if shard.state in (Shard.State.OPEN, Shard.State.LEASED)]
    found = []
    if held and run.state == State.RUNNING:
        found.append("try-held")
    if held and not others and run.state in (State.RUNNING, State.PAUSED):
        found.append("close-held")
    is_quiet = run.state in QUIET if run.finished_at is None else run.is_ended
    if run.retired and is_quiet:
        found.append("revive")
    return found


def notices(run: Run, shards: list[Shard], now: datetime) -> list[Notice]:
    """One for each platform that the run waits for."""
    waiting = counts(shards)
    if not waiting or run.is_ended or run.connection_id is None:
        return []
    limit = min((shard.held_until for shard in shards if shard.held_until), default=None)
    until = (
        f" Recipients that still wait {_when(limit, run, now)} end as Rejected, and can be sent "
        "again."
        if limit
        else ""
    )
    holds = Reach.objects.filter(connection=run.connection_id, platform__in=waiting).exclude(
        held_since=None
    )
    return [
        Notice(
            "warning", "phonelink_off", f"{_words(hold, run, waiting[hold.platform], now)}{until}"
        )
        for hold in holds
    ]


def _words(hold: Reach, run: Run, count: int, now: datetime) -> str:
    devices = counted(count, f"{dict(registry.platforms())[hold.platform]} device")
    later = (
        f" The next try is {_when(hold.probe_at, run, now)}."
        if hold.probe_at and hold.probe_at > now
        else ""
    )
    return f"{said(hold)} The message to {devices} waits; the other platforms go on.{later}"


def said(hold: Reach) -> str:
    """What is wrong with a held platform, and the remedy."""
    name = dict(registry.platforms())[hold.platform]
    remedy = provider_of(hold.connection.provider).remedies.get(hold.platform, "")
    return f"{name} refuses the provider ({hold.code}). {remedy}"


def of_connection(connection: Connection) -> list[str]:
    """A sentence for each platform that the connection does not reach."""
    holds = (
        Reach.objects.filter(connection=connection).exclude(held_since=None).order_by(F("platform"))
    )
    return [said(hold) for hold in holds]


def _when(at: datetime, run: Run, now: datetime) -> str:
    return f"at {planned_moment(at, run.workspace.zone, now)}"
