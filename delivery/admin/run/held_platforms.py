"""Platforms that a run waits for: what the page says about them, and what a person may do."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.channels import registry
from campaigns.models import Run
from delivery.admin.run.notices import Notice
from delivery.decisions import QUIET
from delivery.engine.record import Tally, add
from delivery.models import Reach, Shard
from delivery.providers.registry import provider_of
from pushpilot.lib.display import format_number, planned_moment
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
    until = []
    if limit:
        words = _(
            "Recipients that still wait on %(when)s are marked Rejected. You can send to them "
            "again."
        )
        until = [words % {"when": _when(limit, run, now)}]
    holds = Reach.objects.filter(connection=run.connection_id, platform__in=waiting).exclude(
        held_since=None
    )
    return [
        Notice(
            "warning",
            "phonelink_off",
            " ".join([*_sentences(hold, run, waiting[hold.platform], now), *until]),
        )
        for hold in holds
    ]


def _sentences(hold: Reach, run: Run, count: int, now: datetime) -> list[str]:
    waits = ngettext(
        "The message to %(count)s device on %(platform)s waits. Other platforms continue.",
        "The message to %(count)s devices on %(platform)s waits. Other platforms continue.",
        count,
    )
    found = [said(hold), waits % {"count": format_number(count), "platform": _platform(hold)}]
    if hold.probe_at and hold.probe_at > now:
        later = _("The next try is on %(when)s.")
        found.append(later % {"when": _when(hold.probe_at, run, now)})
    return found


def said(hold: Reach) -> str:
    """What is wrong with a held platform, and the remedy."""
    remedy = provider_of(hold.connection.provider).remedies.get(hold.platform, "")
    words = _("%(platform)s refuses the provider (%(code)s). %(remedy)s")
    return words % {"platform": _platform(hold), "code": hold.code, "remedy": remedy}


def _platform(hold: Reach) -> str:
    return str(dict(registry.platforms())[hold.platform])


def of_connection(connection: Connection) -> list[str]:
    """A sentence for each platform that the connection does not reach."""
    holds = (
        Reach.objects.filter(connection=connection).exclude(held_since=None).order_by(F("platform"))
    )
    return [said(hold) for hold in holds]


def _when(at: datetime, run: Run, now: datetime) -> str:
    return planned_moment(at, run.workspace.zone, now)
