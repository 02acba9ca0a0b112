"""Creating workspaces and adding people to them."""

from __future__ import annotations

import secrets
from typing import Any

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
