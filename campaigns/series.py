"""What a person does to a schedule that is under way: move one send, change the rhythm, end it.

Skipping one is `plan.skip`. Every verb locks the open runs and then the campaign, as a launch does, and moves
a run only as it was read.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from campaigns import plan
from campaigns.models import Campaign, Run
from campaigns.plan import MEANWHILE, OPEN, CannotPlan
from pushpilot.lib import clock, wake
from tenants import audit
from tenants.models import User

State = Run.State
TIMES = ("schedule_type", "wall_clock", "time_zone", "recurrence_rule", "skip_dates")


@transaction.atomic
def move(run: Run, to: datetime, *, by: User, now: datetime) -> None:
    """Send this planned occurrence at another moment; the rhythm of its series stays. Raises CannotPlan."""
    campaign = plan.lock(run.campaign)
    if to <= now:
        raise CannotPlan("Choose a time that is still to come.")
    slot = None
    if campaign.is_series:
        slot = run.slot
        following = campaign.next_date(after=slot)
        if following is not None and to >= following:
            raise CannotPlan("Choose a time before the next send of this series, or skip this one.")
    if not plan.replan(run, to, slot=None if slot == to else slot):
        raise CannotPlan(MEANWHILE)
    if not campaign.is_series:
        campaign.scheduled_at = to
        campaign.save(update_fields=["wall_clock", "time_zone"])
    detail = {"run": run.pk, "was": run.intended_at.isoformat(), "intended_at": to.isoformat()}
    audit.record(campaign.workspace, "campaign send moved", campaign, by=by, detail=detail)


@transaction.atomic
def reschedule(campaign: Campaign, *, by: User, now: datetime) -> Run:
    """Write the schedule as it stands in `campaign`, and plan its next send by it: the planned run moves, what is being
    sent goes on. Raises CannotPlan; then nothing is written.
    """
    stored = plan.lock(campaign)
    if stored.is_editable or stored.schedule_type != campaign.schedule_type or stored.ended_at is not None:
        raise CannotPlan(MEANWHILE)
    changes = {name: (getattr(stored, name), getattr(campaign, name)) for name in TIMES}
    for name, (_, after) in changes.items():
        setattr(stored, name, after)
    try:
        at = stored.next_date(after=now) if stored.is_series else stored.scheduled_at
    except clock.RecurrenceError as error:
        raise CannotPlan(str(error)) from error
    if at is None or at <= now:
        raise CannotPlan(clock.NO_DATE if stored.is_series else "The chosen time has passed; choose a later one.")
    stored.save(update_fields=[*TIMES, "updated_at"])
    runs = Run.objects.select_related("campaign", "workspace").filter(campaign=stored, state=State.PLANNED)
    run = runs.order_by("intended_at").last()
    if run is None and not stored.is_series:
        raise CannotPlan(MEANWHILE)
    if run is None:
        run = plan.write_next(stored, at, by)
    elif not plan.replan(run, at):
        raise CannotPlan(MEANWHILE)
    plan.settle_status(stored, stored.status)
    changed = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
    detail = {"run": run.pk, "intended_at": at.isoformat()}
    audit.record(stored.workspace, "campaign schedule changed", stored, by=by, detail=detail, changes=changed)
    return Run.objects.get(pk=run.pk)


@transaction.atomic
def end(campaign: Campaign, *, by: User, now: datetime, at_once: bool) -> bool:
    """Nothing of the series is sent any more; what is being sent goes on, unless `at_once`. False if it has ended."""
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
