"""What is done to all sends of a campaign at once, for who names the campaign and not one send."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns import drafts, plan
from campaigns.models import Campaign, Run
from campaigns.plan import OPEN, STARTED, CannotPlan
from campaigns.schedule import series
from tenants.models import User
from tenants.workspaces import lock_if_open

State = Run.State


@transaction.atomic
def schedule(
    campaign: Campaign, given: Mapping[str, Any], *, by: User | None, now: datetime
) -> Run:
    """Plan the campaign's (next) send, after these fields of its schedule are changed
    (drafts.change). Raises CannotPlan, NotEditable, or ValidationError by path; then nothing is
    changed."""
    if given:
        campaign = drafts.change(campaign, given, by=by, now=now)
    return plan.schedule(campaign, by=by, now=now)


@transaction.atomic
def cancel(campaign: Campaign, *, by: User | None, now: datetime) -> None:
    """Nothing of the campaign is sent any more, and a series ends. Raises CannotPlan if there is
    nothing to stop."""
    held = plan.lock(campaign)
    if series.end(held, by=by, now=now, at_once=True):
        return
    stopped = [plan.cancel(run, by=by) for run in _runs(held, OPEN)]
    if not any(stopped):
        raise CannotPlan(_("No send of this campaign is planned or under way."))


@transaction.atomic
def pause(campaign: Campaign, *, by: User | None) -> None:
    """Stop what is being sent until somebody resumes it. Raises CannotPlan."""
    held = plan.lock(campaign)
    paused = [plan.pause(run, by=by) for run in _runs(held, STARTED)]
    if any(paused):
        return
    if _runs(held, (State.PLANNED,)):
        raise CannotPlan(_("The send has not started yet. Cancel the campaign instead."))
    raise CannotPlan(_("No send of this campaign is under way."))


@transaction.atomic
def resume(campaign: Campaign, *, by: User | None) -> None:
    """Go on with what is paused. Raises CannotPlan."""
    lock_if_open(campaign.workspace)  # first, as every verb that starts something does
    held = plan.lock(campaign)
    resumed = [plan.resume(run, by=by) for run in _runs(held, (State.PAUSED,))]
    if not any(resumed):
        raise CannotPlan(_("No send of this campaign is paused."))


def _runs(campaign: Campaign, states: Collection[str]) -> list[Run]:
    found = campaign.runs.filter(state__in=states).select_related("campaign", "workspace")
    return list(found.order_by("pk"))
