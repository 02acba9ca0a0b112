"""What operators did, when and from where. Nobody changes it."""

from __future__ import annotations

from datetime import UTC

from django.contrib.admin.models import LogEntry
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from pushpilot.lib.display import exact_moment
from tenants import operators
from tenants.admin.platform.base import PlatformAdmin, ago


class HistoryPage(PlatformAdmin):
    list_title = gettext_lazy("Operators' history")
    list_display = ("who", "did", "what", "when", "address")
    list_display_links = None
    list_select_related = ("user", "content_type")
    search_fields = ("user__email", "user__full_name", "object_repr")
    search_help_text = gettext_lazy("Search operators, users and workspaces")
    ordering = ("-pk",)
    sortable_by = ()
    fields = readonly_fields = ("who", "did", "what", "when", "address", "details")
    empty_title = gettext_lazy("No operator has done anything yet")
    empty_text = gettext_lazy(
        "Deactivating a user, undoing a deletion, ending a session: who did it, when and from "
        "where."
    )
    empty_icon = "history"

    @display(description=gettext_lazy("Operator"))
    def who(self, entry: LogEntry) -> str:
        return str(entry.user)

    @display(description=gettext_lazy("Did"))
    def did(self, entry: LogEntry) -> str:
        said: str = operators.told(entry)["did"]
        return capfirst(said)

    @display(description=gettext_lazy("To"))
    def what(self, entry: LogEntry) -> SafeString | str:
        kind = entry.content_type
        if kind is None:
            return entry.object_repr
        try:
            link = reverse(f"platform:{kind.app_label}_{kind.model}_change", args=[entry.object_id])
        except NoReverseMatch:
            return entry.object_repr
        return format_html('<a class="pf-link" href="{}">{}</a>', link, entry.object_repr)

    @display(description=gettext_lazy("When"))
    def when(self, entry: LogEntry) -> SafeString:
        at = entry.action_time
        return format_html(
            '<time title="{}">{}</time>', exact_moment(at, UTC), ago(at, timezone.now())
        )

    @display(description=gettext_lazy("From"))
    def address(self, entry: LogEntry) -> str:
        return operators.told(entry)["address"] or "–"

    @display(description=gettext_lazy("Details"))
    def details(self, entry: LogEntry) -> str:
        return (
            ", ".join(f"{name}: {value}" for name, value in operators.told(entry)["detail"].items())
            or "–"
        )
