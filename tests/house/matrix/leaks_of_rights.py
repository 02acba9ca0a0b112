"""Leaks of rights: roles, the door, keys; and pages that protect by not working. See leaks.py."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect

from campaigns.admin.campaign import preview
from campaigns.admin.campaign.page import CampaignAdmin
from campaigns.admin.contact.page import ContactAdmin
from campaigns.admin.template.page import TemplateAdmin
from campaigns.models import Campaign, Contact
from delivery.admin.run import page
from pushpilot.lib.problems import Problem
from pushpilot.lib.signing import read_reference
from pushpilot.middleware import SafeHeaders
from reports import effects, events, intake
from reports.api import analytics_routes
from reports.models import Event
from tenants import invitations, keys, roles
from tenants import workspaces as workspaces_verbs
from tenants.access import WorkspaceBackend
from tenants.admin import workspaces
from tenants.admin.keys.page import ApiKeyAdmin
from tenants.admin.people.members import MembershipAdmin
from tenants.admin.workspaces import WorkspaceSettingsAdmin
from tenants.api import security
from tenants.api import workspaces as api_workspaces
from tenants.middleware import WorkspaceMiddleware
from tenants.models import (
    ApiKey,
    Invitation,
    Membership,
    User,
    Workspace,
    WorkspaceUserObjectPermission,
)
from tests.house.matrix import api, consent, lists, programs
from tests.house.matrix.leaks import LEAKS, everywhere, leak, no_questions, route, some, yes

__all__ = ["LEAKS"]


# --- roles ----------------------------------------------------------------------------------------
@leak("a viewer may change a template", route("campaigns_template_change", "viewer"))
def _(world, patch):
    patch.setattr(TemplateAdmin, "has_change_permission", yes, raising=False)


@leak("a viewer may delete a template", route("campaigns_template_delete", "viewer"))
def _(world, patch):
    patch.setattr(TemplateAdmin, "has_delete_permission", yes, raising=False)


@leak("a viewer may add a campaign", route("campaigns_campaign_add", "viewer"))
def _(world, patch):
    patch.setattr(CampaignAdmin, "has_add_permission", yes, raising=False)


@leak("a viewer may pause a run", route("campaigns_run_pause", "viewer"))
def _(world, patch):
    patch.setattr(page, "require", no_questions)


@leak("a member may export personal data", route("campaigns_run_export", "member"))
def _(world, patch):
    patch.setattr(page, "require", no_questions)


@leak("a member may see the API keys", route("tenants_apikey_changelist", "member"))
def _(world, patch):
    patch.setattr(ApiKeyAdmin, "has_view_permission", yes, raising=False)


@leak("an admin may delete the workspace", route("tenants_workspace_delete_workspace", "admin"))
def _(world, patch):
    patch.setattr(WorkspaceSettingsAdmin, "has_end_permission", yes)
    patch.setattr(workspaces, "require", no_questions)


@leak(
    "has_perm is always true of a model",
    some(programs.right_cells, "outsider", of="campaigns.view_contact"),
)
def _(world, patch):
    patch.setattr(
        WorkspaceBackend, "has_perm", lambda self, user, perm, obj=None: "contact" in perm
    )


@leak("a superuser may everything", some(programs.right_cells, "operator"))
def _(world, patch):
    patch.setattr(User, "has_perm", PermissionsMixin.has_perm)


# --- the door -------------------------------------------------------------------------------------
@leak("a header decides the workspace", route("campaigns_campaign_changelist", "viewer"))
def _(world, patch):
    real = WorkspaceMiddleware._inside

    def trusting(self, request, workspace, rest):
        return real(
            self, request, Workspace.objects.get(pk=request.headers["X-Workspace-ID"]), rest
        )

    patch.setattr(WorkspaceMiddleware, "_inside", trusting)
    patch.setattr(roles, "can", yes)


@leak("everybody is let into every console", route("index", "outsider"))
def _(world, patch):
    patch.setattr(roles, "can", yes)


@leak("operators are let into every console", route("index", "operator"))
def _(world, patch):
    real = roles.grants
    patch.setattr(
        roles,
        "grants",
        lambda user, ws: frozenset(roles.CAPABILITIES) if user.is_superuser else real(user, ws),
    )


@leak(
    "guardian's rows of another workspace count",
    route("campaigns_template_changelist", "other_owner"),
)
def _(world, patch):
    def held(user, workspace):
        rows = WorkspaceUserObjectPermission.objects.filter(user=user)
        return frozenset(rows.values_list("permission__codename", flat=True))

    patch.setattr(roles, "_held", held)


@leak("a stranger learns that a workspace exists", route("index", "outsider"))
def _(world, patch):
    def telling(self, request):
        raise (
            PermissionDenied
            if request.path_info.startswith(world.cast.workspace.console_path)
            else AssertionError
        )

    patch.setattr(WorkspaceMiddleware, "_answer", telling)


@leak("a refusal becomes a redirect", route("tenants_apikey_changelist", "viewer"))
def _(world, patch):
    real = SafeHeaders.__call__

    def friendly(self, request):
        response = real(self, request)
        return HttpResponseRedirect("/") if response.status_code == 403 else response

    patch.setattr(SafeHeaders, "__call__", friendly)


@leak("a closed workspace stays open", some(programs.closed_cells, "viewer", of="contact"))
def _(world, patch):
    patch.setattr(
        roles,
        "grants",
        lambda user, ws: roles._held(user, ws) if user.is_authenticated else frozenset(),
    )


@leak("anybody may accept an invitation", some(programs.invitation_cells, "operator"))
def _(world, patch):
    patch.setattr(
        invitations,
        "verified_addresses",
        lambda user: {"asha@freshcart.test", "outsider@biddano.test"},
    )


# --- keys -----------------------------------------------------------------------------------------
def _any_key(digest_: str) -> Any:
    key = ApiKey._base_manager.filter(digest=digest_).first()
    return key and keys.KnownKey(
        key.pk,
        key.workspace_id,
        key.kind,
        key.mode,
        tuple(key.scopes),
        key.expires_at,
        plan=key.workspace.plan,
    )


@leak("a revoked key goes on working", some(api.key_cells, "anonymous", of="our revoked"))
def _(world, patch):
    patch.setattr(keys, "_look_up", everywhere(_any_key))


@leak("keys of a closed workspace go on working", some(programs.closed_cells, of="our write"))
def _(world, patch):
    patch.setattr(keys, "_look_up", everywhere(_any_key))


@leak("an operation ignores the key's scope", some(api.key_cells, "anonymous", of="our narrow"))
def _(world, patch):
    real = keys.authenticate

    def careless(header, scope):
        try:
            return real(header, scope)
        except Problem as problem:
            if problem.status != 403:
                raise
            return real(header, keys.WORKSPACE_READ)

    patch.setattr(keys, "authenticate", careless)


@leak("a key writes into another workspace", some(api.key_cells, "anonymous", of="our write"))
def _(world, patch):
    real = intake.receive
    elsewhere = world.cast.other_workspace.pk
    patch.setattr(
        intake,
        "receive",
        lambda body, key, now: real(body, replace(key, workspace_id=elsewhere), now),
    )


@leak("a reference to another's message counts", some(api.key_cells, "anonymous", of="our write"))
def _(world, patch):
    def about(ref: str) -> effects.About:
        _, campaign, run, message = read_reference(ref, 4) or (0, None, None, None)
        return effects.About(campaign_id=campaign, run_id=run, message_id=message)

    patch.setattr(
        effects, "resolve", lambda workspace, events: [about(event.ref) for event in events]
    )


@leak(
    "a public key speaks for anybody",
    some(consent.word_cells, "anonymous", of="our write and a name"),
)
def _(world, patch):
    patch.setattr(intake._Voucher, "speaks_for", yes)


@leak(
    "a test key reports on live messages",
    some(consent.word_cells, "anonymous", of="our test and a reference"),
)
def _(world, patch):
    patch.setattr(intake, "_not_for_a_test_key", lambda judged, key: [])


# --- pages that protect by not working ------------------------------------------------------------
@leak("a page refuses even its owner", route("tenants_apikey_add"), is_breakdown=True)
def _(world, patch):
    patch.setattr(ApiKeyAdmin, "has_add_permission", lambda *args: False, raising=False)


@leak("a list shows nothing to anybody", route("campaigns_contact_changelist"), is_breakdown=True)
def _(world, patch):
    patch.setattr(
        ContactAdmin, "get_queryset", lambda self, request: Contact.objects.none(), raising=False
    )


@leak("a form saves nothing", route("campaigns_template_change", "member"), is_breakdown=True)
def _(world, patch):
    patch.setattr(TemplateAdmin, "save_model", lambda *args: None, raising=False)


@leak("a page changes rows on GET", route("campaigns_contact_changelist", "viewer"))
def _(world, patch):
    real = ContactAdmin.get_queryset

    def counting(self, request):
        Contact.objects.update(country="IN")
        return real(self, request)

    patch.setattr(ContactAdmin, "get_queryset", counting, raising=False)


@leak("a page raises", route("tenants_membership_changelist"), is_breakdown=True)
def _(world, patch):
    patch.setattr(MembershipAdmin, "get_queryset", lambda self, request: 1 / 0)


# --- the API of people ----------------------------------------------------------------------------
@leak(
    "a program enters every workspace by its slug",
    some(api.person_cells, "owner", of="get_workspace of theirs"),
)
def _(world, patch):
    patch.setattr(security, "_is_theirs", yes)
    patch.setattr(security, "require", yes)


@leak(
    "the header alone decides", some(api.person_cells, "member", of="current_workspace of theirs")
)
def _(world, patch):
    patch.setattr(
        api_workspaces,
        "workspace_meant",
        lambda request: Workspace.objects.get(slug__contains="zanzibar"),
    )


@leak(
    "a member is removed by an id of another workspace",
    some(api.person_cells, of="remove_member of ours"),
)
def _(world, patch):
    patch.setattr(api_workspaces, "_membership", lambda pk: Membership._base_manager.get(pk=pk))
    patch.setattr(
        workspaces_verbs,
        "_locked",
        lambda pk, user: Membership._base_manager.get(workspace_id=pk, user=user),
    )


@leak(
    "an invitation is sent again from another workspace",
    some(api.person_cells, of="resend_invitation of ours"),
)
def _(world, patch):
    patch.setattr(api_workspaces, "_invited", everywhere(lambda pk: Invitation.objects.get(pk=pk)))


@leak(
    "events of every workspace are listed by API",
    some(api.person_cells, "viewer", of="analytics_events of ours"),
)
def _(world, patch):
    real = events.with_names
    patch.setattr(events, "with_names", lambda rows: real(Event._base_manager.all()))


@leak(
    "a campaign of another workspace tells its figures",
    some(api.person_cells, "viewer", of="analytics_campaign of ours"),
)
def _(world, patch):
    anywhere = SimpleNamespace(objects=Campaign._base_manager)
    patch.setattr(analytics_routes, "Campaign", anywhere)


@leak(
    "a viewer changes settings by API",
    some(api.person_cells, "viewer", of="change_workspace of ours"),
)
def _(world, patch):
    patch.setattr(security, "require", yes)


@leak(
    "a key does what takes a person",
    some(api.key_cells, "anonymous", of="DELETE remove_member with our secret"),
)
def _(world, patch):
    patch.setattr(security.AccessToken, "program", security.Access(keys.WORKSPACE_READ).program)
    patch.setattr(security, "require", yes)
    patch.setattr(
        security.Caller, "person", property(lambda caller: caller.user or world.cast.owner)
    )


# --- parameters -----------------------------------------------------------------------------------
@leak(
    "a parameter opens a row of another workspace", route("preview", surface=lists.parameter_cells)
)
def _(world, patch):
    real = preview.sample_person

    def anybody(workspace, rule, after):
        return Contact._base_manager.filter(pk=after).first() or real(workspace, rule, after)

    patch.setattr(preview, "sample_person", everywhere(anybody))
