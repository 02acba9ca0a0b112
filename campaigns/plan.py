"""The verbs of a campaign: schedule, pause, resume, cancel. Each checks nothing about roles: the
doors do.

A verb writes rows and rings a bell; delivery does the work. Each state change is one conditional
update on (state, epoch), so two people pressing two buttons at once cannot both win.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, F, Max, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.content.lint import ERROR, Finding, lint
from campaigns.models import Campaign, Revision, Run
from pushpilot.lib import clock, wake
from tenants import audit
from tenants.models import User, Workspace
from tenants.workspaces import lock_if_open

State = Run.State
UNDONE = Q(state=State.CANCELLED, started_at__isnull=True)
STARTED = (State.PREPARING, State.RUNNING)
OPEN = (State.PLANNED, *STARTED, State.PAUSED)  # with somebody left to send to
MEANWHILE = gettext_lazy(
    "Somebody changed this send at the same moment, or the send has started. Check the send again."
)
TAKEN = gettext_lazy("This campaign already has a send at that time. Choose another time.")
# What a run keeps of its campaign as it was when the run was planned.
PINNED = (
    "channel",
    "audience_rule",
    "target_kind",
    "target",
    "per_second",
    "avoid_quarter_hours",
    "ambiguity_policy",
)
# Where a paused run was: its size is known once the audience is fixed and cut.
WHERE_IT_STOPPED = Case(
    When(audience_size=None, then=Value(State.PREPARING)), default=Value(State.RUNNING)
)


class CannotPlan(Exception):
    """The campaign cannot do this now. `findings` says why, if the content is the cause."""

    def __init__(self, message: str, findings: list[Finding] | None = None) -> None:
        super().__init__(message)
        self.findings = findings or []


@transaction.atomic
def schedule(campaign: Campaign, *, by: User | None, now: datetime) -> Run:
    """Plan the campaign's (next) run and hint at the engine. Raises CannotPlan with the lint's
    errors.

    A send "now" is planned `settings.SEND_UNDO` ahead, so that it can be undone.
    """
    locked = Campaign.objects.select_for_update().select_related("workspace").get(pk=campaign.pk)
    if not locked.is_editable:
        raise CannotPlan(
            _("The campaign has the status “%(status)s” and cannot be scheduled again.")
            % {"status": locked.get_status_display()}
        )
    errors = [finding for finding in lint(locked, now) if finding.severity == ERROR]
    if errors:
        raise CannotPlan(errors[0].text, errors)
    intended_at = _first_moment(locked, now)
    run = _write_run(locked, _pin_revision(locked, by), intended_at, by)
    Campaign.objects.filter(pk=locked.pk).update(ended_at=None)
    _set_status(locked, Campaign.Status.SCHEDULED)
    campaign.status = locked.status
    audit.record(
        locked.workspace,
        "campaign scheduled",
        locked,
        by=by,
        detail={
            "run": run.pk,
            "intended_at": intended_at.isoformat(),
            "revision": run.revision.number,
        },
    )
    wake.ring("tick", at=intended_at)
    return run


@transaction.atomic
def send_right_away(run: Run, *, by: User | None, now: datetime) -> bool:
    """Skip the rest of the undo time. False if the run is no longer planned, or its workspace is
    closed."""
    if not lock_if_open(run.workspace):
        return False
    moved = Run.objects.filter(pk=run.pk, state=State.PLANNED).update(**_times(run.campaign, now))
    if moved:
        audit.record(
            run.workspace, "campaign sent right away", run.campaign, by=by, detail={"run": run.pk}
        )
        wake.ring("tick")
    return bool(moved)


@transaction.atomic
def plan_next(run: Run, now: datetime) -> Run | None:
    """The next occurrence of a recurring campaign, written in the transaction that launches this
    one."""
    # As it is now: a tick read it with the run, and somebody may have skipped a date or ended the
    # series since.
    campaign = (
        Campaign.objects.select_for_update(no_key=True)
        .select_related("workspace")
        .get(pk=run.campaign_id)
    )
    if not campaign.is_series or campaign.ended_at is not None:
        return None
    ahead = Q(intended_at__gt=now) | Q(occurrence_at__gt=now)
    others = list(Run.objects.filter(ahead, campaign=campaign).exclude(UNDONE).exclude(pk=run.pk))
    if any(other.state == State.PLANNED for other in others):
        return None  # one at a time, also if it was moved, or stayed on the clock of another zone
    taken = {
        run.intended_at,
        run.slot,
        *(at for other in others for at in (other.intended_at, other.slot)),
    }
    free = (at for at in campaign.dates(after=max(run.slot, now)) if at not in taken)
    at = next(free, None)
    if at is None:
        return None
    return write_next(campaign, at, run.planned_by)


def write_next(campaign: Campaign, at: datetime, by: User | None) -> Run:
    """Plan an occurrence of the series. Raises CannotPlan."""
    planned = _write_run(campaign, _pin_revision(campaign, by), at, by)
    wake.ring("tick", at=at)
    return planned


def lock(campaign: Campaign) -> Campaign:
    """The campaign as it is now, with its open runs locked until the transaction ends.

    Runs before their campaign, as a launch of the next occurrence locks them: else the two
    deadlock.
    """
    opened = Run.objects.filter(campaign=campaign.pk, state__in=OPEN)
    list(opened.order_by("pk").select_for_update().values_list("pk"))
    return (
        Campaign.objects.select_for_update(of=("self",))
        .select_related("workspace")
        .get(pk=campaign.pk)
    )


@transaction.atomic
def skip(run: Run, *, by: User | None, now: datetime) -> Run | None:
    """This planned occurrence does not happen; the series goes on. Returns the next one; None:
    that was the last.

    Raises CannotPlan if the run is not what was read any more.
    """
    campaign = lock(run.campaign)
    planned = campaign.runs.filter(pk=run.pk, state=State.PLANNED, epoch=run.epoch)
    if not campaign.is_series or not planned.update(state=State.CANCELLED, epoch=F("epoch") + 1):
        raise CannotPlan(str(MEANWHILE))
    day = run.slot.astimezone(campaign.zone).date().isoformat()
    skipped = sorted({*campaign.skip_dates, day})
    Campaign.objects.filter(pk=campaign.pk).update(skip_dates=skipped, updated_at=now)
    following = plan_next(run, now)
    settle_status(campaign, status_left(campaign, Campaign.Status.COMPLETED))
    audit.record(
        campaign.workspace,
        "campaign send skipped",
        campaign,
        by=by,
        detail={"run": run.pk, "date": day},
    )
    run.refresh_from_db(fields=["state", "epoch"])
    wake.ring("tick")
    return following


def status_left(campaign: Campaign, if_started: str) -> str:
    """The status of a campaign without an open run: draft, if nothing was ever sent."""
    has_started = campaign.runs.exclude(started_at=None).exists()
    if has_started:
        return if_started
    return Campaign.Status.DRAFT


def replan(run: Run, at: datetime, *, slot: datetime | None = None) -> bool:
    """Put a planned run at another moment; `slot`: the moment of its series, if that is another
    one. False if it is not what was read any more. Raises CannotPlan."""
    campaign = run.campaign
    if at != run.intended_at:
        campaign.runs.filter(UNDONE, intended_at=at).delete()
    planned = Run.objects.filter(pk=run.pk, state=State.PLANNED, epoch=run.epoch)
    try:
        with transaction.atomic():
            moved = planned.update(**_times(campaign, at), occurrence_at=slot, epoch=F("epoch") + 1)
    except IntegrityError as error:
        raise CannotPlan(str(TAKEN)) from error
    wake.ring("tick", at=at)
    return bool(moved)


def pause(run: Run, *, by: User | None) -> bool:
    """Every worker stops at its next group or chunk. False if the run is neither preparing nor
    sending."""
    return _move(run, STARTED, State.PAUSED, by, "campaign paused")


@transaction.atomic
def pause_for_cause(run: Run, why: str, *, tripped: str = "", epoch: int | None = None) -> bool:
    """Pause for a cause, by PushPilot itself; the owner reads it on the run page and resumes
    with one click. `tripped`: the cause of the circuit breaker, which the resume waives. False
    if the run is neither preparing nor sending, or not in `epoch` any more: a person who
    resumed it since has decided."""
    moved = _move(run, STARTED, State.PAUSED, None, "campaign paused", epoch, why=why[:500])
    if moved:
        Run.objects.filter(pk=run.pk).update(last_error=why[:500], tripped=tripped)
    return moved


@transaction.atomic
def resume(run: Run, *, by: User | None) -> bool:
    """Continue exactly where it stopped. False if the run is not paused, or its workspace is
    closed.

    Whoever resumes what the circuit breaker paused has seen its cause: it does not pause this
    run again.
    """
    if not lock_if_open(run.workspace):
        return False
    moved = _move(run, (State.PAUSED,), WHERE_IT_STOPPED, by, "campaign resumed")
    if moved:
        run.refresh_from_db(fields=["tripped", "waived"])
        waived = sorted({*run.waived, run.tripped} - {""})
        changes: dict[str, Any] = {
            "last_error": "",
            "tripped": "",
            "waived": waived,
            "last_outcomes": "",
        }
        # Whoever fixed its audience notices at the next chunk; nobody waits for that lease to end.
        changes |= {"owner": "", "lease_until": None}
        # replaced while the run was paused
        if run.connection is None or not run.connection.is_active:
            changes["connection"] = run.connection_in_use()
        Run.objects.filter(pk=run.pk).update(**changes)
        wake.ring("tick")
    return moved


@transaction.atomic
def cancel(run: Run, *, by: User | None) -> bool:
    """Stop for good; un-attempted recipients become "cancelled". A planned run is undone, of a
    series skipped, and the series goes on. False if it had ended."""
    if run.direct:
        moved = _move(run, (*STARTED, State.PAUSED), State.CANCELLED, by, "campaign cancelled")
        wake.ring("tick")
        return moved
    campaign = lock(run.campaign)
    if campaign.is_series:
        return _cancel_one(run, by)
    for states, action, left in (
        ((State.PLANNED,), "campaign send undone", Campaign.Status.DRAFT),
        ((*STARTED, State.PAUSED), "campaign cancelled", Campaign.Status.CANCELLED),
    ):
        if _move(run, states, State.CANCELLED, by, action):
            planned = Run.objects.filter(campaign=run.campaign_id, state=State.PLANNED)
            planned.update(state=State.CANCELLED, epoch=F("epoch") + 1)
            settle_status(run.campaign, left)
            wake.ring("tick")
            return True
    return False


def _cancel_one(run: Run, by: User | None) -> bool:
    try:
        skip(Run.objects.select_related("campaign").get(pk=run.pk), by=by, now=timezone.now())
    except CannotPlan:  # it has started
        if not _move(run, (*STARTED, State.PAUSED), State.CANCELLED, by, "campaign cancelled"):
            return False
        settle_status(run.campaign, Campaign.Status.CANCELLED)
        wake.ring("tick")
    run.refresh_from_db(fields=["state", "epoch"])
    return True


@transaction.atomic
def revise(run: Run, *, by: User | None) -> Revision | None:
    """Send the campaign's present contents to the remaining recipients of this run. Workers stop
    at their next group and go on with the new text. None if nothing changed, or the run is not
    planned or under way.
    """
    locked = Run.objects.select_for_update().select_related("revision").get(pk=run.pk)
    revision = _pin_revision(run.campaign, by)
    if locked.state not in OPEN or revision.pk == locked.revision_id:
        return None
    Run.objects.filter(pk=run.pk).update(revision=revision, epoch=F("epoch") + 1)
    detail = {"run": run.pk, "revision": revision.number, "was": locked.revision.number}
    audit.record(run.workspace, "campaign text changed", run.campaign, by=by, detail=detail)
    wake.ring("work")
    return revision


@transaction.atomic
def send_missed(run: Run, *, by: User | None, now: datetime) -> Run:
    """Send now, after all, what was missed: a run of its own with the same text and audience
    rule, so that the missed one stays in the history. Raises CannotPlan."""
    if not lock_if_open(run.workspace):
        raise CannotPlan(_("The workspace is being deleted."))
    campaign = (
        Campaign.objects.select_for_update().select_related("workspace").get(pk=run.campaign_id)
    )
    if run.state != State.MISSED or _is_overtaken(run, campaign, now):
        raise CannotPlan(
            _("A later send of this campaign is planned or has started. Nothing was sent again.")
        )
    again = _write_run(campaign, run.revision, now, by, like=run)
    settle_status(campaign, campaign.status)
    audit.record(
        run.workspace,
        "missed campaign sent",
        campaign,
        by=by,
        detail={"run": again.pk, "missed": run.pk},
    )
    wake.ring("tick")
    return again


def _is_overtaken(run: Run, campaign: Campaign, now: datetime) -> bool:
    """Whether a later run sends the same, or may have sent it: only the next occurrence of a
    series may be planned."""
    later = campaign.runs.filter(intended_at__gt=run.intended_at).exclude(state=State.MISSED)
    if campaign.schedule_type == Campaign.Schedule.RECURRING:
        later = later.exclude(state=State.PLANNED, intended_at__gt=now)
    return later.exclude(started_at=None, state__in=(State.CANCELLED, State.FAILED)).exists()


@transaction.atomic
def stop_everything(workspace: Workspace, by: User) -> None:
    """The workspace is being deleted: what has started is paused, and goes on only if a person
    says so.

    Planned runs are not launched while the workspace is closed, and count as missed if it opens
    again too late. None slips through: a run starts, and is resumed, only with the workspace
    locked and open.
    """
    for run in Run.objects.filter(workspace=workspace, state__in=STARTED).select_related(
        "workspace", "campaign"
    ):
        pause(run, by=by)


@transaction.atomic
def _move(
    run: Run,
    states: tuple[str, ...],
    to: str | Case,
    by: User | None,
    action: str,
    epoch: int | None = None,
    **detail: str,
) -> bool:
    found = Run.objects.filter(pk=run.pk, state__in=states)
    if epoch is not None:
        found = found.filter(epoch=epoch)
    if not found.update(state=to, epoch=F("epoch") + 1):
        return False
    settle_status(run.campaign, run.campaign.status)
    audit.record(run.workspace, action, run.campaign, by=by, detail={"run": run.pk, **detail})
    run.refresh_from_db(fields=["state", "epoch"])
    return True


def settle_status(campaign: Campaign, otherwise: str) -> None:
    """The campaign is what its runs are: one may be paused while the next one sends.
    `otherwise`: none is open. Call after the run itself was moved, in its transaction."""
    # Locked first: two runs that end at once would each see the other one under way.
    list(Campaign.objects.select_for_update(no_key=True).filter(pk=campaign.pk).values_list("pk"))
    opened = Run.objects.filter(campaign=campaign.pk, state__in=(State.PLANNED, *Run.ACTIVE_STATES))
    states = set(opened.values_list("state", flat=True))
    status = otherwise
    if states - {State.PLANNED, State.PAUSED}:
        status = Campaign.Status.RUNNING
    elif states:
        status = Campaign.Status.PAUSED if State.PAUSED in states else Campaign.Status.SCHEDULED
    _set_status(campaign, status)


def _first_moment(campaign: Campaign, now: datetime) -> datetime:
    if campaign.schedule_type == Campaign.Schedule.NOW:
        return now + settings.SEND_UNDO
    if campaign.scheduled_at is None:
        raise CannotPlan(_("Choose the date and time of the send."))
    if campaign.schedule_type == Campaign.Schedule.AT:
        return campaign.scheduled_at
    at = campaign.next_date(after=now)
    if at is None:
        raise CannotPlan(str(clock.NO_DATE))
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
        workspace=campaign.workspace,
        campaign=campaign,
        number=number,
        contents=contents,
        digest=digest,
        created_by=by,
    )


def _write_run(
    campaign: Campaign, revision: Revision, at: datetime, by: User | None, like: Run | None = None
) -> Run:
    """With what is pinned of the campaign as it is now, or of the run that it is `like`."""
    source = campaign if like is None else like
    # A run undone before it started reached nobody: the same moment may be planned again.
    campaign.runs.filter(UNDONE, intended_at=at).delete()
    try:
        with transaction.atomic():
            return Run.objects.create(
                workspace=campaign.workspace,
                campaign=campaign,
                revision=revision,
                connection=source.connection_in_use(),
                planned_by=by,
                **_times(campaign, at),
                **{name: getattr(source, name) for name in PINNED},
            )
    except IntegrityError as error:
        raise CannotPlan(str(TAKEN)) from error


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
