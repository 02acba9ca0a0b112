"""Why is it not moving? The answers a run page gives, in words, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.timesince import timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Contact, Run
from delivery.admin.run.throughput import Limit, retries_over_at
from delivery.engine import installation, pace
from delivery.engine.heartbeat import SILENT
from delivery.models import Heartbeat, Shard
from delivery.providers.registry import provider_of
from pushpilot.lib.display import ago, format_number, on_both_clocks, time_of_day
from tenants.models import AuditEntry

State = Run.State

CHANGING_HANDS = timedelta(seconds=5)
RETRY_AHEAD = timedelta(seconds=2)  # a shard that only waits for its pace is open again sooner


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence about a run. `tone`: info, warning, danger or success."""

    tone: str
    icon: str
    text: str


def notices(
    run: Run, shards: list[Shard], limit: Limit, rate: float | None, now: datetime
) -> list[Notice]:
    """What somebody who looks at the run should know now; empty when all goes well. `rate`: of
    the last seconds."""
    if run.state == State.RUNNING:
        notice = _nobody_moves_it(run, now) or _held_up(run, shards, limit, rate, now)
    else:
        notice = _nobody_moves_it(run, now) or _of_state(run, shards, now)
    found = []
    if notice is not None:
        found = [notice]
    if (
        run.attempts
        and run.last_error
        and run.state in (State.PREPARING, State.RUNNING, State.FINISHING)
    ):
        words = ngettext(
            "A step failed %(count)s time. PushPilot tries again. Error: %(error)s",
            "A step failed %(count)s times. PushPilot tries again. Error: %(error)s",
            run.attempts,
        )
        about = {"count": format_number(run.attempts), "error": run.last_error}
        found.append(Notice("warning", "replay", words % about))
    return found


def is_worker_alive(now: datetime) -> bool:
    return Heartbeat.objects.filter(beat_at__gt=now - SILENT).exists()


def _nobody_moves_it(run: Run, now: datetime) -> Notice | None:
    """Only a worker that may send can move a run that is due, under way or being wound up."""
    is_closing = run.is_ended and run.finished_at is None
    is_due = run.state == State.PLANNED and run.intended_at <= now
    moves = is_closing or is_due or run.state in (State.PREPARING, State.RUNNING, State.FINISHING)
    if not moves:
        return None
    return stopped(now)


def stopped(now: datetime) -> Notice | None:
    """Why nothing is sent from this database at all; None if a worker lives and may send."""
    if locked := installation.locked_because():
        return Notice("danger", "lock", locked)
    if is_worker_alive(now):
        return None
    text = _("No worker is running. Ask your administrator to start one with `manage.py worker`.")
    return Notice("danger", "cloud_off", text)


def obstacle(campaign: Campaign) -> str:
    """Why none of the campaign's open runs will move; "" if they will, or none is open."""
    waiting = Run.objects.filter(campaign=campaign, state__in=(State.PLANNED, *Run.ACTIVE_STATES))
    notice = None
    if waiting.exists():
        notice = stopped(timezone.now())
    if notice:
        return notice.text
    return ""


def _of_state(run: Run, shards: list[Shard], now: datetime) -> Notice | None:
    zone = run.workspace.zone
    match run.state:
        case State.PLANNED:
            return _planned(run, zone, now)
        case State.PREPARING:
            return _preparing(run)
        case State.PAUSED:
            return _paused(run, shards, now)
        case State.CANCELLED if run.finished_at is None and run.started_at is not None:
            closing = _("PushPilot waits for the answers to messages in flight.")
            return Notice("info", "hourglass", closing)
        case State.MISSED | State.FAILED:
            return Notice("danger", "error", run.last_error or _("No cause was recorded."))
    return None


def _planned(run: Run, zone: ZoneInfo, now: datetime) -> Notice | None:
    if run.intended_at <= now:
        return Notice("info", "schedule", _("This send is due and starts within seconds."))
    if run.intended_at - now < timedelta(minutes=1):
        return None  # the page counts the seconds
    about = {
        "when": on_both_clocks(run.intended_at, zone, run.campaign.zone, now),
        "span": timeuntil(run.intended_at, now, depth=2),
    }
    return Notice("info", "schedule", _("Planned for %(when)s, in %(span)s.") % about)


def _preparing(run: Run) -> Notice:
    """Contacts are taken in the order of their ids, so the last id says how many are done."""
    everyone = Contact.objects.filter(workspace=run.workspace_id)
    done = 0
    if run.prepared_to:
        done = everyone.filter(pk__lte=run.prepared_to).count()
    total = everyone.count()
    words = ngettext(
        "Preparing the audience: %(done)s of %(count)s contact checked.",
        "Preparing the audience: %(done)s of %(count)s contacts checked.",
        total,
    )
    text = words % {"done": format_number(done), "count": format_number(total)}
    return Notice("info", "group_search", text)


