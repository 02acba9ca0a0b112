"""Figures and events by API: the numbers of the console's dashboard and reports."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router, Schema
from pydantic import Field

from campaigns.models import Campaign
from pushpilot.lib.lists import Stream
from pushpilot.lib.problems import Problem
from reports import events, funnel, queries
from reports.filters import EventFilters
from reports.models import Event
from tenants import keys, roles
from tenants.api.security import Access, at_work, caller_of
from tenants.models import Workspace

router = Router(tags=["Analytics"])
READER = Access(keys.ANALYTICS_READ)


class Summary(Schema):
    total_notifications_sent: int = Field(description="Accepted by a provider, ever.")
    today_notifications: int = Field(
        description="Accepted in the sends that started since midnight in the workspace's zone."
    )
    next_notification_time: datetime | None = Field(description="When the next send is planned.")
    active_campaign_count: int = Field(description="Scheduled, running or paused.")
    connected_applications_count: int = Field(description="Connections in use.")


class ReasonCount(Schema):
    reason: str
    label: str
    count: int


class CampaignFigures(Schema):
    """All sends of a campaign that have started. A percentage is null where there is nothing to
    be a part of; what only the provider knows is null."""

    campaign_id: int
    is_broadcast: bool = Field(
        description="All sends went to subscribers that only the provider knows."
    )
    is_live: bool = Field(description="A send is under way, so the figures still grow.")
    messages: int = Field(description="The sum of `reasons`.")
    audience: int | None = Field(description="Recipients; null for a broadcast.")
    sent: int = Field(description="Accepted by the provider.")
    delivered: int | None = Field(description="Recipients whose app reported it; as are the next.")
    opened: int | None
    clicked: int | None
    converted: int | None
    failed: int = Field(description="Refused by the provider, or the address is gone.")
    unknown: int = Field(description="The provider did not answer; the message may have arrived.")
    delivered_percent: float | None = Field(description="Of `sent`, as are the next.")
    opened_percent: float | None
    clicked_percent: float | None
    converted_percent: float | None
    failed_percent: float | None = Field(description="Of the messages that were attempted.")
    reasons: list[ReasonCount] = Field(description="What became of each message.")


class EventOut(Schema):
    id: int
    event_id: str = Field(description="As its sender gave it.")
    event_type: str
    name: str = Field(description="Of a custom event.")
    campaign_id: int | None
    run_id: int | None
    notification_id: int | None
    external_user_id: str = Field(description="The contact, or the id that the app reported.")
    occurred_at: datetime
    received_at: datetime
    metadata: dict[str, Any]


EVENTS = Stream(EventFilters, EventOut, by="occurred_at")


@router.get(
    "/analytics/summary", response=Summary, auth=READER, summary="The figures of the dashboard"
)
def analytics_summary(request: HttpRequest) -> dict[str, Any]:
    now = timezone.now()
    with at_work(request, roles.VIEW) as workspace:
        live = queries.live_tallies(workspace)
        today = queries.runs_since(workspace, queries.day_start(workspace, now, 0), live)
        return {
            "total_notifications_sent": queries.total_messages_sent(workspace, live),
            "today_notifications": queries.messages_sent_today(workspace, now, today),
            "next_notification_time": queries.next_send_time(workspace, now),
            "active_campaign_count": queries.active_campaign_count(workspace),
            "connected_applications_count": queries.connected_applications_count(workspace),
        }


@router.get(
    "/analytics/campaign/{int:campaign}",
    response=CampaignFigures,
    auth=READER,
    summary="The figures of a campaign",
)
def analytics_campaign(request: HttpRequest, campaign: int) -> dict[str, Any]:
    """Of all its sends that have started."""
    with at_work(request, roles.VIEW):
        found = Campaign.objects.filter(pk=campaign).first()
        if found is None:
            detail = _("This workspace has no such campaign.")
            raise Problem(404, "campaign_not_found", detail)
        return _figures(found)


def _figures(campaign: Campaign) -> dict[str, Any]:
    started = queries.started_runs_of(campaign.pk)
    figures = funnel.funnel_of(started, queries.everybody(queries.people_of_campaign(campaign.pk)))
    is_broadcast = bool(started) and all(run.is_broadcast for run in started)
    told: dict[str, Any] = {"audience": figures["audience"].count}
    for key in funnel.REPORTED:
        told[key], told[f"{key}_percent"] = figures[key].count, _rounded(figures[key].percent)
    if is_broadcast:
        told = dict.fromkeys(told)
    return {
        "campaign_id": campaign.pk,
        "is_broadcast": is_broadcast,
        "is_live": figures.is_live,
        "messages": figures["audience"].count,
        "sent": figures["accepted"].count,
        "failed": figures["failed"].count,
        "failed_percent": _rounded(figures.failed_percent),
        "unknown": figures["unknown"].count,
        "reasons": [
            {"reason": row.reason.slug, "label": row.told.label, "count": row.count}
            for row in funnel.reasons(started, campaign.channel)
        ],
        **told,
    }


def _rounded(percent: float | None) -> float | None:
    if percent is None:
        return None
    return round(percent, 2)


@router.get("/analytics/events", **EVENTS.route, auth=READER, summary="Events")
def analytics_events(request: HttpRequest) -> dict[str, Any]:
    """What happened to messages and people, the newest first. References of messages are left
    out of ids and metadata for a person who may not send."""
    with at_work(request, roles.VIEW) as workspace:
        shows_refs = _shows_refs(request, workspace)
        rows = events.with_names(Event.objects.all())
        return EVENTS.page(request, rows, lambda row: _event(row, shows_refs=shows_refs))


def _shows_refs(request: HttpRequest, workspace: Workspace) -> bool:
    user = caller_of(request).user
    return user is not None and roles.can(user, roles.SEND, workspace)


def _event(row: Any, *, shows_refs: bool) -> dict[str, Any]:
    return {
        "id": row.pk,
        "event_id": events.visible(row.event_id, shows_refs=shows_refs),
        "event_type": row.type,
        "name": events.visible(row.name, shows_refs=shows_refs),
        "campaign_id": row.campaign_id,
        "run_id": row.run_id,
        "notification_id": row.message_id,
        "external_user_id": row.contact_name or row.external_user_id,
        "occurred_at": row.occurred_at,
        "received_at": row.received_at,
        "metadata": events.visible_data(row.metadata, shows_refs=shows_refs),
    }
