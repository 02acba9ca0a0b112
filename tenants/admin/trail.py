"""The audit trail: who did what, when, from where. Read-only, newest first."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from tenants.admin.base import ReadOnlyAdmin, moment, workspace_of
from tenants.models import AuditEntry
from tenants.scope import current_workspace

MOST_ACTIONS = 200


class ActionFilter(DropdownFilter):
    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = AuditEntry.objects.filter(workspace=workspace_of(request))
        actions = rows.order_by("action").values_list("action", flat=True).distinct()[:MOST_ACTIONS]
        return [(action, action[:1].upper() + action[1:]) for action in actions]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(action=self.value()) if self.value() else queryset


class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("when", "who", "action_label", "target", "address")
    list_filter = (ActionFilter,)
    search_fields = ("target__istartswith", "actor_label__istartswith")
    search_help_text = "Search by the start of a name"
    ordering = ("-id",)
    sortable_by = ()
    paginator = InfinitePaginator
    fields = ("when", "who", "action_label", "target", "address", "details")
    readonly_fields = fields
    empty_title = "Nothing has happened yet"
    empty_text = "Every change and every decision to send shows up here, with who made it and when."
    empty_icon = "history"

    @display(description="When")
    def when(self, entry: AuditEntry) -> str:
        return moment(entry.at, current_workspace())

    @display(description="Who")
    def who(self, entry: AuditEntry) -> str:
        return entry.actor_label

    @display(description="Action")
    def action_label(self, entry: AuditEntry) -> str:
        return entry.action[:1].upper() + entry.action[1:]

    @display(description="Details")
    def details(self, entry: AuditEntry) -> SafeString | str:
        if not entry.detail:
            return "–"
        text = json.dumps(entry.detail, indent=2, ensure_ascii=False, default=str)
        return format_html('<pre class="pp-json">{}</pre>', text)
