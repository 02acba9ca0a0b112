"""The list of campaigns: its tabs with their counts, and each campaign's runs."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy

from campaigns.models import Campaign, Run
from pushpilot.lib.display import Words, format_number
from tenants.admin.base import workspace_of
from tenants.admin.lists import FilteredList

Status = Campaign.Status
# The tabs over the list: (title, the statuses behind it).
TABS = (
    (gettext_lazy("All"), ()),
    (gettext_lazy("Draft"), (Status.DRAFT, Status.IN_REVIEW, Status.APPROVED)),
    (gettext_lazy("Scheduled"), (Status.SCHEDULED,)),
    (gettext_lazy("Running"), (Status.RUNNING, Status.PAUSED)),
    (gettext_lazy("Completed"), (Status.COMPLETED,)),
    (gettext_lazy("Cancelled"), (Status.CANCELLED, Status.FAILED)),
)


def status_tabs(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's tabs over the campaign list, each with its count; nothing (and no query) on other
    pages."""
    match = request.resolver_match
    if match is None or match.url_name != "campaigns_campaign_changelist":
        return []
    # Unfold asks twice per page: for the tabs and for the sidebar
    if not hasattr(request, "_status_tabs"):
        request._status_tabs = _status_tabs(request)  # type: ignore[attr-defined]
    tabs: list[dict[str, Any]] = request._status_tabs  # type: ignore[attr-defined]
    return tabs


def _status_tabs(request: HttpRequest) -> list[dict[str, Any]]:
    counts = dict(
        Campaign.objects.filter(workspace=workspace_of(request))
        .values_list("status")
        .annotate(n=Count("pk"))
    )
    chosen = request.GET.get("status__in", "")
    items = []
    for title, statuses in TABS:
        value = ",".join(statuses)
        count = sum(counts.get(status, 0) for status in statuses or counts)
        shown: Words = title
        if count:
            figure = format_number(count)
            shown = format_html('{} <span class="cp-tab-count">{}</span>', title, figure)
        link = request.path
        if value:
            link = f"{request.path}?status__in={value}"
        items.append({"title": shown, "link": link, "active": chosen == value})
    return [{"models": ["campaigns.campaign"], "items": items}]


class CampaignList(FilteredList):
    """A page of the list, with each campaign's last run that started and its next planned one
    (one query for all)."""

    own_links = frozenset({"status__in"})  # of the tabs
    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        campaigns = list(self.result_list)
        wanted = {
            pk
            for campaign in campaigns
            for pk in (campaign.last_run_id, campaign.next_run_id)
            if pk
        }
        runs = {}
        if wanted:
            runs = Run.objects.in_bulk(wanted)
        for campaign in campaigns:
            campaign.workspace = workspace_of(request)
            campaign.last_run, campaign.next_run = (
                runs.get(campaign.last_run_id),
                runs.get(campaign.next_run_id),
            )
        self.result_list = campaigns
        # Unfold says "36 results (Show all)" where they differ
        self.full_result_count = self.result_count
