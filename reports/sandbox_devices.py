"""The sandbox's devices report that a message arrived, as the SDK of an app on them would. The
phone wall reports what a person does with it (open, click)."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import msgspec

from delivery import sandbox_log
from delivery.providers.base import LogPage
from pushpilot.lib.problems import Problem
from reports import intake
from tenants import keys
from tenants.keys import KnownKey
from tenants.models import ApiKey, Connection
from tenants.scope import scope

KEY_NAME = "Sandbox reports"
METADATA = {"source": "sandbox"}


def report(connection: Connection, *, after: int | None, now: datetime) -> LogPage:
    """Report the next messages after a place in the sandbox's log, through the intake of every
    app's events.

    A message that was reported before counts once. Revoking the devices' key silences them.
    Raises SandboxSilent.
    """
    # its credentials are read now, and they are a row of the workspace
    with scope(connection.workspace):
        page = sandbox_log.received(connection, after=after, limit=intake.BATCH_LIMIT_EVENTS)
    batch = [
        {
            "event_id": event_id(message.ref, "delivered"),
            "type": "delivered",
            "ref": message.ref,
            "occurred_at": datetime.fromtimestamp(message.at, UTC).isoformat(),
            "metadata": METADATA,
        }
        for message in page.messages
        if message.ref
    ]
    if batch and (key := key_of(connection)) is not None:
        # none is about a message of this workspace that went through the sandbox
        with contextlib.suppress(Problem):
            intake.receive(msgspec.json.encode({"batch": batch}), key, now)
    return page


def event_id(ref: str, kind: str) -> str:
    """The same as the phone wall's (wall.js): a second report of it adds nothing."""
    return f"{ref}:{kind}"[:100]


def key_of(connection: Connection) -> KnownKey | None:
    """The test key that the devices of this workspace report with; None if it was revoked."""
    with scope(connection.workspace):
        row = ApiKey.objects.filter(name=KEY_NAME, created_by=None).order_by("-pk").first()
        if row is None:
            row = ApiKey(workspace=connection.workspace, name=KEY_NAME, mode=ApiKey.Mode.TEST)
            keys.create(row, by=None)  # nobody needs its secret: they report from inside
        if row.revoked_at is not None:
            return None
        return KnownKey(
            row.pk, row.workspace_id, row.kind, row.mode, tuple(row.scopes), row.expires_at
        )
