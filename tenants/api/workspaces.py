"""Workspaces, their members and invitations by API: the console's verbs behind another door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router, Status

from pushpilot.lib.lists import Listing
from pushpilot.lib.problems import Problem
from tenants import invitations, keys, roles, workspaces
from tenants.api import schemas
from tenants.api.errors import by_the_rules
from tenants.api.idempotency import idempotent
from tenants.api.security import (
    Access,
    AccessToken,
    Caller,
    caller_of,
    inside,
    workspace_meant,
)
from tenants.filters import InvitationFilters, MembershipFilters, WorkspaceFilters
from tenants.models import Invitation, Membership, Workspace
from tenants.scope import every_workspace

router = Router(tags=["Workspaces"])
PERSON, ANYONE = AccessToken(), Access(keys.WORKSPACE_READ)
WORKSPACES = Listing(WorkspaceFilters, schemas.WorkspaceOut)
MEMBERS = Listing(MembershipFilters, schemas.MemberOut)
INVITATIONS = Listing(InvitationFilters, schemas.InvitationOut)


@contextmanager
def _by_the_rules() -> Iterator[None]:
    """As `by_the_rules`; 404 for a member who was removed in the same moment."""
    try:
        with by_the_rules():
            yield
    except Membership.DoesNotExist as error:
        raise _no_member() from error


def _no_member() -> Problem:
    return Problem(404, "member_not_found", _("This workspace has no such member."))


def _no_invitation() -> Problem:
    return Problem(404, "invitation_not_found", _("This workspace has no such invitation."))


# --- workspaces -----------------------------------------------------------------------------------
def _told(workspace: Workspace, role: str | None) -> dict[str, Any]:
    fields = [name for name in schemas.WorkspaceOut.model_fields if name != "role"]
    return {**{name: getattr(workspace, name) for name in fields}, "role": role}


def _told_to(caller: Caller, workspace: Workspace) -> dict[str, Any]:
    return _told(workspace, workspaces.role_of(caller.user, workspace) if caller.user else None)


@router.get("/workspaces", **WORKSPACES.route, auth=ANYONE, summary="Your workspaces")
def list_workspaces(request: HttpRequest) -> dict[str, Any]:
    """By name. An API key has one."""
    caller = caller_of(request)
    if caller.user is None:
        own = Workspace.objects.filter(pk=workspace_meant(request).pk)
        return WORKSPACES.page(request, own, lambda found: _told(found, None))
    with every_workspace():
        return WORKSPACES.page(request, caller.user.workspace_rows())


@router.post(
    "/workspaces", response={201: schemas.WorkspaceOut}, auth=PERSON, summary="Create a workspace"
)
@idempotent(None)
def create_workspace(request: HttpRequest, body: schemas.NewWorkspace) -> Status[dict[str, Any]]:
    """You become its owner."""
    caller = caller_of(request)
    with _by_the_rules():
        created = workspaces.create_workspace_for(
            caller.person, now=timezone.now(), **body.model_dump()
        )
    return Status(201, _told_to(caller, created))


@router.get(
    "/workspace", response=schemas.WorkspaceOut, auth=ANYONE, summary="The workspace you work in"
)
def current_workspace(request: HttpRequest) -> dict[str, Any]:
    """That of X-Workspace-ID or of the API key; without the header the only one that you are in."""
    return _told_to(caller_of(request), workspace_meant(request))


@router.get(
    "/workspaces/{workspace}", response=schemas.WorkspaceOut, auth=ANYONE, summary="One workspace"
)
def get_workspace(request: HttpRequest, workspace: str) -> dict[str, Any]:
    with inside(request, workspace) as found:
        return _told_to(caller_of(request), found)


@router.patch(
    "/workspaces/{workspace}",
    response=schemas.WorkspaceOut,
    auth=PERSON,
    summary="Change its settings",
)
def change_workspace(
    request: HttpRequest, workspace: str, body: schemas.WorkspaceChanges
) -> dict[str, Any]:
    caller = caller_of(request)
    with inside(request, workspace, roles.MEMBERS) as found, _by_the_rules():
        changes = body.model_dump(exclude_unset=True)
        moved = None if changes.pop("planned_sends", "keep") == "move" else ()
        return _told_to(
            caller, workspaces.change_settings(found, changes, by=caller.person, moved=moved)
        )


# --- members --------------------------------------------------------------------------------------
@router.get("/workspaces/{workspace}/members", **MEMBERS.route, auth=ANYONE, summary="Its members")
def list_members(request: HttpRequest, workspace: str) -> dict[str, Any]:
    """By name."""
    with inside(request, workspace):
        return MEMBERS.page(request, Membership.objects.select_related("user"))


@router.patch(
    "/workspaces/{workspace}/members/{int:member}",
    response=schemas.MemberOut,
    auth=PERSON,
    summary="Change a role",
)
def change_member(
    request: HttpRequest, workspace: str, member: int, body: schemas.RoleChange
) -> Membership:
    with inside(request, workspace, roles.MEMBERS), _by_the_rules():
        workspaces.change_member(_membership(member), body.role, by=caller_of(request).person)
        return _membership(member)


@router.delete(
    "/workspaces/{workspace}/members/{int:member}",
    response={204: None},
    auth=PERSON,
    summary="Remove a member",
)
def remove_member(request: HttpRequest, workspace: str, member: int) -> HttpResponse:
    """Their rights and secret keys in this workspace end at once."""
    with inside(request, workspace, roles.MEMBERS), _by_the_rules():
        workspaces.change_member(_membership(member), "", by=caller_of(request).person)
    return HttpResponse(status=204)


def _membership(pk: int) -> Membership:
    return Membership.objects.select_related("user").get(pk=pk)


# --- invitations ----------------------------------------------------------------------------------
@router.get(
    "/workspaces/{workspace}/invitations", **INVITATIONS.route, auth=PERSON, summary="Invitations"
)
def list_invitations(request: HttpRequest, workspace: str) -> dict[str, Any]:
    """The newest first, with what became of each."""
    now = timezone.now()
    with inside(request, workspace, roles.MEMBERS):
        rows = Invitation.objects.select_related("invited_by")
        return INVITATIONS.page(request, rows, lambda row: _invitation(row, now))


def _invitation(invitation: Invitation, now: datetime) -> dict[str, Any]:
    return {
        "id": invitation.pk,
        "email": invitation.email,
        "role": invitation.role,
        "state": invitation.state(now).lower(),
        "invited_by": str(invitation.invited_by or ""),
        "invited_at": invitation.invited_at,
        "expires_at": invitation.expires_at,
    }


@router.post(
    "/workspaces/{workspace}/invitations",
    response={201: schemas.InvitationSent},
    auth=PERSON,
    summary="Invite",
)
@idempotent(roles.MEMBERS)
def invite(
    request: HttpRequest, workspace: str, body: schemas.NewInvitation
) -> Status[dict[str, Any]]:
    """Mails a link that is good for a week. Without a mail server `mailed` is false: pass the
    `link` on yourself. An address that is invited already gets a fresh one."""
    return _invite(request, workspace, body)


@router.post(
    "/workspaces/{workspace}/members",
    response={201: schemas.InvitationSent},
    auth=PERSON,
    summary="Invite a member",
)
@idempotent(roles.MEMBERS)
def invite_member(
    request: HttpRequest, workspace: str, body: schemas.NewInvitation
) -> Status[dict[str, Any]]:
    """The same as a POST of an invitation: the person is a member once they have accepted it."""
    return _invite(request, workspace, body)


def _invite(
    request: HttpRequest, workspace: str, body: schemas.NewInvitation
) -> Status[dict[str, Any]]:
    now = timezone.now()
    with inside(request, workspace, roles.MEMBERS) as found, _by_the_rules():
        by = caller_of(request).person
        sent = invitations.invite(found, body.email, body.role, by=by, now=now)
        return Status(201, _sent(sent, now))


@router.post(
    "/workspaces/{workspace}/invitations/{int:invitation}/resend",
    response=schemas.InvitationSent,
    auth=PERSON,
    summary="Send a fresh link",
)
def resend_invitation(request: HttpRequest, workspace: str, invitation: int) -> dict[str, Any]:
    """The link that was mailed before stops working."""
    now = timezone.now()
    with inside(request, workspace, roles.MEMBERS), _by_the_rules():
        return _sent(
            invitations.resend(_invited(invitation), by=caller_of(request).person, now=now), now
        )


@router.delete(
    "/workspaces/{workspace}/invitations/{int:invitation}",
    response={204: None},
    auth=PERSON,
    summary="Withdraw",
)
def revoke_invitation(request: HttpRequest, workspace: str, invitation: int) -> HttpResponse:
    with inside(request, workspace, roles.MEMBERS), _by_the_rules():
        invitations.revoke(_invited(invitation), by=caller_of(request).person, now=timezone.now())
    return HttpResponse(status=204)


def _invited(pk: int) -> Invitation:
    found = Invitation.objects.select_related("workspace", "invited_by").filter(pk=pk).first()
    if found is None:
        raise _no_invitation()
    return found


def _sent(sent: invitations.Sent, now: datetime) -> dict[str, Any]:
    return {**_invitation(sent.invitation, now), "link": sent.link, "mailed": sent.mailed}