def _paused(run: Run, shards: list[Shard], now: datetime) -> Notice:
    entry = (
        AuditEntry.objects.filter(
            workspace=run.workspace_id, action="campaign paused", detail__run=run.pk
        )
        .order_by("-pk")
        .first()
    )
    if entry is None or not entry.actor_email:
        why = (entry.detail.get("why") if entry else "") or run.last_error
        said = _("This send is paused.")
        if why:
            said = _("PushPilot paused this send. %(why)s.") % {"why": why.rstrip(".")}
    else:
        words = _("%(person)s paused this send %(ago)s.")
        said = words % {"person": entry.who, "ago": ago(entry.at, now)}
    resume = _("Resume continues where this send stopped.")
    if run.tripped:
        resume = _("After Resume, the same cause does not pause this send again.")
    sentences = [said, resume]
    if any(shard.state == Shard.State.LEASED for shard in shards):
        sentences.append(_("PushPilot still records the answers to messages in flight."))
    return Notice("warning", "pause_circle", " ".join(sentences))


def _held_up(
    run: Run, shards: list[Shard], limit: Limit, rate: float | None, now: datetime
) -> Notice | None:
    """Sending, but something makes it wait."""
    left = [shard for shard in shards if shard.state != Shard.State.DONE]
    return (
        _provider(run, limit)
        or _quarter_hour(run, now)
        or _silent_worker(left, now)
        or _only_retries(run, shards, now)
        or _no_worker_free(left, now)
        or _no_answers(left, rate)
        or _ramp(run, limit)
    )


def _clock(at: datetime, run: Run) -> str:
    return time_of_day(at, run.workspace.zone, with_secs=True)


def _provider(run: Run, limit: Limit) -> Notice | None:
    if limit.closed_until is None:
        return None
    at = _clock(limit.closed_until, run)
    if limit.is_throttled:
        words = _(
            "The provider asked for a break. Sending continues at %(time)s, at first at half the "
            "rate."
        )
        return Notice("warning", "speed", words % {"time": at})
    words = _(
        "The provider cannot be reached, or answers with errors. No recipient is lost: the "
        "remaining messages wait. The next try is at %(time)s."
    )
    return Notice("warning", "cloud_off", words % {"time": at})


def _quarter_hour(run: Run, now: datetime) -> Notice | None:
    until = None
    if run.avoid_quarter_hours and run.connection is not None:
        until = pace.quarter_hour_until(run.connection, now)
    if until is None:
        return None
    words = _(
        "This send rests around the quarter hour, when most senders are busy. It continues at "
        "%(time)s."
    )
    return Notice("info", "schedule", words % {"time": _clock(until, run)})


def _silent_worker(left: list[Shard], now: datetime) -> Notice | None:
    if not any(shard.lease_until is not None and shard.lease_until < now for shard in left):
        return None
    text = _("A worker stopped answering. Another worker takes over its part of the audience.")
    return Notice("warning", "restart_alt", text)


def _only_retries(run: Run, shards: list[Shard], now: datetime) -> Notice | None:
    left = [shard for shard in shards if shard.state != Shard.State.DONE]
    if not left or any(
        shard.state != Shard.State.OPEN or shard.not_before <= now + RETRY_AHEAD for shard in left
    ):
        return None
    due = _clock(min(shard.not_before for shard in left), run)
    until = retries_over_at(run)
    sentences = [_("Only retries are left. The next retries are due at %(time)s.") % {"time": due}]
    if until and run.connection is not None:
        most = provider_of(run.connection.provider).manners.retries_most
        words = ngettext(
            "PushPilot tries each message at most %(count)s time, until about %(time)s.",
            "PushPilot tries each message at most %(count)s times, until about %(time)s.",
            most,
        )
        over = time_of_day(until, run.workspace.zone)
        sentences.append(words % {"count": format_number(most), "time": over})
    if any(shard.tally.get(Reason.UNKNOWN.slug) for shard in shards):
        sentences.append(_("Pause this send to decide about the unknown recipients now."))
    return Notice("info", "timer", " ".join(sentences))


def _no_worker_free(left: list[Shard], now: datetime) -> Notice | None:
    """Workers hand shards back every few seconds, so one that lies there longer is not just
    changing hands."""
    is_waiting = all(
        shard.state == Shard.State.OPEN and shard.not_before < now - CHANGING_HANDS
        for shard in left
    )
    if not left or not is_waiting:
        return None
    text = _("All workers are busy with other campaigns. This send continues when one is free.")
    return Notice("info", "hourglass", text)


def _no_answers(left: list[Shard], rate: float | None) -> Notice | None:
    is_leased = any(shard.state == Shard.State.LEASED for shard in left)
    if rate != 0 or not is_leased:
        return None
    text = _(
        "The provider has not answered for some seconds. Messages in flight wait until the "
        "time-out."
    )
    return Notice("info", "hourglass", text)


def _ramp(run: Run, limit: Limit) -> Notice | None:
    if limit.full_at is None or not limit.is_growing:
        return None
    words = _(
        "A big send starts slowly, as the provider asks: now at most %(now)s messages a second, "
        "%(full)s a second by %(time)s."
    )
    if limit.is_throttled:
        words = _(
            "The provider asked for a slower rate: now at most %(now)s messages a second, "
            "%(full)s a second by %(time)s."
        )
    about = {
        "now": format_number(round(limit.now)),
        "full": format_number(limit.per_second),
        "time": _clock(limit.full_at, run),
    }
    return Notice("info", "trending_up", words % about)
