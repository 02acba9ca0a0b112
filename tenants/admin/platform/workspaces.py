"""Every workspace, for operators: who is in it and how much it does. Figures, never what it
holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from pushpilot.lib.display import Words, format_number, how_long
from tenants import workspaces
from tenants.admin.platform.base import PlatformAdmin, ago, day
from tenants.models import Connection, Membership, Workspace
from tenants.scope import every_workspace


@dataclass(frozen=True, slots=True)
class Figure:
    """`count(workspace ids, now)` → {workspace id: number}, in a fixed number of queries for all
    of them.

    It is called inside every_workspace().
    """

    title: Words
    count: Callable[[Sequence[int], datetime], Mapping[int, int]]
    icon: str
    is_in_list: bool = False


# What upper layers count per workspace; pushpilot.sites fills it.
FIGURES: list[Figure] = []


class ClosingFilter(DropdownFilter):
    title = gettext_lazy("deletion")
    parameter_name = "closing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("Being deleted")), ("no", _("In use"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> QuerySet[Workspace]:
        if self.value():
            return queryset.filter(deletion_due_at__isnull=self.value() == "no")
        return queryset


def deletion_words(workspace: Workspace, now: datetime) -> str:
    due = workspace.deletion_due_at
    if due is None:
        return "–"
    if due > now:
        return _("In %(span)s") % {"span": how_long(due - now)}
    return _("Under way")


class WorkspacePage(PlatformAdmin):
    list_filter = (ClosingFilter,)
    list_select_related = ("owner",)
    search_fields = ("name", "slug", "owner__email")
    search_help_text = gettext_lazy("Search names, addresses (slugs) and owners")
    ordering = ("-pk",)
    actions_detail = ("undo_deletion",)
    empty_title = gettext_lazy("No workspace yet")
    empty_text = gettext_lazy(
        "The first one appears when somebody signs up and names their company."
    )
    empty_icon = "domain"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workspace]:
        queryset: QuerySet[Workspace] = super().get_queryset(request).defer("owner__password")
        return queryset

    # --- the list ---------------------------------------------------------------------------------
    def get_list_display(self, request: HttpRequest) -> Sequence[Any]:
        return (
            "header",
            "owner_cell",
            "members_cell",
            *(_column(figure) for figure in FIGURES if figure.is_in_list),
            "created",
            "deletion",
        )

    def add_figures(self, rows: list[Any]) -> None:
        ids, now = [workspace.pk for workspace in rows], timezone.now()
        with every_workspace():
            members = (
                Membership.objects.filter(workspace__in=ids).order_by().values_list("workspace")
            )
            counts = {"members": dict(members.annotate(n=Count("pk")))}
            counts |= {
                str(figure.title): dict(figure.count(ids, now))
                for figure in FIGURES
                if figure.is_in_list
            }
        for workspace in rows:
            workspace.figures = {
                title: found.get(workspace.pk, 0) for title, found in counts.items()
            }

    @display(description=gettext_lazy("Workspace"), header=True, ordering="name")
    def header(self, workspace: Workspace) -> list[str]:
        return [workspace.name, workspace.slug, workspace.name[:1].upper()]

    @display(description=gettext_lazy("Owner"), ordering="owner__email")
    def owner_cell(self, workspace: Workspace) -> str:
        return workspace.owner.email

    @display(description=gettext_lazy("Members"))
    def members_cell(self, workspace: Any) -> str:
        return format_number(workspace.figures["members"])

    @display(
        description=gettext_lazy("Deletion"), label={"–": "default"}, ordering="deletion_due_at"
    )
    def deletion(self, workspace: Workspace) -> str:
        return deletion_words(workspace, timezone.now())

    @display(description=gettext_lazy("Created"), ordering="created_at")
    def created(self, workspace: Workspace) -> str:
        return day(workspace.created_at)

    # --- one workspace ----------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        workspace, now = self.found(request, object_id), timezone.now()
        with every_workspace():
            members = list(
                Membership.objects.filter(workspace=workspace)
                .select_related("user")
                .order_by("role", "pk")
            )
            connections = list(
                Connection.objects.filter(workspace=workspace).order_by("-is_active", "name")
            )
            figures = [
                (
                    figure.title,
                    figure.icon,
                    format_number(figure.count([workspace.pk], now).get(workspace.pk, 0)),
                )
                for figure in FIGURES
            ]
        return self.page(
            request,
            "tenants/platform/workspace.html",
            workspace,
            workspace=workspace,
            members=[(member, day(member.joined_at)) for member in members],
            connections=[(connection, *_check(connection, now)) for connection in connections],
            figures=figures,
            deletion=deletion_words(workspace, now) if workspace.deletion_due_at else "",
            is_purging=workspace.deletion_due_at is not None and workspace.deletion_due_at <= now,
            facts=[
                (_("Owner"), workspace.owner.email),
                (_("Time zone"), workspace.time_zone.replace("_", " ")),
                (_("Language"), workspace.default_language),
                (_("Created"), day(workspace.created_at)),
            ],
        )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only what is deleted can be brought back, and only until its day has come."""
        workspace = self.get_object(request, str(object_id))
        due = None
        if workspace:
            due = workspace.deletion_due_at
        buttons: list[Any] = super().get_actions_detail(request, object_id)
        is_closing = due is not None and due > timezone.now()
        return [b for b in buttons if is_closing or not b.action_name.endswith("undo_deletion")]

    @action(
        description=gettext_lazy("Undo deletion"),
        icon="restore_from_trash",
        variant=ActionVariant.SUCCESS,
        dialog={
            "title": gettext_lazy("Restore this workspace?"),
            "description": gettext_lazy(
                "Its members can open it again at once. Sends that were running stay paused until "
                "a member resumes them."
            ),
            "form_submit_text": gettext_lazy("Restore"),
        },
    )
    def undo_deletion(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        workspace = self.found(request, object_id)
        return self.act(
            request,
            workspace,
            lambda: workspaces.undo_deletion(workspace, by=request.user),  # type: ignore[arg-type]
            "deletion undone",
            _("%(workspace)s is back.") % {"workspace": workspace},
        )


def _column(figure: Figure) -> Callable[[Any], str]:
    def column(workspace: Any) -> str:
        return format_number(workspace.figures[str(figure.title)])

    shown: Callable[[Any], str] = display(description=figure.title)(column)
    return shown


def _check(connection: Connection, now: datetime) -> tuple[str, str]:
    """(words, tone) of the last test of its credentials."""
    if connection.check_ok is None:
        return _("Not tested"), "default"
    tested = {"ago": ago(connection.checked_at, now)}
    if connection.check_ok:
        return _("Works, tested %(ago)s") % tested, "success"
    return _("Refused, tested %(ago)s") % tested, "danger"
