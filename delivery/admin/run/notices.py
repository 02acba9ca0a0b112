"""Why is it not moving? The answers a run page gives, in words, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.timesince import timeuntil

from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Contact, Run
from delivery.admin.run.throughput import Limit, retries_over_at
from delivery.engine import installation, pace
from delivery.engine.heartbeat import SILENT
from delivery.models import Heartbeat, Shard
from delivery.providers.registry import provider_of
from pushpilot.lib.display import ago, counted, format_number, planned_moment, time_of_day
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
    found = [notice] if notice is not None else []
    if (
        run.attempts
        and run.last_error
        and run.state in (State.PREPARING, State.RUNNING, State.FINISHING)
    ):
        found.append(
            Notice(
                "warning",
                "replay",
                f"A step failed {_times(run.attempts)} and is tried again: {run.last_error}",
            )
        )
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
    return Notice(
        "danger",
        "cloud_off",
        "No worker is running: whoever runs PushPilot has to start one (manage.py worker).",
    )


def obstacle(campaign: Campaign) -> str:
    """Why none of the campaign's open runs will move; "" if they will, or none is open."""
    waiting = Run.objects.filter(campaign=campaign, state__in=(State.PLANNED, *Run.ACTIVE_STATES))
    notice = stopped(timezone.now()) if waiting.exists() else None
    return notice.text if notice else ""


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
            closing = "Waiting for the answers to what is in flight; then the account is closed."
            return Notice("info", "hourglass", closing)
        case State.MISSED | State.FAILED:
            return Notice("danger", "error", run.last_error or "No cause was written down.")
    return None


def _planned(run: Run, zone: ZoneInfo, now: datetime) -> Notice | None:
    if run.intended_at <= now:
        return Notice("info", "schedule", "It is due; a worker takes it within seconds.")
    if run.intended_at - now < timedelta(minutes=1):
        return None  # the page counts the seconds
    when = planned_moment(run.intended_at, zone, now)
    return Notice(
        "info", "schedule", f"Planned for {when}, in {timeuntil(run.intended_at, now, depth=2)}."
    )


def _preparing(run: Run) -> Notice:
    """Contacts are taken in the order of their ids, so the last id says how many are done."""
    everyone = Contact.objects.filter(workspace=run.workspace_id)
    done = everyone.filter(pk__lte=run.prepared_to).count() if run.prepared_to else 0
    return Notice(
        "info",
        "group_search",
        f"Deciding who gets it: {format_number(done)} of {counted(everyone.count(), 'contact')} "
        "checked.",
    )


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
        said = f"PushPilot paused it. {why.rstrip('.')}." if why else "It is paused."
    else:
        said = f"{entry.who} paused it {ago(entry.at, now)}."
    flying = any(shard.state == Shard.State.LEASED for shard in shards)
    tail = " Answers to what is in flight are still written down." if flying else ""
    again = (
        (" Resume goes on in spite of it; the same cause does not stop this run again.")
        if run.tripped
        else ""
    )
    resume = again or " Resume continues exactly where it stopped."
    return Notice("warning", "pause_circle", f"{said}{resume}{tail}")


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
        text = (
            f"The provider asked for a break: sending goes on at {at}, at first at half the rate."
        )
        return Notice("warning", "speed", text)
    text = (
        "The provider cannot be reached, or answers with errors. Nobody is lost: what was not "
        "sent waits, "
    )
    return Notice("warning", "cloud_off", f"{text}and the next try is at {at}.")


def _quarter_hour(run: Run, now: datetime) -> Notice | None:
    until = None
    if run.avoid_quarter_hours and run.connection is not None:
        until = pace.quarter_hour_until(run.connection, now)
    if until is None:
        return None
    text = (
        "It avoids the minutes around the quarter of the hour, when everybody sends: on at "
        f"{_clock(until, run)}."
    )
    return Notice("info", "schedule", text)


def _silent_worker(left: list[Shard], now: datetime) -> Notice | None:
    dead = [shard for shard in left if shard.lease_until is not None and shard.lease_until < now]
    if not dead:
        return None
    text = (
        f"A worker went silent with {counted(len(dead), 'shard')} in its hands; another one "
        "takes over."
    )
    return Notice("warning", "restart_alt", text)


def _only_retries(run: Run, shards: list[Shard], now: datetime) -> Notice | None:
    left = [shard for shard in shards if shard.state != Shard.State.DONE]
    if not left or any(
        shard.state != Shard.State.OPEN or shard.not_before <= now + RETRY_AHEAD for shard in left
    ):
        return None
    due = _clock(min(shard.not_before for shard in left), run)
    until = retries_over_at(run)
    text = f"Only retries are left; the next ones are due at {due}."
    if until and run.connection is not None:
        most = provider_of(run.connection.provider).manners.retries_most
        over = time_of_day(until, run.workspace.zone)
        text = f"{text} Each is tried at most {most} times, until about {over}."
    if any(shard.tally.get(Reason.UNKNOWN.slug) for shard in shards):
        text = f"{text} Pause the run to decide about the unknown now."
    return Notice("info", "timer", text)


def _no_worker_free(left: list[Shard], now: datetime) -> Notice | None:
    """Workers hand shards back every few seconds, so one that lies there longer is not just
    changing hands."""
    is_waiting = all(
        shard.state == Shard.State.OPEN and shard.not_before < now - CHANGING_HANDS
        for shard in left
    )
    if not left or not is_waiting:
        return None
    return Notice(
        "info",
        "hourglass",
        "All workers are busy with other campaigns; it goes on when one is free.",
    )


def _no_answers(left: list[Shard], rate: float | None) -> Notice | None:
    is_leased = any(shard.state == Shard.State.LEASED for shard in left)
    if rate != 0 or not is_leased:
        return None
    text = (
        "No answer came in the last seconds. What is in flight waits for the provider until "
        "its time-out."
    )
    return Notice("info", "hourglass", text)


def _ramp(run: Run, limit: Limit) -> Notice | None:
    if limit.full_at is None or not limit.is_growing:
        return None
    full = f"{format_number(limit.per_second)} a second by {_clock(limit.full_at, run)}"
    gently = "Big sends start gently, as the provider asks"
    why = "The provider said that it went too fast" if limit.is_throttled else gently
    return Notice(
        "info",
        "trending_up",
        f"{why}: now at most {format_number(round(limit.now))} a second, {full}.",
    )


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"
