"""The audit trail: who did what, when, from where. Read-only, newest first; as CSV for who may
take personal data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from pushpilot.lib.display import NOTHING
from pushpilot.lib.downloads import csv_answer
from tenants import roles
from tenants.admin.base import ReadOnlyAdmin, moment, require, workspace_of
from tenants.admin.lists import choices_filter
from tenants.admin.trail.filters import (
    ActionFilter,
    DateFilter,
    PersonFilter,
    TargetFilter,
    days_of,
)
from tenants.models import AuditEntry, Workspace
from tenants.scope import current_workspace, scope

CSV_ROWS = 2_000
HEADER = ("at", "who", "email", "action", "target", "way", "address", "changes", "details")


class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("when", "person", "action_label", "target_name", "way", "network_address")
    list_filter = (
        PersonFilter,
        ActionFilter,
        ("at", DateFilter),
        ("via", choices_filter(gettext_lazy("way"))),
        TargetFilter,
    )
    list_filter_sheet = True
    list_before_template = "tenants/trail_above.html"
    search_fields = ("target__istartswith", "actor_label__istartswith", "actor_email__istartswith")
    search_help_text = gettext_lazy("Search by the start of a name or an e-mail address")
    ordering = ("-at", "-id")
    sortable_by = ()
    paginator = InfinitePaginator
    fields = (
        "when",
        "who",
        "action_label",
        "target_link",
        "way",
        "network_address",
        "changed",
        "details",
    )
    readonly_fields = fields
    empty_title = gettext_lazy("Nothing has happened yet")
    empty_text = gettext_lazy(
        "Every change and every decision to send appears here, with person and time."
    )
    empty_icon = "history"

    @display(description=gettext_lazy("When"))
    def when(self, entry: AuditEntry) -> str:
        return moment(entry.at, current_workspace())

    @display(description=gettext_lazy("Who"), header=True)
    def person(self, entry: AuditEntry) -> list[str]:
        """What stands below the name is no choice of theirs: the address, or words that no
        address has."""
        below = entry.actor_email or (
            _("The product itself") if _is_product(entry) else _("Account deleted")
        )
        if entry.via == AuditEntry.Via.PLATFORM:
            below = _("%(who)s · operator") % {"who": below}
        return [entry.actor_label, below]

    @display(description=gettext_lazy("Who"))
    def who(self, entry: AuditEntry) -> str:
        return entry.who

    @display(description=gettext_lazy("Action"))
    def action_label(self, entry: AuditEntry) -> str:
        return capfirst(entry.action)

    @display(description=gettext_lazy("Target"))
    def target_name(self, entry: AuditEntry) -> str:
        return entry.target

    @display(description=gettext_lazy("Way"))
    def way(self, entry: AuditEntry) -> str:
        return entry.get_via_display()

    @display(description=gettext_lazy("Network address"))
    def network_address(self, entry: AuditEntry) -> str:
        return entry.address or NOTHING

    @display(description=gettext_lazy("Target"))
    def target_link(self, entry: AuditEntry) -> SafeString:
        url = reverse("admin:tenants_auditentry_changelist", query={"target": entry.target})
        return format_html(
            '{}<p class="pp-help"><a href="{}">{}</a></p>',
            entry.target,
            url,
            _("Everything done to it"),
        )

    @display(description=gettext_lazy("Changes"))
    def changed(self, entry: AuditEntry) -> str:
        rows = [
            (_label(field), _words(before), _words(after))
            for field, (before, after) in entry.changes.items()
        ]
        if rows:
            return render_to_string("tenants/trail_changes.html", {"changes": rows})
        return "–"

    @display(description=gettext_lazy("Details"))
    def details(self, entry: AuditEntry) -> SafeString | str:
        if entry.detail:
            return format_html('<pre class="pp-json">{}</pre>', _json(entry.detail, indent=2))
        return "–"

    # --- the list ---------------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/", view, name="tenants_auditentry_export"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        back = self._without_wrong_dates(request)
        if back is not None:
            return back
        context = extra_context or {}
        if roles.can(request.user, roles.EXPORT, workspace_of(request)):
            query = request.GET.copy()
            query.pop("p", None)
            context["export_url"] = (
                f"{reverse('admin:tenants_auditentry_export')}?{query.urlencode()}"
            )
        return super().changelist_view(request, context)

    def _without_wrong_dates(self, request: HttpRequest) -> HttpResponse | None:
        """Where to go on, told why, if the address asks for what is no date: not to a list that
        ignores it."""
        try:
            days_of(request.GET)
        except ValidationError as error:
            messages.error(request, error.messages[0])
            query = request.GET.copy()
            for name in ("at_from", "at_to"):
                query.pop(name, None)
            return HttpResponseRedirect(
                f"{reverse('admin:tenants_auditentry_changelist')}?{query.urlencode()}"
            )
        return None

    # --- the file ---------------------------------------------------------------------------------
    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """What the list shows under the same filters, as CSV, streamed. It holds names and
        addresses of people."""
        workspace = require(request, roles.EXPORT)
        if not self.has_view_permission(request):
            raise PermissionDenied(_("Your role may not see the audit trail."))
        back = self._without_wrong_dates(request)
        if back is not None:
            return back
        try:
            rows = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(reverse("admin:tenants_auditentry_changelist"))
        self.audit(
            request, "audit trail exported", workspace, filter=request.GET.urlencode()[:1000]
        )
        return csv_answer(request, f"audit-trail-{workspace.slug}.csv", _csv_rows(workspace, rows))


def _csv_rows(workspace: Workspace, rows: QuerySet[AuditEntry]) -> Iterator[tuple[object, ...]]:
    """Newest first, by key: entries that are written meanwhile move nothing. The workspace's
    scope is open only while rows are read; between them other requests may use the thread."""
    yield HEADER
    after: AuditEntry | None = None
    while True:
        page = rows
        if after is not None:
            page = rows.filter(at__lte=after.at).exclude(at=after.at, id__gte=after.pk)
        with scope(workspace):
            found = list(page[:CSV_ROWS])
        for entry in found:
            yield _cells(entry, workspace)
        if len(found) < CSV_ROWS:
            return
        after = found[-1]


def _cells(entry: AuditEntry, workspace: Workspace) -> tuple[object, ...]:
    at = entry.at.astimezone(workspace.zone).isoformat(timespec="seconds")
    return (
        at,
        entry.actor_label,
        entry.actor_email,
        entry.action,
        entry.target,
        entry.get_via_display(),
        entry.address,
        _json(entry.changes) if entry.changes else "",
        _json(entry.detail) if entry.detail else "",
    )


def _is_product(entry: AuditEntry) -> bool:
    """Entries from before addresses were kept have none if the account is gone."""
    return entry.actor_label == "PushPilot" and not entry.actor_email


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, default=str)


def _label(field: str) -> str:
    """ "time_zone" → "Time zone"; an inline's "content en: title" keeps the name of its row."""
    return capfirst(field).replace("_", " ")


def _words(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        if value:
            return "Yes"
        return "No"
    if isinstance(value, dict | list):
        return _json(value, indent=2)
    return str(value)
