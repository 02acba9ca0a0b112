"""Creating workspaces and adding people to them."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from tenants import audit
from tenants.models import Membership, User, Workspace
from tenants.roles import Role
from tenants.scope import scope


@transaction.atomic
def create_workspace(name: str, *, owner: User, **fields: Any) -> Workspace:
    """A workspace with its owner as the first member. Its slug comes from the name, made unique if taken."""
    slug = slugify(name)[:48] or "workspace"
    if Workspace.objects.filter(slug=slug).exists():
        slug = f"{slug}-{secrets.token_hex(3)}"
    workspace = Workspace.objects.create(name=name.strip(), slug=slug, owner=owner, **fields)
    add_member(workspace, owner, Role.OWNER)
    with scope(workspace):
        audit.record(workspace, "workspace created", workspace, by=owner)
    return workspace


def add_member(workspace: Workspace, user: User, role: Role) -> Membership:
    with scope(workspace):
        return Membership.objects.create(workspace=workspace, user=user, role=role, joined_at=timezone.now())


def why_not_change(membership: Membership, role: str, *, by: User, by_role: str) -> str:
    """The sentence that says why `by` (of that role) may not give the membership this role; "" if they may.

    `role` "" stands for removing the member.
    """
    if membership.user_id == by.pk:
        return "You cannot change or remove yourself. Ask another owner or admin of this workspace."
    if membership.role == Role.OWNER and by_role != Role.OWNER:
        return f"{membership.user} owns this workspace. Only an owner can change or remove an owner."
    if role == Role.OWNER and by_role != Role.OWNER:
        return "Only an owner can make somebody an owner. Choose another role."
    return ""


@transaction.atomic
def change_member(membership: Membership, role: str, *, by: User) -> None:
    """Give a member another role, or with "" remove them. Raises ValidationError with a sentence.

    `by` must hold the MEMBERS capability; that is the door's to check.
    """
    workspace = Workspace.objects.select_for_update().get(pk=membership.workspace_id)
    current = Membership.objects.select_related("user").get(pk=membership.pk)
    by_role = Membership.objects.filter(user=by, status=Membership.Status.ACTIVE).values_list("role", flat=True).first()
    refusal = why_not_change(current, role, by=by, by_role=by_role or "")
    if refusal:
        raise ValidationError(refusal)
    owners = Membership.objects.filter(role=Role.OWNER, status=Membership.Status.ACTIVE).exclude(pk=current.pk)
    heir = owners.order_by("joined_at", "pk").first()
    if current.role == Role.OWNER and role != Role.OWNER:
        if heir is None:
            raise ValidationError("A workspace needs an owner. Make somebody else an owner first.")
        if workspace.owner_id == current.user_id:
            workspace.owner_id = heir.user_id
            workspace.save(update_fields=["owner", "updated_at"])
    if role:
        current.role = role
        current.save(update_fields=["role"])
    else:
        current.delete()
