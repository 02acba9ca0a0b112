"""What a new time zone of the workspace may move, in words: each planned send and series with
both readings."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from campaigns.admin.words import schedule_words
from campaigns.models import Run
from campaigns.schedule.zones import moved_to, planned_runs
from pushpilot.lib.display import planned_moment
from tenants.models import Workspace
from tenants.workspaces import PlannedSend


def planned_sends(workspace: Workspace, zone: str, now: datetime) -> list[PlannedSend]:
    return [_told(run, zone, now) for run in planned_runs(workspace, zone, now)]


def _told(run: Run, zone: str, now: datetime) -> PlannedSend:
    """ "Mon 7 Dec, 09:00 IST = Sun 6 Dec, 22:30 EST" and "Mon 7 Dec, 09:00 EST"."""
    campaign, new = run.campaign, ZoneInfo(zone)
    at = moved_to(run, zone, now)
    stays = (
        f"{planned_moment(run.intended_at, campaign.zone, now)} = "
        f"{planned_moment(run.intended_at, new, now)}"
    )
    moves = "" if at is None else planned_moment(at, new, now)
    if campaign.is_series:
        if at is None:
            moves = _(
                "The next send stays, because its new time has passed. The sends after it follow "
                "%(zone)s time."
            ) % {"zone": zone}
        stays = _("%(schedule)s. Next send: %(moments)s") % {
            "schedule": schedule_words(campaign, now),
            "moments": stays,
        }
    return PlannedSend(campaign.pk, campaign.name, stays, moves)
