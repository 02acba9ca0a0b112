"""Every recurring job in one table. django-q2 looks at its own schedules about every 30 s, so
jobs that must be more punctual are rung by the worker's watchdog; the rest are Schedule rows
that `register` keeps equal to the table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.core.management import call_command
from django.utils import timezone
from django_q.models import Failure, Schedule

from delivery import tasks as delivery_tasks
from delivery.models import Heartbeat
from reports import tasks as reports_tasks
from tenants import workspaces
from tenants.api import idempotency

BEAT = timedelta(seconds=2)  # how often the watchdog rings the heartbeat bell
# The longest that a lost bell can cost. After a crash: the lease (30 s) and this, together less
# than a minute.
SWEEP = timedelta(seconds=20)
FAILURES_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    task: str
    minutes: int


JOBS = (
    Job("sweep", "pushpilot.schedules.sweep", 1),
    Job("purge", "pushpilot.schedules.purge", 5),
    Job("clean up", "pushpilot.schedules.clean_up", 24 * 60),
)


def register() -> None:
    """Make django-q2's Schedule rows those of JOBS. Runs at every worker start; harmless to
    repeat."""
    Schedule.objects.exclude(name__in=[job.name for job in JOBS]).delete()
    for job in JOBS:
        Schedule.objects.update_or_create(
            name=job.name,
            defaults={
                "func": job.task,
                "schedule_type": Schedule.MINUTES,
                "minutes": job.minutes,
                "repeats": -1,
            },
        )


def sweep() -> None:
    """Find what lost its bell: due runs, expired leases, undigested events."""
    delivery_tasks.tick()
    reports_tasks.digest()


def purge() -> None:
    """Workspaces whose deletion is due, slice by slice, and what is kept for a day."""
    workspaces.purge_due(timezone.now())
    idempotency.forget_answers(timezone.now())
    delivery_tasks.forget()


def clean_up() -> None:
    """Daily: expired sessions, heartbeats of workers that are gone, old failures (q2 limits only
    what succeeded)."""
    call_command("clearsessions")
    Failure.objects.filter(stopped__lt=timezone.now() - FAILURES_KEPT).delete()
    Heartbeat.objects.filter(beat_at__lt=timezone.now() - timedelta(days=1)).delete()
