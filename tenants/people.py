"""The verbs of a person's own account."""

from __future__ import annotations

from django.db import transaction

from tenants import audit
from tenants.models import Membership, User, Workspace
from tenants.roles import Role
from tenants.scope import every_workspace, scope


def left_without(user: User) -> list[Workspace]:
    """The workspaces, by name, in which nobody but this user is an owner who can sign in."""
    with every_workspace():
        owners = Membership.objects.filter(role=Role.OWNER, user__is_active=True)
        own = owners.filter(user=user).values("workspace")
        others = owners.exclude(user=user).values("workspace")
        open_ones = Workspace.objects.filter(pk__in=own, deletion_due_at=None)
        return list(open_ones.exclude(pk__in=others).order_by("name"))


@transaction.atomic
def rename(user: User, name: str) -> None:
    """Call the person so from now on. Each of their workspaces reads in its trail what they were
    called before."""
    before = User.objects.filter(pk=user.pk).values_list("full_name", flat=True).get()
    if before == name:
        return
    user.full_name = name
    user.save(update_fields=["full_name", "updated_at"])
    with every_workspace():
        own = list(Workspace.objects.filter(memberships__user=user))
    for workspace in own:
        with scope(workspace):
            audit.record(
                workspace,
                "person renamed",
                user.email,
                by=user,
                changes={"full_name": (before, name)},
            )
