"""The page "Events": what happened to messages, newest first. And the live figures that report
panels ask for."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, QuerySet, Value
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from campaigns.models import Campaign, Run, lane_title
from pushpilot.lib.display import exact_moment
from reports import events, panels
from reports.models import Event, EventType
from tenants import roles
from tenants.admin.base import ReadOnlyAdmin, moment, require, workspace_of
from tenants.admin.lists import choices_filter

LABELS = {
    EventType.DELIVERED: "info",
    EventType.OPENED: "success",
    EventType.CLICKED: "success",
    EventType.CONVERTED: "success",
    EventType.SUBSCRIBED: "success",
    EventType.UNSUBSCRIBED: "warning",
    EventType.FAILED: "danger",
}


class EventAdmin(ReadOnlyAdmin):
    """Made for millions of rows: no count(*), no filter whose choices are read from the table,
    no joins but two keyed look-ups for the rows shown."""

    list_display = ["type_label", "who", "campaign_link", "happened_cell", "shown_id"]
    list_filter = [("type", choices_filter(gettext_lazy("type")))]
    list_fullwidth = True
    list_per_page = 50
    paginator = InfinitePaginator
    ordering = ["-id"]
    list_select_related = ["workspace"]
    sortable_by: list[str] = []
    empty_title = gettext_lazy("No events yet")
    empty_text = gettext_lazy(
        "Apps report deliveries, opens and clicks here. Create a write key under API keys and add "
        "it to your app."
    )
    fields = [
        ("event_type", "event_name"),
        ("happened", "received"),
        ("who", "campaign_link"),
        "shown_id",
        "details",
    ]
    readonly_fields = [
        "event_type",
        "event_name",
        "happened",
        "received",
        "who",
        "campaign_link",
        "shown_id",
        "details",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        may_send = roles.can(request.user, roles.SEND, workspace_of(request))
        found: QuerySet[Any] = events.with_names(super().get_queryset(request)).annotate(
            shows_refs=Value(may_send, output_field=BooleanField())
        )
        return found

    @display(description=gettext_lazy("Event"), label=LABELS)
    def type_label(self, event: Event) -> tuple[str, str]:
        label = str(EventType(event.type).label)
        name = _visible(event, event.name)
        return event.type, f"{label}: {name}" if name else label

    @admin.display(description=gettext_lazy("Contact"))
    def who(self, event: Any) -> str:
        return event.contact_name or event.external_user_id or "–"

    @admin.display(description=gettext_lazy("Campaign"))
    def campaign_link(self, event: Any) -> str:
        if event.lane:
            return lane_title(event.lane)
        if not event.campaign_name:
            return "–"
        address = reverse("admin:campaigns_campaign_change", args=[event.campaign_id])
        return format_html('<a href="{}">{}</a>', address, event.campaign_name)

    @admin.display(description=gettext_lazy("Happened"))
    def happened_cell(self, event: Event) -> SafeString:
        return format_html(
            '<time title="{}">{}</time>',
            self._local(event, event.occurred_at),
            moment(event.occurred_at, event.workspace),
        )

    @admin.display(description=gettext_lazy("Happened"))
    def happened(self, event: Event) -> str:
        return self._local(event, event.occurred_at)

    @admin.display(description=gettext_lazy("Received"))
    def received(self, event: Event) -> str:
        return self._local(event, event.received_at)

    @admin.display(description=gettext_lazy("Event id"))
    def shown_id(self, event: Any) -> str:
        return _visible(event, event.event_id)

    @admin.display(description=gettext_lazy("Event"))
    def event_type(self, event: Event) -> str:
        return str(EventType(event.type).label)

    @admin.display(description=gettext_lazy("Name"))
    def event_name(self, event: Event) -> str:
        return _visible(event, event.name) or "–"

    @admin.display(description=gettext_lazy("Reported by the app"))
    def details(self, event: Any) -> str:
        if not event.metadata:
            return _("Nothing more")
        told = events.visible_data(event.metadata, shows_refs=event.shows_refs)
        lines = (
            (key, value if isinstance(value, str) else json.dumps(value))
            for key, value in told.items()
        )
        return format_html_join(mark_safe("<br>"), "{}: {}", lines)

    @staticmethod
    def _local(event: Event, at: datetime) -> str:
        return exact_moment(at, event.workspace.zone)

    # --- live figures -----------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        guard = self.admin_site.admin_view
        return [
            path(
                "campaign/<int:pk>/funnel/",
                guard(self.campaign_funnel),
                name="reports_campaign_funnel",
            ),
            path("run/<int:pk>/funnel/", guard(self.run_funnel), name="reports_run_funnel"),
            path("run/<int:pk>/figures/", guard(self.run_figures), name="reports_run_figures"),
            *super().get_urls(),
        ]

    def campaign_funnel(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The campaign's funnel as a fragment of HTML, for htmx."""
        require(request, roles.VIEW)
        campaign = Campaign.objects.filter(pk=pk).first()
        if campaign is None:
            raise Http404("no such campaign")
        return HttpResponse(panels.campaign_funnel(campaign))

    def run_funnel(self, request: HttpRequest, pk: int) -> HttpResponse:
        return HttpResponse(panels.run_funnel(self._run(request, pk)))

    def run_figures(self, request: HttpRequest, pk: int) -> JsonResponse:
        """{"audience": 3000, "accepted": 2900, "delivered": 2800, …, "is_live": true}"""
        return JsonResponse(panels.run_figures(self._run(request, pk)))

    def _run(self, request: HttpRequest, pk: int) -> Run:
        require(request, roles.VIEW)
        run = Run.objects.filter(pk=pk).select_related("campaign").first()
        if run is None:
            raise Http404("no such run")
        return run


def _visible(event: Any, text: str) -> str:
    return events.visible(text, shows_refs=event.shows_refs)
