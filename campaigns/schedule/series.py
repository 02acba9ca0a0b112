"""What a person does to a schedule that is under way: move one send, change the rhythm, end it.

Skipping one is `plan.skip`. Every verb locks the open runs and then the campaign, as a launch
does, and moves a run only as it was read.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns import plan
from campaigns.models import Campaign, Run
from campaigns.plan import MEANWHILE, OPEN, CannotPlan
from pushpilot.lib import clock, wake
from tenants import audit
from tenants.models import User

State = Run.State
PASSED = gettext_lazy("The chosen time has passed. Choose a later time.")
ON_ITS_WAY = (Campaign.Status.SCHEDULED, Campaign.Status.RUNNING, Campaign.Status.PAUSED)
TIMES = ("schedule_type", "wall_clock", "time_zone", "recurrence_rule", "skip_dates")


class ChangedMeanwhile(CannotPlan):
    """The schedule or the planned send is another one than the change was made on."""


@transaction.atomic
def move(run: Run, to: datetime, *, by: User | None, now: datetime) -> None:
    """Send this planned occurrence at another moment; the rhythm of its series stays. Raises
    CannotPlan."""
    campaign = plan.lock(run.campaign)
    if to <= now:
        raise CannotPlan(_("The chosen time has passed. Choose a later time."))
    slot = None
    if campaign.is_series:
        slot = run.slot
        following = campaign.next_date(after=slot)
        if following is not None and to >= following:
            raise CannotPlan(
                _("Choose a time before the next send of this series, or skip this send.")
            )
    if not plan.replan(run, to, slot=None if slot == to else slot):
        raise CannotPlan(str(MEANWHILE))
    if not campaign.is_series:
        campaign.scheduled_at = to
        campaign.save(update_fields=["wall_clock", "time_zone"])
    detail = {"run": run.pk, "was": run.intended_at.isoformat(), "intended_at": to.isoformat()}
    audit.record(campaign.workspace, "campaign send moved", campaign, by=by, detail=detail)


@transaction.atomic
def reschedule(campaign: Campaign, *, by: User | None, now: datetime, seen: str = "") -> Run | None:
    """Write the schedule as it stands in `campaign`, and plan its next send by it: the planned
    run moves, what is being sent goes on. None if that changes nothing. `seen`: the `version`
    that the change was made on.

    Raises CannotPlan if it gives no time, ChangedMeanwhile if the campaign is not what was read;
    then nothing is written.
    """
    stored = plan.lock(campaign)
    run = planned_run(stored)
    if stored.schedule_type != campaign.schedule_type or not can_reschedule(
        stored, has_planned=run is not None
    ):
        raise ChangedMeanwhile(str(MEANWHILE))
    if seen not in ("", version(stored, run)):
        raise ChangedMeanwhile(str(MEANWHILE))
    changes = {name: (getattr(stored, name), getattr(campaign, name)) for name in TIMES}
    for name in TIMES:
        setattr(stored, name, getattr(campaign, name))
    try:
        at = stored.next_date(after=now) if stored.is_series else stored.scheduled_at
    except clock.RecurrenceError as error:
        raise CannotPlan(str(error)) from error
    if at is None or at <= now:
        raise CannotPlan(str(clock.NO_DATE if stored.is_series else PASSED))
    changed = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
    if not changed and run is not None and run.intended_at == at:
        return None
    stored.updated_by = by
    stored.save(update_fields=[*TIMES, "updated_by", "updated_at"])
    if run is None:
        run = plan.write_next(stored, at, by)
    elif not plan.replan(run, at):
        raise ChangedMeanwhile(str(MEANWHILE))
    plan.settle_status(stored, stored.status)
    detail = {"run": run.pk, "intended_at": at.isoformat()}
    audit.record(
        stored.workspace, "campaign schedule changed", stored, by=by, detail=detail, changes=changed
    )
    return Run.objects.get(pk=run.pk)


def planned_run(campaign: Campaign) -> Run | None:
    """The next send of the campaign that has not started."""
    runs = Run.objects.select_related("campaign", "workspace").filter(
        campaign=campaign, state=State.PLANNED
    )
    return runs.order_by("intended_at").last()


def can_reschedule(campaign: Campaign, *, has_planned: bool) -> bool:
    """Whether its schedule can change: that of a series until it has ended, that of a single
    send until it starts."""
    if campaign.status not in ON_ITS_WAY or campaign.ended_at is not None:
        return False
    return campaign.is_series or (campaign.schedule_type == Campaign.Schedule.AT and has_planned)


def version(campaign: Campaign, planned: Run | None) -> str:
    """Another one for another schedule, and for another planned send."""
    send = None if planned is None else (planned.pk, planned.intended_at.isoformat())
    parts = [*(getattr(campaign, name) for name in TIMES), send]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@transaction.atomic
def end(campaign: Campaign, *, by: User | None, now: datetime, at_once: bool) -> bool:
    """Nothing of the series is sent any more; what is being sent goes on, unless `at_once`.
    False if it has ended."""
    stored = plan.lock(campaign)
    if not stored.is_series or stored.is_editable or stored.ended_at is not None:
        return False
    Campaign.objects.filter(pk=stored.pk).update(ended_at=now)
    states = OPEN if at_once else (State.PLANNED,)
    stopped = list(stored.runs.filter(state__in=states).order_by("pk").values_list("pk", flat=True))
    stored.runs.filter(pk__in=stopped).update(state=State.CANCELLED, epoch=F("epoch") + 1)
    plan.settle_status(stored, plan.status_left(stored, Campaign.Status.CANCELLED))
    audit.record(stored.workspace, "series ended", stored, by=by, detail={"runs": stopped})
    wake.ring("tick")
    return True
