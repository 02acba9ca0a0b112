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
UNDONE = Q(state=State.CANCELLED, started_at__isnull=True)
STARTED = (State.PREPARING, State.RUNNING)
OPEN = (State.PLANNED, *STARTED, State.PAUSED)  # with somebody left to send to
# What a run keeps of its campaign as it was when the run was planned.
PINNED = ("target_kind", "target", "per_second", "avoid_quarter_hours", "ambiguity_policy")
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
    moved = Run.objects.filter(pk=run.pk, state=State.PLANNED).update(**_times(run.campaign, now))
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
def hold(run: Run, why: str, *, tripped: str = "") -> bool:
    """Pause for a cause, by PushPilot itself; the owner reads it on the run page and resumes with one click. `tripped`:
    the cause of the circuit breaker, which the resume waives. False if the run is neither preparing nor sending."""
    moved = _move(
        run, STARTED, State.PAUSED, Campaign.Status.PAUSED, None, "campaign paused", why=why[:500],
    )  # fmt: skip
    if moved:
        Run.objects.filter(pk=run.pk).update(last_error=why[:500], tripped=tripped)
    return moved


@transaction.atomic
def resume(run: Run, *, by: User) -> bool:
    """Continue exactly where it stopped. False if the run is not paused, or its workspace is closed.

    Whoever resumes what the circuit breaker paused has seen its cause: it does not pause this run again.
    """
    if not hold_open(run.workspace):
        return False
    moved = _move(run, (State.PAUSED,), WHERE_IT_STOPPED, Campaign.Status.RUNNING, by, "campaign resumed")
    if moved:
        run.refresh_from_db(fields=["tripped", "waived"])
        waived = sorted({*run.waived, run.tripped} - {""})
        changes: dict[str, Any] = {"last_error": "", "tripped": "", "waived": waived, "last_outcomes": ""}
        if run.connection is None or not run.connection.is_active:  # replaced while the run was paused
            changes["connection"] = active_connection(run.campaign)
        Run.objects.filter(pk=run.pk).update(**changes)
        wake.ring("tick")
    return moved


@transaction.atomic
def cancel(run: Run, *, by: User) -> bool:
    """Stop for good; un-attempted recipients become "cancelled". A planned run is undone. False if it had ended."""
    # Runs before their campaign, as a launch of the next occurrence locks them: else the two deadlock.
    open_runs = Run.objects.filter(campaign=run.campaign_id, state__in=OPEN)
    list(open_runs.order_by("pk").select_for_update().values_list("pk"))
    others = _under_way_without(run)
    undone, cancelled = others or Campaign.Status.DRAFT, others or Campaign.Status.CANCELLED
    moved = _move(run, (State.PLANNED,), State.CANCELLED, undone, by, "campaign send undone") or _move(
        run, (*STARTED, State.PAUSED), State.CANCELLED, cancelled, by, "campaign cancelled"
    )
    if moved:
        Run.objects.filter(campaign=run.campaign_id, state=State.PLANNED).update(
            state=State.CANCELLED, epoch=F("epoch") + 1
        )
        wake.ring("tick")
    return moved


@transaction.atomic
def revise(run: Run, *, by: User) -> Revision | None:
    """The campaign's contents as they are now go to everybody whom this run has not sent to yet. Workers stop at their
    next group and go on with the new text. None if nothing changed, or the run is not planned or under way.
    """
    held = Run.objects.select_for_update().select_related("revision").get(pk=run.pk)
    revision = _pin_revision(run.campaign, by)
    if held.state not in OPEN or revision.pk == held.revision_id:
        return None
    Run.objects.filter(pk=run.pk).update(revision=revision, epoch=F("epoch") + 1)
    detail = {"run": run.pk, "revision": revision.number, "was": held.revision.number}
    audit.record(run.workspace, "campaign text changed", run.campaign, by=by, detail=detail)
    wake.ring("work")
    return revision


