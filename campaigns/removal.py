"""Delete a campaign that no provider ever got a message of. A campaign that was sent stays, with
the record of its recipients."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Run
from tenants import audit
from tenants.admin import change_diff
from tenants.models import User

ATTEMPTED = {reason.slug for reason in Reason if reason.is_attempted}


def why_not(campaign: Campaign) -> str:
    """The sentence that says why the campaign is kept; "" if it may go."""
    if not campaign.is_editable:
        return _("The campaign is scheduled or being sent. Cancel it first.")
    for run in (
        Run.objects.filter(campaign=campaign.pk)
        .exclude(started_at=None)
        .only("state", "tally", "finished_at")
    ):
        if run.finished_at is None:
            return _("A send of the campaign is still ending. Try again in a moment.")
        if ATTEMPTED & {slug for slug, count in run.tally.items() if count}:
            return _("The campaign has been sent. PushPilot keeps the record of its recipients.")
    return ""


@transaction.atomic
def remove(campaign: Campaign, *, by: User | None) -> str:
    """Delete the campaign with its runs. Returns why not, as `why_not`; then nothing is deleted."""
    locked = Campaign.objects.select_for_update().get(pk=campaign.pk)  # a schedule locks it too
    if kept := why_not(locked):
        return kept
    changes = change_diff.of_deletion(locked)
    audit.record(locked.workspace, "campaign deleted", locked, by=by, changes=changes)
    locked.runs.all().delete()  # before the revisions, which they protect
    locked.delete()
    return ""
