"""Surfaces beside pages and API: has_perm, closed workspaces, invitations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.http import HttpResponse
from django.utils import timezone

from pushpilot.sites import console
from tenants import invitations, roles
from tenants.models import User, Workspace
from tenants.scope import every_workspace, scope
from tenants.secrets import digest_of
from tests.house import routes
from tests.house.matrix import api
from tests.house.matrix.cells import Cell, any_of
from tests.house.matrix.proofs import row_of
from tests.house.matrix.surfaces import asker, url_of
from tests.house.matrix.world import ALLOWED, FORBIDDEN, INSIDERS, MISSING, World


# --- has_perm -------------------------------------------------------------------------------------
def right_cells(world: World, role: str) -> Iterator[Cell]:
    """has_perm of every model's actions and of every capability: on our row, on theirs, and on
    none."""
    if role == "anonymous":
        return
    for whose, rows in (("ours", world.ours), ("theirs", world.theirs)):
        workspace = rows[Workspace]
        for capability in roles.CAPABILITIES:
            yield _right_cell(world, role, whose, f"tenants.{capability}", capability, workspace)
        for model in console._registry:
            for action, capability in getattr(model, "capabilities", {}).items():
                options = model._meta
                perm = f"{options.app_label}.{action}_{options.model_name}"
                yield _right_cell(world, role, whose, perm, capability, rows[model])
                if whose == "ours":
                    yield _right_cell(world, role, "nobody's", perm, "", None)


def _right_cell(world: World, role: str, whose: str, perm: str, capability: str, row: Any) -> Cell:
    held = world.capabilities(role)
    may = whose == "theirs" if role == "other_owner" else whose == "ours" and capability in held

    def check() -> list[str]:
        user = User.objects.get(pk=getattr(world.cast, role).pk)
        with every_workspace():
            found = user.has_perm(perm, row)
        return [] if found == may else [f"has_perm({perm}) is {found}"]

    return Cell(f"has_perm {perm}", role, whose, lambda: HttpResponse(), frozenset(), check=check)


# --- closed workspaces ----------------------------------------------------------------------------
def closed_cells(world: World, role: str) -> Iterator[Cell]:
    """While our workspace is being deleted nobody gets in, by no address and by no key."""

    def close() -> None:
        Workspace.objects.filter(pk=world.cast.workspace.pk).update(deletion_due_at=timezone.now())

    for route in routes.all_routes():
        if route.path.startswith("admin/") and role in ("owner", "viewer", "operator"):
            url = url_of(world, route, row_of(world, route, "ours"))
            yield Cell(
                f"closed: POST {route.name}", role, "ours", asker(world, role, "POST", url, {}), any_of(MISSING),
                before=close, reads_only=True,
            )  # fmt: skip
    if role in INSIDERS:
        yield from api.closed_cells(world, role, close)


# --- invitations ----------------------------------------------------------------------------------
def invitation_cells(world: World, role: str) -> Iterator[Cell]:
    """The link of an invitation, in the hands of everybody: only the invited person may join."""
    invited = {"ours": world.cast.outsider, "theirs": None}
    for whose, workspace in (
        ("ours", world.cast.workspace),
        ("theirs", world.cast.other_workspace),
    ):
        link = _link(
            world, workspace, "outsider@biddano.test" if invited[whose] else "asha@freshcart.test"
        )
        joins = role == "outsider" and whose == "ours"
        right = any_of(ALLOWED) if joins or role == "anonymous" else any_of(FORBIDDEN)
        yield Cell(
            f"accepts an invitation to {whose}", role, whose, asker(world, role, "POST", link[1]), right,
            asked=f"{workspace.name} kolibri zanzibar", before=link[0],
            audited=True, changes="tenants.Membership" if joins else "", reads_only=not joins,
            shows=f"/w/{workspace.slug}/" if joins else "",
        )  # fmt: skip


def _link(world: World, workspace: Workspace, email: str) -> tuple[Callable[[], None], str]:
    token = f"token-{workspace.pk}-" + "x" * 24

    def before() -> None:
        with scope(workspace):
            owner = (
                world.cast.owner if workspace == world.cast.workspace else world.cast.other_owner
            )
            sent = invitations.invite(workspace, email, "viewer", by=owner, now=timezone.now())
            sent.invitation.digest = digest_of(token)
            sent.invitation.save(update_fields=["digest"])

    return before, f"/invitations/{token}/"
