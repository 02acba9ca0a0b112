"""The API: every operation with every key of both tenants, and as every person, about rows of
both tenants."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.http import HttpResponse
from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Contact, Endpoint, Run, Template
from delivery.models import DirectSend, Message
from pushpilot.lib.signing import sign_reference
from reports import digest
from reports.models import Event
from tenants import keys, roles
from tenants.models import Connection, Invitation, Membership, Workspace
from tenants.scope import every_workspace
from tests.house.matrix.cells import Cell, any_of, is_insider
from tests.house.matrix.world import ABSENT, ALLOWED, FORBIDDEN, MISSING, NO_KEY, World
from tests.house.routes import WITHOUT_KEY, operations
from tests.house.rows import Rows

READ, DEVICES, MEMBERS = keys.WORKSPACE_READ, keys.DEVICES_WRITE, roles.MEMBERS
MANAGE = keys.CONNECTIONS_MANAGE
FIGURES = keys.ANALYTICS_READ
SIGNED_IN = "signed in"  # a person, whatever their role


@dataclass(frozen=True, slots=True)
class Operation:
    """`scope` is what a key needs, `person` the capability that a person needs or SIGNED_IN;
    None: it opens to none.

    `row` is the model of the id in its address, `named` an id that both tenants share, `body` is what is posted about a tenant's rows.
    Who is let in sees `shows` and changes `changes`; `before` brings the door's rows into the
    state that it needs, `after` finishes what the answer only began. An operation that `asks_again`
    for the password lets nobody in: the matrix has given none of late.
    """

    scope: str | None = None
    person: str | None = None
    row: type[models.Model] | None = None
    body: Callable[[World, Rows], Any] = lambda world, rows: {}
    shows: str = ""
    changes: type[models.Model] | None = None
    before: Callable[[Rows], None] | None = None
    after: Callable[[], object] | None = None
    asks_again: bool = False
    named: Callable[[World], int] | None = None


def _event(world: World, rows: Rows) -> dict[str, Any]:
    workspace = rows[Workspace]
    ref = sign_reference(workspace.pk, rows[Campaign].pk, rows[Run].pk, rows[Message].pk)
    by_id = {"event_id": "m2", "type": "unsubscribed", "external_user_id": "asha"}
    return {"batch": [{"event_id": "m1", "type": "opened", "ref": ref}, by_id]}


def _device(world: World, rows: Rows) -> dict[str, Any]:
    """A new owner for the device of the workspace's contact."""
    return {
        "devices": [
            {"external_user_id": "new", "token": rows[Endpoint].value, "platform": "android"}
        ]
    }


def _for_a_contact(world: World, rows: Rows) -> dict[str, Any]:
    return {"contacts": [rows[Contact].external_id]}


def _gone(world: World, rows: Rows) -> dict[str, Any]:
    return {"devices": [{"token": rows[Endpoint].value}]}


def _direct(world: World, rows: Rows) -> dict[str, Any]:
    named = rows[Contact].external_id
    return {"class": "transactional", "recipients": [named], "content": {"title": "Your code"}}


def says(**fields: Any) -> Callable[[World, Rows], Any]:
    return lambda world, rows: fields


def _other_role(world: World, rows: Rows) -> dict[str, str]:
    return {"role": "member" if rows is world.ours else "viewer"}


def _run_is(state: str) -> Callable[[Rows], None]:
    def before(rows: Rows) -> None:
        with every_workspace():
            Run.objects.filter(pk=rows[Run].pk).update(state=state, finished_at=None)

    return before


def _never_sent(rows: Rows) -> None:
    with every_workspace():
        Run.objects.filter(pk=rows[Run].pk).update(tally={Reason.CANCELLED.slug: 1})


def _ready(rows: Rows) -> None:
    with every_workspace():
        Connection.objects.filter(pk=rows[Connection].pk).update(is_active=True)


def _campaign(scope: str, capability: str, **more: Any) -> Operation:
    return Operation(scope, capability, Campaign, **more)


def _template(scope: str, capability: str, **more: Any) -> Operation:
    return Operation(scope, capability, Template, **more)


