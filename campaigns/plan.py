"""The verbs of a campaign: schedule, pause, resume, cancel. Each checks nothing about roles: the doors do.

A verb writes rows and rings a bell; delivery does the work. Each state change is one conditional update on
(state, epoch), so two people pressing two buttons at once cannot both win.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, F, Max, Q, Value, When

from campaigns.lint import Finding, active_connection, lint
from campaigns.models import Campaign, Revision, Run
from pushpilot.lib import clock, wake
from tenants import audit
from tenants.models import User, Workspace
from tenants.workspaces import hold_open

State = Run.State
NOT_AFTER = timedelta(minutes=60)
UNDONE = Q(state=State.CANCELLED, started_at__isnull=True)
STARTED = (State.PREPARING, State.RUNNING)
# Where a paused run was: its size is known once the audience is fixed and cut.
WHERE_IT_STOPPED = Case(When(audience_size=None, then=Value(State.PREPARING)), default=Value(State.RUNNING))


class CannotPlan(Exception):
    """The campaign cannot do this now. `findings` says why, if the content is the cause."""

    def __init__(self, message: str, findings: list[Finding] | None = None) -> None:
        super().__init__(message)
        self.findings = findings or []


@transaction.atomic
def schedule(campaign: Campaign, *, by: User, now: datetime) -> Run:
    """Plan the campaign's (next) run and hint at the engine. Raises CannotPlan with the lint's errors.

    A send "now" is planned `settings.SEND_UNDO` ahead, so that it can be undone.
    """
    locked = Campaign.objects.select_for_update().select_related("workspace").get(pk=campaign.pk)
    if not locked.is_editable:
        raise CannotPlan(f"The campaign is already {locked.get_status_display().lower()}.")
    errors = [finding for finding in lint(locked, now) if finding.is_error]
    if errors:
        raise CannotPlan(errors[0].text, errors)
    intended_at = _first_moment(locked, now)
    run = _write_run(locked, _pin_revision(locked, by), intended_at, by)
    _set_status(locked, Campaign.Status.SCHEDULED)
    campaign.status = locked.status
    audit.record(
        locked.workspace, "campaign scheduled", locked, by=by,
        detail={"run": run.pk, "intended_at": intended_at.isoformat(), "revision": run.revision.number},
    )  # fmt: skip
    wake.ring("tick", at=intended_at)
    return run


@transaction.atomic
def send_right_away(run: Run, *, by: User, now: datetime) -> bool:
    """Skip the rest of the undo time. False if the run is no longer planned, or its workspace is closed."""
    if not hold_open(run.workspace):
        return False
    moved = Run.objects.filter(pk=run.pk, state=State.PLANNED).update(intended_at=now, not_after=now + NOT_AFTER)
    if moved:
        audit.record(run.workspace, "campaign sent right away", run.campaign, by=by, detail={"run": run.pk})
        wake.ring("tick")
    return bool(moved)


def plan_next(run: Run, now: datetime) -> Run | None:
    """The next occurrence of a recurring campaign, written in the transaction that launches this one."""
    campaign = run.campaign
    if campaign.schedule_type != Campaign.Schedule.RECURRING or campaign.scheduled_at is None:
        return None
    rule = clock.parse_rrule(campaign.recurrence_rule)
    after = max(run.intended_at, now)
    at = clock.next_occurrence(rule, campaign.scheduled_at, campaign.workspace.zone, after=after)
    if at is None or Run.objects.filter(campaign=campaign, intended_at=at).exclude(UNDONE).exists():
        return None
    planned = _write_run(campaign, _pin_revision(campaign, run.planned_by), at, run.planned_by)
    wake.ring("tick", at=at)
    return planned


def pause(run: Run, *, by: User) -> bool:
    """Every worker stops at its next group or chunk. False if the run is neither preparing nor sending."""
    return _move(run, STARTED, State.PAUSED, Campaign.Status.PAUSED, by, "campaign paused")


@transaction.atomic
def resume(run: Run, *, by: User) -> bool:
    """Continue exactly where it stopped. False if the run is not paused, or its workspace is closed."""
    if not hold_open(run.workspace):
        return False
    moved = _move(run, (State.PAUSED,), WHERE_IT_STOPPED, Campaign.Status.RUNNING, by, "campaign resumed")
    if moved:
        changes: dict[str, Any] = {"last_error": ""}
        if run.connection is None or not run.connection.is_active:  # replaced while the run was paused
            changes["connection"] = active_connection(run.campaign)
        Run.objects.filter(pk=run.pk).update(**changes)
        wake.ring("tick")
    return moved


@transaction.atomic
def cancel(run: Run, *, by: User) -> bool:
    """Stop for good; un-attempted recipients become "cancelled". A planned run is undone. False if it had ended."""
    # Of a planned run nothing has happened yet: back to the editor.
    moved = _move(run, (State.PLANNED,), State.CANCELLED, Campaign.Status.DRAFT, by, "campaign send undone") or _move(
        run, (*STARTED, State.PAUSED), State.CANCELLED, Campaign.Status.CANCELLED, by,
        "campaign cancelled",
    )  # fmt: skip
    if moved:
        Run.objects.filter(campaign=run.campaign_id, state=State.PLANNED).update(
            state=State.CANCELLED, epoch=F("epoch") + 1
        )
        wake.ring("tick")
    return moved


@transaction.atomic
def stop_everything(workspace: Workspace, by: User) -> None:
    """The workspace is being deleted: what has started is paused, and goes on only if a person says so.

    Planned runs are not launched while the workspace is closed, and count as missed if it opens again too late. None
    slips through: a run starts, and is resumed, only with the workspace held open.
    """
    for run in Run.objects.filter(workspace=workspace, state__in=STARTED).select_related("workspace", "campaign"):
        pause(run, by=by)


@transaction.atomic
def _move(run: Run, states: tuple[str, ...], to: str | Case, status: str, by: User, action: str) -> bool:
    moved = Run.objects.filter(pk=run.pk, state__in=states).update(state=to, epoch=F("epoch") + 1)
    if not moved:
        return False
    _set_status(run.campaign, status)
    audit.record(run.workspace, action, run.campaign, by=by, detail={"run": run.pk})
    run.refresh_from_db(fields=["state", "epoch"])
    return True


def _first_moment(campaign: Campaign, now: datetime) -> datetime:
    if campaign.schedule_type == Campaign.Schedule.NOW:
        return now + settings.SEND_UNDO
    if campaign.scheduled_at is None:
        raise CannotPlan("Choose the date and time of the send.")
    if campaign.schedule_type == Campaign.Schedule.AT:
        return campaign.scheduled_at
    rule = clock.parse_rrule(campaign.recurrence_rule)
    at = clock.next_occurrence(rule, campaign.scheduled_at, campaign.workspace.zone, after=now)
    if at is None:
        raise CannotPlan("This rule has no further occurrence.")
    return at


def _pin_revision(campaign: Campaign, by: User | None) -> Revision:
    """The contents as they are now; the newest revision again if nothing changed since."""
    contents = [content.snapshot() for content in campaign.contents.order_by("language", "variant")]
    digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
    newest = campaign.revisions.order_by("-number").first()
    if newest is not None and newest.digest == digest:
        return newest
    number = (campaign.revisions.aggregate(top=Max("number"))["top"] or 0) + 1
    return Revision.objects.create(
        workspace=campaign.workspace, campaign=campaign, number=number, contents=contents, digest=digest, created_by=by
    )


def _write_run(campaign: Campaign, revision: Revision, at: datetime, by: User | None) -> Run:
    # A run undone before it started reached nobody: the same moment may be planned again.
    campaign.runs.filter(UNDONE, intended_at=at).delete()
    try:
        with transaction.atomic():
            return Run.objects.create(
                workspace=campaign.workspace,
                campaign=campaign,
                revision=revision,
                connection=active_connection(campaign),
                intended_at=at,
                not_after=at + NOT_AFTER,
                audience_rule=campaign.audience_rule,
                planned_by=by,
            )
    except IntegrityError as error:
        raise CannotPlan("This campaign has already run at that time; choose another.") from error


def _set_status(campaign: Campaign, status: str) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(status=status)
    campaign.status = status
