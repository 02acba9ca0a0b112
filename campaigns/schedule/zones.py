"""Another time zone of the workspace: what is planned keeps its own clock, unless somebody says
that it moves."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from campaigns import plan
from campaigns.models import Campaign, Run
from pushpilot.lib import clock
from tenants import audit
from tenants.models import User, Workspace

NOT_ASKED = Campaign.Schedule.NOW  # promised in seconds, on nobody's clock


def planned_runs(workspace: Workspace, zone: str, now: datetime) -> list[Run]:
    """What goes out later than now on the clocks of another zone than this one, the next one
    first."""
    planned = Run.objects.filter(workspace=workspace, state=Run.State.PLANNED, intended_at__gt=now)
    others = planned.exclude(campaign__schedule_type=NOT_ASKED).exclude(campaign__time_zone=zone)
    return list(others.select_related("campaign", "workspace").order_by("intended_at", "pk"))


def moved_to(run: Run, zone: str, now: datetime) -> datetime | None:
    """When the planned run goes out if its clock time is read in `zone`; None if that has
    passed."""
    at = _read_in(run.intended_at, run.campaign, zone)
    if at > now:
        return at
    return None


def _read_in(at: datetime, campaign: Campaign, zone: str) -> datetime:
    wall = at.astimezone(campaign.zone).replace(tzinfo=None)
    return clock.resolve(wall, ZoneInfo(zone))


@transaction.atomic
def move(workspace: Workspace, chosen: Collection[int] | None, by: User) -> None:
    """Read the schedules of these campaigns (None: all that are planned) in the workspace's zone
    from now on.

    What is planned next moves with them, once. A next send whose time has passed there stays at
    its moment, so that nobody gets it twice or not at all; a single send stays as it is then.
    """
    now = timezone.now()
    for run in planned_runs(workspace, workspace.time_zone, now):
        if chosen is None or run.campaign_id in chosen:
            _move(run, workspace.time_zone, by, now)


def _move(run: Run, zone: str, by: User, now: datetime) -> None:
    campaign, at = run.campaign, moved_to(run, zone, now)
    if at is None and not campaign.is_series:
        return
    try:
        slot = run.occurrence_at and _read_in(run.occurrence_at, campaign, zone)
        if not plan.replan(run, at or run.intended_at, slot=slot):
            return  # it has started, or somebody moved it in this moment
    except plan.CannotPlan:
        return
    rule = clock.in_zone(campaign.recurrence_rule, campaign.zone, ZoneInfo(zone))
    moved = Campaign.objects.filter(pk=campaign.pk)
    moved.update(time_zone=zone, recurrence_rule=rule, updated_at=now)
    changes = {"time_zone": (campaign.time_zone, zone)}
    detail = {"run": run.pk, "intended_at": (at or run.intended_at).isoformat()}
    audit.record(
        run.workspace,
        "campaign moved to another time zone",
        campaign,
        by=by,
        detail=detail,
        changes=changes,
    )