@transaction.atomic
def send_missed(run: Run, *, by: User, now: datetime) -> Run:
    """Send now, after all, what was missed: a run of its own with the same text and audience rule, so that the missed
    one stays in the history. Raises CannotPlan."""
    if not hold_open(run.workspace):
        raise CannotPlan("The workspace is being deleted.")
    campaign = Campaign.objects.select_for_update().select_related("workspace").get(pk=run.campaign_id)
    if run.state != State.MISSED or campaign.runs.filter(intended_at__gt=run.intended_at).exclude(UNDONE).filter(
        state__in=(*Run.ACTIVE_STATES, State.COMPLETED)
    ).exists():  # fmt: skip
        raise CannotPlan("A later run of this campaign has started since; nothing was sent again.")
    again = _write_run(campaign, run.revision, now, by, rule=run.audience_rule)
    _set_status(campaign, Campaign.Status.SCHEDULED)
    audit.record(run.workspace, "missed campaign sent", campaign, by=by, detail={"run": again.pk, "missed": run.pk})
    wake.ring("tick")
    return again


@transaction.atomic
def stop_everything(workspace: Workspace, by: User) -> None:
    """The workspace is being deleted: what has started is paused, and goes on only if a person says so.

    Planned runs are not launched while the workspace is closed, and count as missed if it opens again too late. None
    slips through: a run starts, and is resumed, only with the workspace held open.
    """
    for run in Run.objects.filter(workspace=workspace, state__in=STARTED).select_related("workspace", "campaign"):
        pause(run, by=by)


@transaction.atomic
def _move(
    run: Run, states: tuple[str, ...], to: str | Case, status: str, by: User | None, action: str, **detail: str
) -> bool:
    moved = Run.objects.filter(pk=run.pk, state__in=states).update(state=to, epoch=F("epoch") + 1)
    if not moved:
        return False
    _set_status(run.campaign, status)
    audit.record(run.workspace, action, run.campaign, by=by, detail={"run": run.pk, **detail})
    run.refresh_from_db(fields=["state", "epoch"])
    return True


def _under_way_without(run: Run) -> Campaign.Status | None:
    """The campaign's status by its occurrences that are under way besides this one; None: there are none."""
    others = Run.objects.filter(campaign=run.campaign_id, state__in=Run.ACTIVE_STATES).exclude(pk=run.pk)
    states = set(others.values_list("state", flat=True))
    if not states:
        return None
    return Campaign.Status.PAUSED if states == {State.PAUSED} else Campaign.Status.RUNNING


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


def contents_of(campaign: Campaign) -> tuple[list[dict[str, Any]], str]:
    """(the contents as they are now, as a revision keeps them; their digest)."""
    contents = [content.snapshot() for content in campaign.contents.order_by("language", "variant")]
    return contents, digest_of(contents)


def digest_of(contents: list[dict[str, Any]]) -> str:
    """The same for the same contents in the same order: by language, then variant."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def _pin_revision(campaign: Campaign, by: User | None) -> Revision:
    """The contents as they are now; the newest revision again if nothing changed since."""
    contents, digest = contents_of(campaign)
    newest = campaign.revisions.order_by("-number").first()
    if newest is not None and newest.digest == digest:
        return newest
    number = (campaign.revisions.aggregate(top=Max("number"))["top"] or 0) + 1
    return Revision.objects.create(
        workspace=campaign.workspace, campaign=campaign, number=number, contents=contents, digest=digest, created_by=by
    )


def _write_run(
    campaign: Campaign, revision: Revision, at: datetime, by: User | None, rule: dict[str, Any] | None = None
) -> Run:
    # A run undone before it started reached nobody: the same moment may be planned again.
    campaign.runs.filter(UNDONE, intended_at=at).delete()
    try:
        with transaction.atomic():
            return Run.objects.create(
                workspace=campaign.workspace,
                campaign=campaign,
                revision=revision,
                connection=active_connection(campaign),
                audience_rule=campaign.audience_rule if rule is None else rule,
                planned_by=by,
                **_times(campaign, at),
                **{name: getattr(campaign, name) for name in PINNED},
            )
    except IntegrityError as error:
        raise CannotPlan("This campaign has already run at that time; choose another.") from error


def _times(campaign: Campaign, at: datetime) -> dict[str, Any]:
    """When it starts, by when at the latest, and when it ends whatever is left."""
    expires = campaign.expires_after_mins
    return {
        "intended_at": at,
        "not_after": at + timedelta(minutes=campaign.start_within_mins),
        "ends_at": None if expires is None else at + timedelta(minutes=expires),
    }


def _set_status(campaign: Campaign, status: str) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(status=status)
    campaign.status = status
