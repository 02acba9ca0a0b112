"""Leaks to be planted in the product, each with the part of the matrix that has to catch it.

A leak breaks both walls where one alone would hold: what is tested here is the matrix, not the
walls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.http import HttpResponseRedirect
from django.shortcuts import get_object_or_404
from unfold.contrib.filters.admin import RelatedDropdownFilter

from campaigns.admin.campaign import live, preview
from campaigns.admin.campaign.page import CampaignAdmin
from campaigns.admin.template import importing
from campaigns.admin.template.page import TemplateAdmin
from campaigns.content import library
from campaigns.imports.templates import TemplateResource
from campaigns.models import Campaign, Contact, Run, Template
from delivery.admin.connections import ConnectionAdmin
from delivery.admin.run import actions, recipients
from delivery.admin.run.page import RunAdmin
from delivery.models import Message
from pushpilot import palette
from reports import panels
from reports.admin.events import EventAdmin
from tenants import invitations, keys
from tenants.admin import autocomplete, base, workspaces
from tenants.admin.base import WorkspaceAdmin, WorkspaceInline, WorkspaceRows
from tenants.admin.keys.page import ApiKeyAdmin
from tenants.admin.people import members
from tenants.admin.people.invitations import InvitationAdmin
from tenants.admin.people.members import MembershipAdmin
from tenants.admin.trail.page import ActionFilter, AuditEntryAdmin
from tenants.admin.workspaces import TransferForm, WorkspaceSettingsAdmin
from tenants.models import AuditEntry, Membership, User, Workspace
from tenants.scope import every_workspace
from tests.house import routes
from tests.house.matrix import files, lists, surfaces
from tests.house.matrix.cells import Cell
from tests.house.matrix.world import World

Plant = Callable[[World, pytest.MonkeyPatch], None]
Part = Callable[[World], Iterator[Cell]]
Surface = Callable[[World, str, list[routes.Route]], Iterator[Cell]]


@dataclass(frozen=True)
class Leak:
    """`before` is what the surface needs to exist at all: planted for the clean run too.
    `is_breakdown`: the leak is that a page protects by not working."""

    part: Part
    plant: Plant
    before: Plant = lambda world, patch: None
    is_breakdown: bool = False


LEAKS: dict[str, Leak] = {}


def leak(
    name: str, part: Part, before: Plant = lambda world, patch: None, *, is_breakdown: bool = False
) -> Callable[[Plant], Plant]:
    def keep(plant: Plant) -> Plant:
        assert name not in LEAKS, name
        LEAKS[name] = Leak(part, plant, before, is_breakdown)
        return plant

    return keep


# --- parts of the matrix --------------------------------------------------------------------------
def route(name: str, role: str = "owner", surface: Surface = surfaces.route_cells) -> Part:
    """What that surface asks of one page alone."""

    def part(world: World) -> Iterator[Cell]:
        named = [one for one in routes.all_routes() if one.name == f"admin:{name}"]
        assert named, name
        yield from surface(world, role, named)

    return part


def some(
    surface: Callable[[World, str], Iterator[Cell]], role: str = "owner", of: str = ""
) -> Part:
    return lambda world: (cell for cell in surface(world, role) if of in str(cell))


# --- ways to break a wall -------------------------------------------------------------------------
def all_rows(self: Any, request: Any) -> Any:
    return self.model._base_manager.all()


def any_row(self: Any, request: Any, object_id: str, from_field: Any = None) -> Any:
    return self.model._base_manager.filter(pk=object_id).first()


def yes(*args: Any, **kwargs: Any) -> bool:
    return True


def no_questions(request: Any, capability: str) -> Workspace:
    return base.workspace_of(request)


def everywhere(function: Any) -> Any:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with every_workspace():
            return function(*args, **kwargs)

    return wrapped


# --- rows of others are seen ----------------------------------------------------------------------
@leak("a list shows the rows of every workspace", route("campaigns_contact_changelist"))
def _(world, patch):
    patch.setattr(WorkspaceRows, "get_queryset", all_rows)


@leak("a changelist filters by all objects", some(lists.filter_cells, of="campaigns.Campaign"))
def _(world, patch):
    patch.setattr(WorkspaceRows, "get_queryset", all_rows)


@leak("the audit trail is everybody's", route("tenants_auditentry_changelist"))
def _(world, patch):
    patch.setattr(AuditEntryAdmin, "get_queryset", all_rows, raising=False)


@leak("the list of invitations is everybody's", route("tenants_invitation_changelist"))
def _(world, patch):
    patch.setattr(InvitationAdmin, "get_queryset", all_rows)


@leak("a search finds the rows of others", some(lists.filter_cells, of="search of"))
def _(world, patch):
    real = WorkspaceAdmin.get_search_results

    def unscoped(self, request, queryset, term):
        return real(
            self, request, self.model._base_manager.order_by("pk") if term else queryset, term
        )

    patch.setattr(WorkspaceAdmin, "get_search_results", unscoped)


@leak(
    "a filter's choices name the rows of others", some(lists.filter_cells, of="tenants.AuditEntry")
)
def _(world, patch):
    patch.setattr(
        ActionFilter,
        "lookups",
        lambda *args: [(e.target, e.target) for e in AuditEntry._base_manager.all()],
    )


@leak(
    "a filter by a relation offers the rows of others", some(lists.filter_cells, of="campaigns.Run")
)
def _(world, patch):
    class Loose(RelatedDropdownFilter):
        def field_choices(self, field, request, model_admin):
            return [(one.pk, str(one)) for one in field.related_model._base_manager.all()]

    patch.setattr(RunAdmin, "list_filter", [("campaign", Loose)])


@leak("the palette searches every workspace", some(lists.palette_cells, "viewer"))
def _(world, patch):
    patch.setattr(palette, "_rows", everywhere(palette._rows))


@leak(
    "the template picker looks outside of its scope",
    route("campaigns_campaign_templates", "viewer"),
)
def _(world, patch):
    patch.setattr(live, "find_templates", everywhere(live.find_templates))


@leak("the recipients of a run are everybody's", route("campaigns_run_export"))
def _(world, patch):
    rows = Message._base_manager.order_by("contact_id", "pk")
    patch.setattr(recipients, "rows_of", lambda run, wanted, most: list(rows[:most]))


@leak("the preview shows anybody's contact", route("preview", "viewer"))
def _(world, patch):
    theirs = Contact._base_manager.get(workspace=world.cast.other_workspace)
    patch.setattr(preview, "sample_person", lambda *args: theirs)


@leak("the preview opens another's campaign", route("preview", surface=lists.parameter_cells))
def _(world, patch):
    patch.setattr(
        preview, "_campaign", lambda workspace, pk: get_object_or_404(Campaign._base_manager, pk=pk)
    )


@leak("the logo is another's", route("tenants_workspace_logo", "viewer"))
def _(world, patch):
    patch.setattr(workspaces, "require", lambda request, capability: world.cast.other_workspace)
    patch.setattr(workspaces.Logo, "objects", workspaces.Logo._base_manager)


# --- a foreign id opens something -----------------------------------------------------------------
@leak("a foreign id opens the page of a row", route("campaigns_template_change"))
def _(world, patch):
    patch.setattr(TemplateAdmin, "get_queryset", all_rows)
    patch.setattr(TemplateAdmin, "owns", yes)


@leak("403 tells that another's row exists", route("campaigns_template_change"))
def _(world, patch):
    patch.setattr(TemplateAdmin, "get_queryset", all_rows)


@leak("a run's live figures open by any number", route("campaigns_run_progress", "viewer"))
def _(world, patch):
    patch.setattr(RunAdmin, "_run", lambda self, request, pk: Run._base_manager.get(pk=pk))


@leak("a run's errors open by any number", route("campaigns_run_errors", "viewer"))
def _(world, patch):
    patch.setattr(RunAdmin, "_run", lambda self, request, pk: Run._base_manager.get(pk=pk))


@leak("anybody's run is paused", route("campaigns_run_pause", "member"))
def _(world, patch):
    patch.setattr(RunAdmin, "_run", lambda self, request, pk: Run._base_manager.get(pk=pk))
    patch.setattr(actions.plan, "pause", everywhere(actions.plan.pause))


@leak("a report's figures open by any number", route("reports_run_figures", "viewer"))
def _(world, patch):
    patch.setattr(EventAdmin, "_run", lambda self, request, pk: Run._base_manager.get(pk=pk))
    patch.setattr(panels, "run_figures", everywhere(panels.run_figures))


@leak("another's API key is rotated", route("tenants_apikey_rotate"))
def _(world, patch):
    patch.setattr(ApiKeyAdmin, "get_object", any_row)
    patch.setattr(keys, "rotate", everywhere(keys.rotate))


@leak("another's invitation is withdrawn", route("tenants_invitation_revoke"))
def _(world, patch):
    patch.setattr(InvitationAdmin, "get_object", any_row)
    patch.setattr(invitations, "revoke", everywhere(invitations.revoke))


@leak("a member of another workspace is removed", route("tenants_membership_remove"))
def _(world, patch):
    patch.setattr(MembershipAdmin, "get_object", any_row)
    patch.setattr(members, "change_member", lambda membership, role, by: membership.delete())


@leak("another's connection is switched off", route("tenants_connection_switch"))
def _(world, patch):
    patch.setattr(ConnectionAdmin, "get_queryset", all_rows)


@leak("another's template is copied", route("campaigns_template_copy_to_workspace", "member"))
def _(world, patch):
    patch.setattr(TemplateAdmin, "get_queryset", all_rows)
    patch.setattr(Template, "is_global", True)


# --- lists, forms and files -----------------------------------------------------------------------
@leak("an action ignores the list's scope", some(lists.selection_cells, of="campaigns.Template"))
def _(world, patch):
    def loose(self, request, queryset):
        Template._base_manager.filter(pk__in=request.POST.getlist("_selected_action")).delete()
        return HttpResponseRedirect(".")

    patch.setattr(TemplateAdmin, "response_action", loose)


@leak("an action deletes the global library", some(lists.selection_cells, of="campaigns.Template"))
def _(world, patch):
    patch.setattr(TemplateAdmin, "owns", yes)
    patch.setattr(library, "remove", lambda template, *, by: template.delete())


@leak("autocomplete answers whatever is asked", some(lists.completion_cells, of="campaigns."))
def _(world, patch):
    patch.setattr(
        autocomplete.AskedForOnly, "process_request", AutocompleteJsonView.process_request
    )


def _completing(world, patch):
    patch.setattr(CampaignAdmin, "autocomplete_fields", ("template",))


@leak(
    "autocomplete is unfiltered",
    some(lists.completion_cells, "member", of="Campaign.template"),
    before=_completing,
)
def _(world, patch):
    patch.setattr(TemplateAdmin, "get_queryset", all_rows)


@leak("a form offers people of other workspaces", route("tenants_workspace_transfer"))
def _(world, patch):
    real = TransferForm.__init__

    def loose(self, *args, **kwargs):
        real(self, *args, **kwargs)
        self.fields["to"].queryset = User.objects.all()

    patch.setattr(TransferForm, "__init__", loose)


class _Members(WorkspaceInline):
    model = Membership
    fields = ("role",)


class _EverybodysMembers(_Members):
    def get_queryset(self, request):
        return Membership._base_manager.all()

    def get_formset(self, request, obj=None, **kwargs):
        made = super().get_formset(request, obj, **kwargs)
        return type("Loose", (made,), {"get_queryset": lambda self: Membership._base_manager.all()})


def _with_inline(world, patch):
    patch.setattr(WorkspaceSettingsAdmin, "inlines", [_Members])


@leak("an inline holds the rows of others", some(lists.inline_cells), before=_with_inline)
def _(world, patch):
    patch.setattr(WorkspaceSettingsAdmin, "inlines", [_EverybodysMembers])


@leak("an export takes every workspace's rows", some(files.export_cells, "viewer"))
def _(world, patch):
    patch.setattr(TemplateAdmin, "get_queryset", all_rows)


@leak("an import matches the rows of every workspace", some(files.import_cells, "member"))
def _(world, patch):
    patch.setattr(TemplateResource, "get_queryset", lambda self: Template._base_manager.all())


@leak("an import takes anybody's upload", some(files.import_cells, "member", of="upload"))
def _(world, patch):
    patch.setattr(importing, "_salt", lambda request: "salt")
