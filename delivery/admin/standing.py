"""Why is it not moving? The answers a run page gives, in words, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.timesince import timesince, timeuntil

from campaigns.admin.words import moment_words
from campaigns.models import Contact, Run
from delivery.heartbeat import SILENT
from delivery.models import Heartbeat, Pace, Shard
from pushpilot.lib.words import counted
from tenants.models import AuditEntry

State = Run.State

RETRY_AHEAD = timedelta(seconds=2)  # a shard that only waits for its pace is open again sooner


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence about a run. `tone`: info, warning, danger or success."""

    tone: str
    icon: str
    text: str


def notices(run: Run, shards: list[Shard], now: datetime) -> list[Notice]:
    """What somebody who looks at the run should know now; empty when all goes well."""
    found = [notice for notice in (_worker(run, now) or _of_state(run, shards, now),) if notice is not None]
    if run.attempts and run.last_error and run.state in (State.PREPARING, State.RUNNING, State.FINISHING):
        found.append(
            Notice("warning", "replay", f"A step failed {_times(run.attempts)} and is tried again: {run.last_error}")
        )
    return found


def is_worker_alive(now: datetime) -> bool:
    return Heartbeat.objects.filter(beat_at__gt=now - SILENT).exists()


def _worker(run: Run, now: datetime) -> Notice | None:
    """Only a worker can move a run that is due, under way or being wound up."""
    is_closing = run.is_ended and run.finished_at is None
    is_due = run.state == State.PLANNED and run.intended_at <= now
    moves = is_closing or is_due or run.state in (State.PREPARING, State.RUNNING, State.FINISHING)
    if not moves or is_worker_alive(now):
        return None
    return Notice("danger", "cloud_off", "No worker is running: start one with `manage.py worker`.")


def _of_state(run: Run, shards: list[Shard], now: datetime) -> Notice | None:
    zone = run.workspace.zone
    match run.state:
        case State.PLANNED:
            return _planned(run, zone, now)
        case State.PREPARING:
            return _preparing(run)
        case State.PAUSED:
            return _paused(run, shards, now)
        case State.RUNNING:
            return _held_up(run, shards, zone, now)
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
    when = moment_words(run.intended_at, zone, now)
    return Notice("info", "schedule", f"Planned for {when}, in {timeuntil(run.intended_at, now, depth=2)}.")


def _preparing(run: Run) -> Notice:
    """Contacts are taken in the order of their ids, so the last id says how many are done."""
    everyone = Contact.objects.filter(workspace=run.workspace_id)
    done = everyone.filter(pk__lte=run.prepared_to).count() if run.prepared_to else 0
    return Notice(
        "info", "group_search", f"Deciding who gets it: {done:,} of {counted(everyone.count(), 'contact')} checked."
    )


def _paused(run: Run, shards: list[Shard], now: datetime) -> Notice:
    entry = (
        AuditEntry.objects.filter(workspace=run.workspace_id, action="campaign paused", detail__run=run.pk)
        .order_by("-pk")
        .first()
    )
    if entry is None or not entry.actor_email:
        why = (entry.detail.get("why") if entry else "") or run.last_error
        said = f"PushPilot paused it. {why.rstrip('.')}." if why else "It is paused."
    else:
        ago = timesince(entry.at, now, depth=1)
        said = f"{entry.who} paused it {'just now' if ago.startswith('0') else f'{ago} ago'}."
    flying = any(shard.state == Shard.State.LEASED for shard in shards)
    tail = " Answers to what is in flight are still written down." if flying else ""
    return Notice("warning", "pause_circle", f"{said} Resume continues exactly where it stopped.{tail}")


def _held_up(run: Run, shards: list[Shard], zone: ZoneInfo, now: datetime) -> Notice | None:
    """Sending, but something makes it wait."""
    closed_until = (
        Pace.objects.filter(pk=run.connection_id, closed_until__gt=now).values_list("closed_until", flat=True).first()
    )
    if closed_until is not None:
        until = f"{closed_until.astimezone(zone):%H:%M:%S}"
        return Notice("warning", "speed", f"The provider asked for a break: sending goes on at {until}.")
    left = [shard for shard in shards if shard.state != Shard.State.DONE]
    dead = [shard for shard in left if shard.lease_until is not None and shard.lease_until < now]
    if dead:
        return Notice(
            "warning",
            "restart_alt",
            f"A worker went silent with {counted(len(dead), 'shard')} in its hands; another one takes over.",
        )
    if left and all(shard.state == Shard.State.OPEN and shard.not_before > now + RETRY_AHEAD for shard in left):
        due = min(shard.not_before for shard in left).astimezone(zone)
        return Notice("info", "timer", f"Only retries are left; the next ones are due at {due:%H:%M:%S}.")
    return None


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"
