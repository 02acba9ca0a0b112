"""The fixed cast: a workspace with one person of each role, and people who are none of its
business."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission
from django.test import Client

from tenants.models import AuditEntry, Membership, User, Workspace, WorkspaceUserObjectPermission
from tenants.roles import CAPABILITIES, ROLE_CAPABILITIES, Role
from tenants.scope import every_workspace
from tests.pages import signed_in_now

PASSWORD = "correct horse"
ROLES = {"owner": Role.OWNER, "admin": Role.ADMIN, "member": Role.MEMBER, "viewer": Role.VIEWER}


@dataclass
class Cast:
    """Biddano Tech's people; somebody without a workspace, somebody who owns another one, and an
    operator."""

    workspace: Workspace
    owner: User
    admin: User
    member: User
    viewer: User
    outsider: User
    other_owner: User
    other_workspace: Workspace

    @cached_property
    def operator(self) -> User:
        return User.objects.create_superuser("root@push.test", PASSWORD)

    def client(self, name: str) -> Client:
        """A browser signed in as that person; "anonymous" is nobody."""
        client = Client()
        if name != "anonymous":
            signed_in_now(client, getattr(self, name))
        return client

    def url(self, path: str = "") -> str:
        return f"/w/{self.workspace.slug}/admin/{path}"


def make_cast() -> Cast:
    """The rows that the verbs of tenants.workspaces would make one by one, in six statements
    instead of 90.

    That they are the same is shown by tests/house/test_cast.py.
    """
    password = make_password(PASSWORD)
    made = User.objects.bulk_create(
        User(email=f"{name}@biddano.test", password=password, full_name=f"{name.title()} Rao")
        for name in (*ROLES, "outsider", "other_owner")
    )
    people = {user.email.partition("@")[0]: user for user in made}
    workspace, other = Workspace.objects.bulk_create(
        [
            Workspace(
                slug="biddano-tech",
                name="Biddano Tech",
                owner=people["owner"],
                time_zone="Asia/Kolkata",
            ),
            Workspace(slug="elsewhere", name="Elsewhere", owner=people["other_owner"]),
        ]
    )
    members = [(workspace, people[name], role) for name, role in ROLES.items()]
    members.append((other, people["other_owner"], Role.OWNER))
    rights = dict(
        Permission.objects.filter(content_type__app_label="tenants").values_list("codename", "pk")
    )
    WorkspaceUserObjectPermission.objects.bulk_create(
        WorkspaceUserObjectPermission(permission_id=rights[name], user=user, content_object=where)
        for where, user, role in members
        for name in CAPABILITIES
        if name in ROLE_CAPABILITIES[role]
    )
    with every_workspace():
        Membership.objects.bulk_create(
            Membership(workspace=where, user=user, role=role) for where, user, role in members
        )
        AuditEntry.objects.bulk_create(
            AuditEntry(
                workspace=where,
                actor=where.owner,
                actor_label=f"{where.owner}",
                actor_email=where.owner.email,
                action="workspace created",
                target=where.name,
            )
            for where in (workspace, other)
        )
    return Cast(workspace=workspace, other_workspace=other, **people)