OPERATIONS: dict[str, Operation] = {
    "post_events": Operation(
        keys.EVENTS_WRITE,
        body=_event,
        changes=Event,
        after=lambda: digest.digest_due(timezone.now()),
    ),
    "list_workspaces": Operation(READ, SIGNED_IN, shows='"results"'),
    "create_workspace": Operation(
        None, SIGNED_IN, body=says(name="Third shop"), shows="third-shop"
    ),
    "current_workspace": Operation(READ, roles.VIEW, shows='"time_zone"'),
    "get_workspace": Operation(READ, roles.VIEW, shows='"time_zone"'),
    "change_workspace": Operation(
        None, MEMBERS, body=says(name="Renamed"), shows="Renamed", changes=Workspace
    ),
    "list_members": Operation(READ, roles.VIEW, shows='"joined_at"'),
    "change_member": Operation(None, MEMBERS, Membership, _other_role, changes=Membership),
    "remove_member": Operation(None, MEMBERS, Membership, changes=Membership),
    "list_invitations": Operation(None, MEMBERS, shows='"expires_at"'),
    "invite": Operation(
        None, MEMBERS, body=says(email="asha@freshcart.test"), shows="asha@", changes=Invitation
    ),
    "resend_invitation": Operation(None, MEMBERS, Invitation, shows='"link"', changes=Invitation),
    "revoke_invitation": Operation(None, MEMBERS, Invitation, changes=Invitation),
    "register_devices": Operation(
        DEVICES, roles.EDIT, body=_device, shows='"created"', changes=Endpoint
    ),
    "unregister_devices": Operation(
        DEVICES, roles.EDIT, body=_gone, shows='"retired"', changes=Endpoint
    ),
    "get_firebase": Operation(MANAGE, roles.CONNECTIONS, shows='"key_id"'),
    "connect_firebase": Operation(
        MANAGE, roles.CONNECTIONS, body=says(service_account={"server_key": "A"}), shows="2024"
    ),
    "change_firebase": Operation(
        MANAGE,
        roles.CONNECTIONS,
        body=says(name="Renamed"),
        shows="Renamed",
        changes=Connection,
    ),
    "test_firebase": Operation(MANAGE, roles.CONNECTIONS, changes=Connection),
    # the provider is not there, and the answer says so
    "send_test_of_campaign": Operation(
        keys.CAMPAIGNS_SEND, roles.SEND, Campaign, body=_for_a_contact, shows='"code"'
    ),
    "list_notifications": Operation(keys.NOTIFICATIONS_READ, roles.VIEW, shows='"reason_in_words"'),
    "get_notification": Operation(keys.NOTIFICATIONS_READ, roles.VIEW, Message, shows='"attempts"'),
    "get_send_now": Operation(keys.NOTIFICATIONS_READ, roles.VIEW, DirectSend, shows='"progress"'),
    "post_send_now": Operation(
        keys.CAMPAIGNS_SEND, roles.SEND, body=_direct, shows='"unknown"', changes=DirectSend
    ),
    "logout": Operation(None, SIGNED_IN),
    "list_campaigns": Operation(keys.CAMPAIGNS_READ, roles.VIEW, shows='"channel_type"'),
    "create_campaign": Operation(
        keys.CAMPAIGNS_WRITE,
        roles.EDIT,
        body=says(name="Weekend Blast"),
        shows="Weekend Blast",
        changes=Campaign,
    ),
    "get_campaign": _campaign(keys.CAMPAIGNS_READ, roles.VIEW, shows='"runs"'),
    "change_campaign": _campaign(
        keys.CAMPAIGNS_WRITE,
        roles.EDIT,
        body=says(name="Renamed offer"),
        shows="Renamed offer",
        changes=Campaign,
    ),
    "delete_campaign": _campaign(
        keys.CAMPAIGNS_WRITE, roles.EDIT, changes=Campaign, before=_never_sent
    ),
    "duplicate_campaign": _campaign(
        keys.CAMPAIGNS_WRITE, roles.EDIT, shows="(copy)", changes=Campaign
    ),
    "forecast_campaign": _campaign(keys.CAMPAIGNS_READ, roles.VIEW, shows='"findings"'),
    "preview_campaign": _campaign(keys.CAMPAIGNS_READ, roles.VIEW, shows='"payload"'),
    "schedule_campaign": _campaign(
        keys.CAMPAIGNS_SEND, roles.SEND, shows='"planned"', changes=Run, before=_ready
    ),
    "cancel_campaign": _campaign(
        keys.CAMPAIGNS_SEND,
        roles.SEND,
        shows='"cancelled"',
        changes=Run,
        before=_run_is(Run.State.RUNNING),
    ),
    "pause_campaign": _campaign(
        keys.CAMPAIGNS_SEND,
        roles.SEND,
        shows='"paused"',
        changes=Run,
        before=_run_is(Run.State.RUNNING),
    ),
    "resume_campaign": _campaign(
        keys.CAMPAIGNS_SEND,
        roles.SEND,
        shows='"running"',
        changes=Run,
        before=_run_is(Run.State.PAUSED),
    ),
    "generate_content": _campaign(
        keys.CAMPAIGNS_WRITE, roles.EDIT, body=says(prompt="Hello"), shows='"drafts"'
    ),
    "list_templates": Operation(keys.TEMPLATES_READ, roles.VIEW, shows='"is_global"'),
    "create_template": Operation(
        keys.TEMPLATES_WRITE,
        roles.EDIT,
        body=says(name="Festival", category="offer", title="Sale", body="Today"),
        shows="Festival",
        changes=Template,
    ),
    "get_template": _template(keys.TEMPLATES_READ, roles.VIEW, shows='"is_global"'),
    "change_template": _template(
        keys.TEMPLATES_WRITE,
        roles.EDIT,
        body=says(name="Renamed template"),
        shows="Renamed template",
        changes=Template,
    ),
    "delete_template": _template(keys.TEMPLATES_WRITE, roles.EDIT, changes=Template),
    "copy_template": Operation(
        keys.TEMPLATES_WRITE,
        roles.EDIT,
        named=lambda world: world.shared.pk,
        shows='"is_global": false',
        changes=Template,
    ),
    "invite_member": Operation(
        None, MEMBERS, body=says(email="asha@freshcart.test"), shows="asha@", changes=Invitation
    ),
    "get_user": Operation(None, SIGNED_IN, shows='"second_factors"'),
    "change_user": Operation(None, SIGNED_IN, body=says(full_name="Sam Other"), shows="Sam Other"),
    "reauthenticate": Operation(None, SIGNED_IN, shows='"methods"'),
    "change_password": Operation(
        None,
        SIGNED_IN,
        body=says(current_password="correct horse", new_password="a rare one 9"),
        shows='"access_token"',
    ),
    "list_passkeys": Operation(None, SIGNED_IN, shows='"results"'),
    "enroll_passkey": Operation(None, SIGNED_IN, asks_again=True),
    "remove_passkey": Operation(None, SIGNED_IN, asks_again=True),
    "analytics_summary": Operation(FIGURES, roles.VIEW, shows='"active_campaign_count"'),
    "analytics_campaign": Operation(FIGURES, roles.VIEW, Campaign, shows='"reasons"'),
    "analytics_events": Operation(FIGURES, roles.VIEW, shows='"results"'),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operation is found."""

    name: str
    method: str
    address: str

    @property
    def operation(self) -> Operation:
        return OPERATIONS[self.name]

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


def places() -> list[Place]:
    return [Place(*found) for found in operations() if found[0] in OPERATIONS]


def unclassified_operations() -> list[str]:
    return [
        f"{method} {address} ({name}): say in tests/house/matrix/api.py (OPERATIONS), or in "
        "tests/house/routes.py (WITHOUT_KEY), what opens it"
        for name, method, address in operations()
        if name not in OPERATIONS and name not in {*WITHOUT_KEY, "preflight"}
    ]


# --- by key ---------------------------------------------------------------------------------------
def key_cells(world: World, role: str) -> Iterator[Cell]:
    """Every operation with every key of both tenants and without one, from the role's browser."""
    for at in places():
        for key, secret in {
            "no key": "",
            "an invented key": "pp_live_" + "x" * 32,
            **world.secrets,
        }.items():
            if key != "no key" and role not in ("anonymous", "viewer", "other_owner"):
                continue
            for whose in ("ours", "theirs"):
                yield _key_cell(world, role, at, key, secret, whose)


def _key_cell(world: World, role: str, at: Place, key: str, secret: str, whose: str) -> Cell:
    operation = at.operation
    tenant = "theirs" if key.startswith("their") else "ours"
    call = _Call(world, role, at, secret, whose, whose)
    right = _opens(operation, key)
    if ALLOWED in right and whose != tenant and call.names_workspace:
        right = any_of(MISSING)
    lands = right == {ALLOWED} and whose == tenant
    return Cell(
        f"{at} with {key}", "owner" if tenant == "ours" else "other_owner", whose, call, right,
        asked=call.asked, tenant=tenant, before=_before(world, operation, tenant), shows=operation.shows if lands else "",
        changes=operation.changes._meta.label if operation.changes and lands else "", reads_only=ALLOWED not in right,
    )  # fmt: skip


def _before(world: World, operation: Operation, tenant: str) -> Callable[[], None] | None:
    prepare, rows = operation.before, world.theirs if tenant == "theirs" else world.ours
    if prepare is None:
        return None
    return lambda: prepare(rows)


def _opens(operation: Operation, key: str) -> frozenset[str]:
    kind = key.partition(" ")[2]
    if kind in ("key", "invented key", "revoked", "expired"):
        return any_of(NO_KEY)
    held = {"secret": set(keys.SCOPES), "narrow": {READ}}.get(kind, {keys.EVENTS_WRITE})
    return any_of(ALLOWED if operation.scope in held else FORBIDDEN)


# --- as a person ----------------------------------------------------------------------------------
def person_cells(world: World, role: str) -> Iterator[Cell]:
    """Every operation with the role's access token: in both workspaces, with rows of the one and
    of the other."""
    for at in places() if role != "anonymous" else ():
        for place in ("ours", "theirs") if at.operation.person is not None else ():
            for whose in ("ours", "theirs") if at.operation.row else (place,):
                yield _person_cell(world, role, at, place, whose)


def _person_cell(world: World, role: str, at: Place, place: str, whose: str) -> Cell:
    operation = at.operation
    call = _Call(world, role, at, world.token(role), place, whose)
    home = "theirs" if role == "other_owner" else "ours"
    right = any_of(_answer(world, role, operation, is_home=place == home, is_own=whose == place))
    if not call.names_workspace:  # everybody's own
        right = any_of(FORBIDDEN if operation.asks_again else ALLOWED)
    lands = right == {ALLOWED}
    return Cell(
        f"{at} of {place} as a person", role, whose, call, right, asked=call.asked, tenant=home,
        before=_before(world, operation, home),
        shows=operation.shows if lands else "",
        changes=operation.changes._meta.label if operation.changes and lands else "",
        twin=_Call(world, role, at, world.token(role), place, "nobody's") if operation.row and not lands else None,
        reads_only=not lands,
    )  # fmt: skip


def _answer(world: World, role: str, operation: Operation, *, is_home: bool, is_own: bool) -> str:
    if not is_home or not (is_insider(role) or role == "other_owner"):
        return MISSING
    held = world.capabilities("owner" if role == "other_owner" else role)
    if operation.person != SIGNED_IN and operation.person not in held:
        return FORBIDDEN
    return ALLOWED if is_own else MISSING


# --- closed workspaces ----------------------------------------------------------------------------
def closed_cells(world: World, role: str, close: Callable[[], None]) -> Iterator[Cell]:
    """While our workspace is being deleted its keys open nothing, and for its people it is gone."""
    for at in places():
        for key, secret in world.secrets.items() if role == "owner" else ():
            if key.startswith("our"):
                call = _Call(world, "anonymous", at, secret, "ours", "ours")
                yield Cell(
                    f"closed: {at} with {key}", role, "ours", call, any_of(NO_KEY), asked=call.asked,
                    before=close, reads_only=True,
                )  # fmt: skip
        call = _Call(world, role, at, world.token(role), "ours", "ours")
        if at.operation.person is not None and call.names_workspace:
            yield Cell(
                f"closed: {at} as a person", role, "ours", call, any_of(MISSING), asked=call.asked,
                before=close, reads_only=True,
            )  # fmt: skip


# --- one call -------------------------------------------------------------------------------------
class _Call:
    """A call in the workspace of `place` about the row of `whose`, with a key or an access
    token."""

    def __init__(
        self, world: World, role: str, at: Place, secret: str, place: str, whose: str
    ) -> None:
        operation, method, address = at.operation, at.method, at.address
        self.client, self.operation, self.method = world.clients[role], operation, method
        rows = {"ours": world.ours, "theirs": world.theirs}
        workspace = rows[place][Workspace]
        row = rows[whose].get(operation.row) if whose in rows and operation.row else None
        self.address = address.replace("{workspace}", workspace.slug)
        named = str(row.pk if row is not None else ABSENT)
        if operation.named:
            named = str(operation.named(world))
        self.address = re.sub(r"{int:\w+}", named, self.address)
        self.body = json.dumps(operation.body(world, rows.get(whose, world.ours)))
        is_key = secret.startswith("pp_")
        own = address == "/api/v1/workspaces" and (method == "POST" or not is_key)
        own = own or address == "/api/v1/events"  # its key says whose
        by_header = "{workspace}" not in address and "/auth/" not in address and not own
        self.names_workspace = by_header or "{workspace}" in address
        self.headers = {"HTTP_X_WORKSPACE_ID": workspace.slug} if by_header else {}
        if secret:
            self.headers["HTTP_AUTHORIZATION"] = f"Bearer {secret}"

    @property
    def asked(self) -> str:
        return f"{self.address} {self.body} {self.headers.get('HTTP_X_WORKSPACE_ID', '')}"

    def __call__(self) -> HttpResponse:
        answer = self.client.generic(
            self.method, self.address, self.body, "application/json", **self.headers
        )
        if self.operation.after is not None and answer.status_code < 300:
            self.operation.after()
        return answer
