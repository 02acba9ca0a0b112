"""The page “Change the schedule” of a campaign on its way: when its next sends go out, and
nothing else of it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.admin.campaign.schedule import ScheduleForm
from campaigns.admin.words import both_clocks, next_send_words, schedule_words
from campaigns.models import Campaign, Run
from campaigns.plan import CannotPlan
from campaigns.schedule import series
from pushpilot.lib.display import zoned_time
from tenants import roles
from tenants.admin.base import WorkspaceAdmin, require
from tenants.models import User


def page(admin: WorkspaceAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """GET shows the form, POST saves it: both need the right to edit and the right to send."""
    require(request, roles.EDIT)
    workspace = require(request, roles.SEND)
    campaign: Campaign = admin.found(request, str(pk))
    campaign.workspace = workspace
    planned = series.planned_run(campaign)
    if not series.can_reschedule(campaign, has_planned=planned is not None):
        return _too_late(request, campaign)
    if request.method != "POST":
        return _shown(admin, request, ScheduleForm(campaign), planned)
    form = ScheduleForm(campaign, request.POST)
    if not form.is_valid():
        return _shown(admin, request, form, planned, seen=request.POST.get("seen", ""))
    return _saved(admin, request, form)


def _saved(admin: WorkspaceAdmin, request: HttpRequest, form: ScheduleForm) -> HttpResponse:
    campaign, now, seen = form.campaign, timezone.now(), request.POST.get("seen", "")
    assert isinstance(request.user, User)
    try:
        run = series.reschedule(form.rescheduled(), by=request.user, now=now, seen=seen)
    except series.ChangedMeanwhile:
        campaign.refresh_from_db()
        planned = series.planned_run(campaign)
        if not series.can_reschedule(campaign, has_planned=planned is not None):
            return _too_late(request, campaign)
        return _shown(admin, request, form, planned, has_changed=True)
    except CannotPlan as error:
        form.add_error(
            "ends" if campaign.is_series and form.cleaned_data["ends"] else "scheduled_at",
            str(error),
        )
        return _shown(admin, request, form, series.planned_run(campaign), seen=seen)
    if run is None:
        messages.info(request, _("The schedule did not change."))
    else:
        when = both_clocks(run.intended_at, run.campaign, now)
        messages.success(
            request,
            _("The schedule is saved. The next send starts on %(moment)s.") % {"moment": when},
        )
    return redirect("admin:campaigns_campaign_change", campaign.pk)


def _shown(
    admin: WorkspaceAdmin,
    request: HttpRequest,
    form: ScheduleForm,
    planned: Run | None,
    *,
    seen: str = "",
    has_changed: bool = False,
) -> HttpResponse:
    """`seen`: the version that the page was opened with, the present one by default.
    `has_changed`: it was another."""
    campaign, now = form.campaign, timezone.now()
    at, next_send = "", ""
    if planned:
        at = both_clocks(planned.intended_at, campaign, now)
        next_send = next_send_words(planned, planned.intended_at, campaign.zone, now)
    context: dict[str, Any] = {
        "campaign": campaign,
        "form": form,
        "planned": at,
        "next_send": next_send,
        "stored_words": schedule_words(campaign, now) if has_changed else "",
        "seen": seen or series.version(campaign, planned),
        "zone_name": campaign.zone.key,
        "zone_now": zoned_time(now, campaign.zone),
        "dates_url": reverse("admin:campaigns_campaign_dates"),
    }
    return admin.page(
        request,
        "campaigns/schedule.html",
        _("Change the schedule: %(campaign)s") % {"campaign": campaign},
        **context,
    )


def _too_late(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    messages.error(
        request,
        _(
            "You cannot change the schedule: the campaign has no planned send. The status of the "
            "campaign is “%(status)s”."
        )
        % {"status": campaign.get_status_display()},
    )
    return redirect("admin:campaigns_campaign_change", campaign.pk)
