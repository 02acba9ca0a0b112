"""Surfaces beside the console's pages: the API by every key, has_perm, closed workspaces, invitations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from campaigns.models import Campaign, Run
from delivery.models import Message
from pushpilot.api import api
from pushpilot.lib.signing import sign_reference
from pushpilot.sites import console
from reports import digest
from reports.models import Event
from tenants import invitations, keys, roles
from tenants.models import User, Workspace
from tenants.scope import every_workspace, scope
from tests.house import routes
from tests.house.matrix.cells import Cell, any_of
from tests.house.matrix.proofs import row_of
from tests.house.matrix.surfaces import asker, url_of
from tests.house.matrix.world import ALLOWED, FORBIDDEN, MISSING, NO_KEY, World
from tests.house.rows import Rows


# --- the API ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Operation:
    """Needs a key with `scope`; `body` is what is posted about a tenant's rows; `changes` a model that it writes.
    `after` finishes what the answer only began."""

    scope: str
    body: Callable[[World, Rows], Any]
    changes: str = ""
    after: Callable[[], object] | None = None


def _event(world: World, rows: Rows) -> dict[str, Any]:
    workspace = rows[Workspace]
    ref = sign_reference(workspace.pk, rows[Campaign].pk, rows[Run].pk, rows[Message].pk)
    by_id = {"message_id": "m2", "type": "unsubscribed", "external_user_id": "asha"}
    return {"batch": [{"message_id": "m1", "type": "opened", "ref": ref}, by_id]}


# Operations that take keys; those of people are routes. An operation in neither fails the matrix.
OPERATIONS: dict[str, Operation] = {
    "post_events": Operation(
        keys.EVENTS_WRITE, _event, changes=Event._meta.label, after=lambda: digest.digest_due(timezone.now())
    ),
}
WITHOUT_KEY = {"preflight"}


def operations() -> Iterator[tuple[str, str, str]]:
    """(name, method, address) of every operation of the API."""
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                for method in operation.methods:
                    yield operation.view_func.__name__, method, f"/api/v1{prefix}{path}"


def unclassified_operations() -> list[str]:
    return [
        f"{method} {address} ({name}): say in tests/house/matrix/programs.py (OPERATIONS or WITHOUT_KEY) what opens it"
        for name, method, address in operations()
        if name not in OPERATIONS and name not in WITHOUT_KEY
    ]


def operation_cells(world: World, role: str) -> Iterator[Cell]:
    """Every operation with every key of both tenants and without one, from the role's browser."""
    for name, method, address in operations():
        operation = OPERATIONS.get(name)
        if operation is None:
            continue
        for key, secret in {"no key": "", "an invented key": "pp_live_" + "x" * 32, **world.secrets}.items():
            if key != "no key" and role not in ("anonymous", "viewer", "other_owner"):
                continue
            tenant = "theirs" if key.startswith("their") else "ours"
            for whose in ("ours", "theirs"):
                body = operation.body(world, world.ours if whose == "ours" else world.theirs)
                right = _opens(operation, key)
                lands = ALLOWED in right and whose == tenant
                yield Cell(
                    f"{method} {name} with {key}", "owner" if tenant == "ours" else "other_owner", whose,
                    _caller(world, role, method, address, secret, body, operation), right, asked=json.dumps(body),
                    tenant=tenant, changes=operation.changes if lands else "", reads_only=ALLOWED not in right,
                )  # fmt: skip


def _opens(operation: Operation, key: str) -> frozenset[str]:
    kind = key.partition(" ")[2]
    if kind in ("key", "invented key", "revoked", "expired"):
        return any_of(NO_KEY)
    if kind == "narrow" and operation.scope != keys.WORKSPACE_READ:
        return any_of(FORBIDDEN)
    return any_of(ALLOWED if kind == "secret" or operation.scope == keys.EVENTS_WRITE else FORBIDDEN)


def _caller(
    world: World, role: str, method: str, address: str, secret: str, body: Any, operation: Operation
) -> Callable[[], HttpResponse]:
    def call() -> HttpResponse:
        headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}"} if secret else {}
        client: Client = world.clients[role]
        answer = client.generic(method, address, json.dumps(body), "application/json", **headers)
        if operation.after is not None and answer.status_code < 300:
            operation.after()
        return answer

    return call


# --- has_perm --------------------------------------------------------------------------------------------------------
def right_cells(world: World, role: str) -> Iterator[Cell]:
    """has_perm of every model's actions and of every capability: on our row, on theirs, and on none."""
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


# --- closed workspaces -----------------------------------------------------------------------------------------------
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
    for name, method, address in operations() if role == "owner" else ():
        operation = OPERATIONS.get(name)
        for key, secret in world.secrets.items():
            if operation is not None and key.startswith("our"):
                body = operation.body(world, world.ours)
                yield Cell(
                    f"closed: {method} {name} with {key}", role, "ours",
                    _caller(world, "anonymous", method, address, secret, body, operation), any_of(NO_KEY),
                    before=close, reads_only=True,
                )  # fmt: skip


# --- invitations -----------------------------------------------------------------------------------------------------
def invitation_cells(world: World, role: str) -> Iterator[Cell]:
    """The link of an invitation, in the hands of everybody: only the invited person may join."""
    invited = {"ours": world.cast.outsider, "theirs": None}
    for whose, workspace in (("ours", world.cast.workspace), ("theirs", world.cast.other_workspace)):
        link = _link(world, workspace, "outsider@biddano.test" if invited[whose] else "asha@freshcart.test")
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
            owner = world.cast.owner if workspace == world.cast.workspace else world.cast.other_owner
            sent = invitations.invite(workspace, email, "viewer", by=owner, now=timezone.now())
            sent.invitation.digest = invitations._digest(token)
            sent.invitation.save(update_fields=["digest"])

    return before, f"/invitations/{token}/"
