"""The cast that every test starts with is what the product's own verbs make of such people and
workspaces."""

from __future__ import annotations

from typing import Any

from django.db import models, transaction

from tenants.models import AuditEntry, Membership, User, Workspace, WorkspaceUserObjectPermission
from tenants.scope import every_workspace
from tenants.workspaces import add_member, create_workspace
from tests.cast import PASSWORD, ROLES, make_cast

# What differs between two casts of the same kind.
OWN = ("id", "password", "at", "created_at", "updated_at", "date_joined", "joined_at", "last_login")


def made_by_verbs() -> None:
    people = {
        name: User.objects.create_user(
            f"{name}@biddano.test", PASSWORD, full_name=f"{name.title()} Rao"
        )
        for name in (*ROLES, "outsider", "other_owner")
    }
    workspace = create_workspace("Biddano Tech", owner=people["owner"], time_zone="Asia/Kolkata")
    for name in ("admin", "member", "viewer"):
        add_member(workspace, people[name], ROLES[name])
    create_workspace("Elsewhere", owner=people["other_owner"])


def plain(row: models.Model) -> dict[str, Any]:
    return {
        field.name: str(getattr(row, field.name))
        for field in row._meta.concrete_fields
        if field.name not in OWN
    }


def taken() -> dict[str, list[dict[str, Any]]]:
    """Every row of the tenants' tables that a cast has, without what is its own."""
    tables = (User, Workspace, Membership, WorkspaceUserObjectPermission, AuditEntry)
    with every_workspace():
        return {
            table.__name__: sorted(map(plain, table.objects.all()), key=str) for table in tables
        }


def test_it_is_what_the_verbs_make(db):
    found = []
    for make in (make_cast, made_by_verbs):
        with transaction.atomic():
            make()
            found.append(taken())
            transaction.set_rollback(True)
    assert found[0] == found[1]
    assert all(found[0].values())


def test_its_people_know_their_password(cast):
    assert all(
        getattr(cast, name).check_password(PASSWORD) for name in (*ROLES, "outsider", "other_owner")
    )
