"""The text of a campaign on its way is changed: who has the old one keeps it, everybody else
gets the new one."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Case, Value, When
from django.utils import timezone

from campaigns import plan
from campaigns.models import Campaign, Content, Run
from campaigns.plan import OPEN
from tenants.models import User

_UNDER_WAY_FIRST = Case(When(state=Run.State.PLANNED, then=Value(1)), default=Value(0))


class Ended(Exception):
    """No run of the campaign is open any more."""


class ChangedMeanwhile(Exception):
    """The contents or the open runs are others than those that the change was made on."""


def open_runs(campaign: Campaign) -> list[Run]:
    """The runs that a new text would reach, those under way first. Empty while the campaign is
    edited as a draft."""
    if campaign.is_editable:
        return []
    return list(campaign.runs.filter(state__in=OPEN).order_by(_UNDER_WAY_FIRST, "intended_at"))


@transaction.atomic
def rewrite(campaign: Campaign, content: Content, *, seen: str, by: User | None) -> list[Run]:
    """Write the content and pin it for the campaign's open runs; returns those whose text
    changed, none if it is the same as before. `seen`: the digest (plan.contents_of) of the
    contents that the change was made on.

    Raises Ended or ChangedMeanwhile; then nothing is written.
    """
    # Runs before the campaign, as every other verb does; what moves a run waits for its row.
    held = list(
        campaign.runs.select_for_update()
        .filter(state__in=OPEN)
        .order_by(_UNDER_WAY_FIRST, "pk")
        .values_list("pk")
    )
    locked = Campaign.objects.select_for_update().select_related("workspace").get(pk=campaign.pk)
    runs = open_runs(locked)
    if not runs:
        raise Ended
    if {(run.pk,) for run in runs} != set(held) or plan.contents_of(locked)[1] != seen:
        raise ChangedMeanwhile
    content.campaign, content.workspace = locked, locked.workspace
    content.save()
    Campaign.objects.filter(pk=locked.pk).update(updated_by=by, updated_at=timezone.now())
    return [run for run in runs if plan.revise(run, by=by)]
