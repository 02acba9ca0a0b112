"""What a run page says about its crash drills."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.audience.reasons import UNSURE
from campaigns.models import AmbiguityPolicy, Run
from delivery.admin.run.notices import Notice
from delivery.engine import drill
from delivery.models import Drill, Message, Shard
from pushpilot.lib.display import format_number, how_long

COUNTED_EVERY_SECS = 5


def notices(run: Run, shards: list[Shard], now: datetime) -> list[Notice]:
    """About the latest drill of the run; empty if there was none."""
    is_possible = (
        run.connection is not None and run.connection.is_sandbox and run.started_at is not None
    )
    latest = None
    if is_possible:
        latest = Drill.objects.filter(run=run).order_by("-pk").first()
    if latest is None:
        return []
    return [_of(latest, run, shards, now)]


def _of(latest: Drill, run: Run, shards: list[Shard], now: datetime) -> Notice:
    about = {"worker": latest.worker}
    if latest.killed_at is None and now - latest.asked_at <= drill.PATIENCE:
        words = _("Crash drill: PushPilot kills %(worker)s now.")
        return Notice("info", "skull", words % about)
    if latest.killed_at is None:
        words = _("Crash drill: %(worker)s had finished before PushPilot could kill it.")
        return Notice("info", "skull", words % about)
    if run.is_ended:
        words = _("Crash drill: %(worker)s was killed during the send.")
        return Notice("success", "verified", f"{words % about} {_after(run)}")
    leased = [shard for shard in shards if shard.worker == latest.worker]
    if not leased:
        words = _("Crash drill: %(worker)s was killed, and another worker took over.")
        return Notice("success", "verified", f"{words % about} {_after(run)}")
    left = max((shard.lease_until - now for shard in leased if shard.lease_until), default=None)
    words = _("Crash drill: %(worker)s was killed. Another worker takes over now.")
    if left is not None and left > timedelta():
        words = _("Crash drill: %(worker)s was killed. Another worker takes over in %(span)s.")
        about["span"] = how_long(left)
    return Notice("warning", "skull", words % about)


def _after(run: Run) -> str:
    if run.ambiguity_policy == AmbiguityPolicy.RESEND:
        return _(
            "Messages in flight go out again, each marked as a possible duplicate. No recipient is "
            "lost."
        )
    unsure, twice = _left_behind(run)
    if unsure:
        words = ngettext(
            "%(count)s recipient in flight counts as Unknown. No recipient is lost, and none gets "
            "the message twice.",
            "%(count)s recipients in flight count as Unknown. No recipient is lost, and none gets "
            "the message twice.",
            unsure,
        )
        return words % {"count": format_number(unsure)}
    if twice:  # perhaps because somebody sent to the unknown recipients again
        return _("No recipient is lost, and none is unknown because of the drill.")
    return _("No message was in flight at that moment. No recipient is lost or unknown.")


def _left_behind(run: Run) -> tuple[int, int]:
    """(recipients that a dead worker left unknown, possible duplicates). Reads every row
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
