"""Contacts in the console: who they are, where they can be reached, what they agreed to.
Read-only."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib.admin.views.main import ChangeList as DjangoChangeList
from django.db.models import Count, Max, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from campaigns.admin import slots
from campaigns.admin.contact import consents
from campaigns.admin.contact import devices as health
from campaigns.admin.contact.devices import PLATFORM_ICONS
from campaigns.models import Contact, Endpoint, EndpointMove
from pushpilot.lib.display import ago, format_number
from pushpilot.lib.spelling import fold
from tenants import roles
from tenants.admin.base import ReadOnlyAdmin, moment, workspace_of
from tenants.admin.lists import FilteredList
from tenants.models import Workspace

MOVES_SHOWN = 10


class ContactList(FilteredList):
    """A page of contacts, with the count of their devices (one query for all)."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        contacts = list(self.result_list)
        reachable = Count("pk", filter=Q(is_active=True, opted_in=True))
        rows = Endpoint.objects.filter(contact__in=[contact.pk for contact in contacts]).values(
            "contact"
        )
        found = rows.annotate(n=Count("pk"), ok=reachable, seen=Max("last_seen_at"))
        devices = {row["contact"]: row for row in found}
        for contact in contacts:
            row: Any = devices.get(contact.pk, {"n": 0, "ok": 0, "seen": None})
            contact.devices = row["n"], row["ok"]
            contact.seen_at = _latest(contact.last_seen_at, row["seen"])
        self.result_list = contacts


class ContactAdmin(ReadOnlyAdmin):
    change_list_template = "campaigns/contact_list.html"
    list_display = ("name_cell", "devices_cell", "country_cell", "language_cell", "seen_cell")
    list_display_links = None
    # A prefix, so that the unique index answers among millions.
    search_fields = ("external_id__startswith",)
    search_help_text = gettext_lazy("Search by the start of the contact ID")
    ordering = ("-id",)
    sortable_by = ()
    actions = None
    paginator = InfinitePaginator
    show_full_result_count = False
    empty_title = gettext_lazy("No contacts yet")
    empty_text = gettext_lazy(
        "Contacts and their devices appear here as soon as your app's server registers them."
    )

    class Media:
        css = {"all": ["campaigns/campaign.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DjangoChangeList]:
        return ContactList

    def get_urls(self) -> list[Any]:
        guarded = self.admin_site.admin_view
        own = [
            path("devices/", guarded(partial(health.page, self)), name="campaigns_contact_devices"),
            path("devices/retire/", guarded(health.retire), name="campaigns_contact_retire"),
            path(
                "<path:object_id>/consent/",
                guarded(partial(consents.change, self)),
                name="campaigns_contact_consent",
            ),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response: HttpResponse = super().changelist_view(
            request, {"title": _("Contacts"), **(extra_context or {})}
        )
        return response

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        found: tuple[Any, bool] = super().get_search_results(request, queryset, fold(search_term))
        return found

    @display(description=gettext_lazy("Contact"))
    def name_cell(self, contact: Contact) -> SafeString:
        name = str(contact)
        return format_html(
            '<a class="cp-row-link" href="{}"><span class="cp-tile cp-initial" '
            'aria-hidden="true">{}</span><span class="cp-two-lines"><strong '
            'dir="auto">{}</strong><small dir="auto">{}</small></span></a>',
            reverse("admin:campaigns_contact_change", args=[contact.pk]),
            name[:1].upper(),
            name,
            contact.external_id,
        )

    @display(description=gettext_lazy("Devices"))
    def devices_cell(self, contact: Any) -> SafeString:
        total, reachable = contact.devices
        if not total:
            return format_html('<span class="cp-quiet">{}</span>', _("No device"))
        words = ngettext("%(count)s reachable", "%(count)s reachable", reachable)
        note = "" if reachable == total else words % {"count": format_number(reachable)}
        return format_html(
            '<span class="cp-two-lines"><span>{}</span><small>{}</small></span>',
            ngettext("%(count)s device", "%(count)s devices", total)
            % {"count": format_number(total)},
            note,
        )

    @display(description=gettext_lazy("Country"))
    def country_cell(self, contact: Contact) -> str:
        return contact.country or "—"

    @display(description=gettext_lazy("Language"))
    def language_cell(self, contact: Contact) -> str:
        return contact.language or "—"

    @display(description=gettext_lazy("Last seen"))
    def seen_cell(self, contact: Any) -> str:
        return ago(contact.seen_at, timezone.now())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        contact = self.get_object(request, object_id)
        if contact is None or not self.has_view_permission(request, contact):
            raise Http404("no such contact")
        workspace, now = workspace_of(request), timezone.now()
        endpoints = list(contact.endpoints.order_by("-id"))
        devices = [
            {
                "endpoint": endpoint,
                "icon": PLATFORM_ICONS.get(endpoint.platform, "devices"),
                "seen": ago(endpoint.last_seen_at, now),
                "state": _device_state(endpoint),
            }
            for endpoint in endpoints
        ]
        # A device that was registered before registering counted as a sign of the person.
        seen_at = _latest(contact.last_seen_at, *(endpoint.last_seen_at for endpoint in endpoints))
        return self.page(
            request,
            "campaigns/contact_page.html",
            str(contact),
            contact=contact,
            devices=devices,
            moves=_moves(contact, workspace),
            consents=consents.lines(contact, workspace),
            attributes=_attributes(contact),
            panels=[panel(request, contact) for panel in slots.CONTACT_PANELS],
            may_edit=roles.can(request.user, roles.EDIT, workspace),
            seen=ago(seen_at, now),
            since=moment(contact.created_at, workspace),
        )


def _moves(contact: Contact, workspace: Workspace) -> list[dict[str, Any]]:
    """The newest devices that came from somebody else or went to them."""
    about = Q(from_contact=contact.external_id) | Q(to_contact=contact.external_id)
    moves = EndpointMove.objects.filter(about, workspace=contact.workspace_id).select_related(
        "endpoint"
    )
    return [
        {"move": move, "at": moment(move.at, workspace)}
        for move in moves.order_by("-pk")[:MOVES_SHOWN]
    ]


def _device_state(endpoint: Endpoint) -> tuple[str, str]:
    """(badge colour, words)"""
    if not endpoint.is_active:
        return "failed", _("Retired: %(reason)s") % {
            "reason": health.reason_words(endpoint.retired_reason)
        }
    if endpoint.opted_in:
        return "completed", _("Reachable")
    return "paused", _("Notifications off")


def _attributes(contact: Contact) -> list[tuple[str, str]]:
    """The workspace's own fields in alphabetical order, values as people write them."""
    attributes = {}
    if isinstance(contact.attributes, dict):
        attributes = contact.attributes
    return [(name, _shown(value)) for name, value in sorted(attributes.items())]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        if value:
            return "yes"
        return "no"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if value in (None, ""):
        return "—"
    return str(value)


def _latest(*moments: datetime | None) -> datetime | None:
    return max((at for at in moments if at is not None), default=None)
