"""Roles as capabilities on a Workspace. The only module that talks to guardian.

A Membership's role decides which capability rows (guardian's direct-foreign-key permissions on
Workspace) its user holds; `sync` writes them, `grants` reads them, one query per user, workspace
and request. A workspace that is being deleted grants nothing to anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser, Permission
from django.db import models, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

if TYPE_CHECKING:
    from tenants.models import User, Workspace

VIEW = "view_content"
EDIT = "edit_content"
SEND = "send_campaigns"
APPROVE = "approve_campaigns"
IMPORT = "import_data"
EXPORT = "export_personal_data"
MEMBERS = "manage_members"
CONNECTIONS = "manage_connections"
BILLING = "manage_billing"
DELETE_WORKSPACE = "remove_workspace"

CAPABILITIES: dict[str, str] = {
    VIEW: gettext_noop("View campaigns, contacts and reports"),
    EDIT: gettext_noop("Create and edit campaigns, templates and contacts"),
    SEND: gettext_noop("Schedule, send, pause and cancel campaigns"),
    APPROVE: gettext_noop("Approve campaigns of others"),
    IMPORT: gettext_noop("Import templates and contacts"),
    EXPORT: gettext_noop("Export personal data"),
    MEMBERS: gettext_noop("Invite, change and remove members"),
    CONNECTIONS: gettext_noop("Manage provider connections and API keys"),
    BILLING: gettext_noop("Manage plan and billing"),
    DELETE_WORKSPACE: gettext_noop("Delete the workspace"),
}

# Held by roles and shown nowhere: no approval and no billing exists yet.
NOT_YET = frozenset({APPROVE, BILLING})
# What a capability allows today, where its permission's name promises more.
_ALLOWS_TODAY = {
    EDIT: gettext_noop(
        "Create and edit campaigns and templates, change devices and consent of contacts"
    ),
    IMPORT: gettext_noop("Import templates"),
}


class Role(models.TextChoices):
    OWNER = "owner", gettext_lazy("Owner")
    ADMIN = "admin", gettext_lazy("Admin")
    MEMBER = "member", gettext_lazy("Member")
    VIEWER = "viewer", gettext_lazy("Viewer")


ROLE_CAPABILITIES: dict[str, frozenset[str]] = {
    Role.OWNER: frozenset(CAPABILITIES),
    Role.ADMIN: frozenset(CAPABILITIES) - {BILLING, DELETE_WORKSPACE},
    Role.MEMBER: frozenset({VIEW, EDIT, SEND, IMPORT}),
    Role.VIEWER: frozenset({VIEW}),
}


def table() -> list[tuple[str, list[bool]]]:
    """(what a capability allows today, [whether each role holds it]), roles in the order of
    Role. Shown in the console, and in docs/roles.md."""
    shown = {
        name: _ALLOWS_TODAY.get(name, words)
        for name, words in CAPABILITIES.items()
        if name not in NOT_YET
    }
    return [
        (_(words), [name in ROLE_CAPABILITIES[role] for role in Role])
        for name, words in shown.items()
    ]


def as_markdown() -> str:
    """The table for docs/roles.md."""
    head = f"| May | {' | '.join(str(role.label) for role in Role)} |\n|---|{':-:|' * len(Role)}\n"
    rows = (
        f"| {words} | {' | '.join('✓' if holds else '–' for holds in holders)} |"
        for words, holders in table()
    )
    return head + "\n".join(rows)


# What Django's four model actions need on a row whose model names nothing else.
CONTENT = {"view": VIEW, "add": EDIT, "change": EDIT, "delete": EDIT}
READ_ONLY = {"view": VIEW}


def grants(user: User | AnonymousUser, workspace: Workspace) -> frozenset[str]:
    """The capabilities that the user holds on the workspace; empty for outsiders and inactive
    users."""
    if not user.is_authenticated or not user.is_active or workspace.deletion_due_at is not None:
        return frozenset()
    return _held(user, workspace)


def _held(user: User, workspace: Workspace) -> frozenset[str]:
    cache: dict[int, frozenset[str]] = user.__dict__.setdefault("_workspace_grants", {})
    if workspace.pk not in cache:
        from tenants.models import WorkspaceUserObjectPermission

        cache[workspace.pk] = frozenset(
            WorkspaceUserObjectPermission.objects.filter(
                user=user, content_object=workspace
            ).values_list("permission__codename", flat=True)
        )
    return cache[workspace.pk]


def can(user: User | AnonymousUser, capability: str, workspace: Workspace) -> bool:
    return capability in grants(user, workspace)


@transaction.atomic
def sync(user: User, workspace: Workspace, role: str | None) -> None:
    """Make the user's capability rows on the workspace those of the role; none without a role.

    Two statements, where guardian's assign_perm takes about four queries for each capability.
    """
    from tenants.models import WorkspaceUserObjectPermission

    wanted = ROLE_CAPABILITIES[role] if role else frozenset()
    user.__dict__.pop("_workspace_grants", None)
    held = _held(user, workspace)
    rows = WorkspaceUserObjectPermission.objects
    if missing := wanted - held:
        permissions = Permission.objects.filter(
            content_type__app_label="tenants", codename__in=missing
        )
        rows.bulk_create(
            [
                WorkspaceUserObjectPermission(permission=one, user=user, content_object=workspace)
                for one in permissions
            ],
            ignore_conflicts=True,
        )
    if surplus := held - wanted:
        rows.filter(user=user, content_object=workspace, permission__codename__in=surplus).delete()
    user.__dict__.pop("_workspace_grants", None)
