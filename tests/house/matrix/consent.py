"""Who changes consent and profile data: every key of both tenants with every way to say which
person is meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse
from django.utils import timezone

from campaigns.models import Campaign, Contact, Run
from delivery.models import Message
from pushpilot.lib.signing import sign_reference
from reports import digest
from tenants import identity
from tenants.models import Connection, Workspace
from tenants.scope import every_workspace
from tests.house.matrix.cells import Cell
from tests.house.matrix.world import World, changed, visit
from tests.house.rows import Rows

PERSONAL = {"campaigns.Consent", "campaigns.Contact"}
# {the proof that comes with a word: the kinds of keys with which it counts}
PROOFS = {
    "a name": {"secret"},
    "a name and a wrong hash": {"secret"},
    "a name and its hash": {"write", "secret"},
    "a reference through a live connection": {"write", "secret"},
    "a reference through the sandbox": {"write", "secret", "test", "test secret"},
    "a reference beside another name": {"write", "secret", "test", "test secret"},
}


def word_cells(world: World, role: str) -> Iterator[Cell]:
    """`opened` moves last_seen_at, `unsubscribed` the consent; both only with proof."""
    for key, secret in world.secrets.items() if role == "anonymous" else ():
        for proof in PROOFS:
            for whose in ("ours", "theirs"):
                yield _word_cell(world, role, key, secret, proof, whose)


def _word_cell(world: World, role: str, key: str, secret: str, proof: str, whose: str) -> Cell:
    tenant, kind = ("theirs" if key.startswith("their") else "ours"), key.partition(" ")[2]
    rows = world.ours if whose == "ours" else world.theirs
    body = json.dumps({"batch": _words(world, rows, tenant, proof)})
    right = PERSONAL if whose == tenant and kind in PROOFS[proof] else set()

    def ask() -> HttpResponse:
        headers = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
        answer = world.clients[role].generic(
            "POST", "/api/v1/events", body, "application/json", **headers
        )
        digest.digest_due(timezone.now())
        return answer

    def before() -> None:
        provider = "fcm" if "live" in proof else "fcm_sandbox"
        with every_workspace():
            Connection.objects.filter(pk=rows[Connection].pk).update(provider=provider)

    def check() -> list[str]:
        found = visit(world, ask, before=before, tenant=tenant, asked=body)
        other = "theirs" if tenant == "ours" else "ours"
        personal = changed(found.before, found.after, tenant) & PERSONAL
        faults = [
            f"changes {other}: {label}"
            for label in changed(found.before, found.after, other, trail=True)
        ]
        return faults + (
            [f"changes {sorted(personal)}, not {sorted(right)}"] if personal != right else []
        )

    name = f"an event with {key} and {proof}"
    return Cell(name, role, whose, ask, frozenset(), tenant=tenant, check=check)


def _words(world: World, rows: Rows, tenant: str, proof: str) -> list[dict[str, Any]]:
    contact: Any = rows[Contact]
    said: dict[str, Any] = {"external_user_id": contact.external_id}
    if "hash" in proof:
        known_secret = world.identity_secrets[tenant]
        said["identity_hash"] = (
            "0" * 64 if "wrong" in proof else identity.hash_of(known_secret, contact.external_id)
        )
    if "reference" in proof:
        numbers = (rows[one].pk for one in (Workspace, Campaign, Run, Message))
        said = {"ref": sign_reference(*numbers)}
    if "another name" in proof:
        said["external_user_id"] = "somebody else"
    return [{"event_id": kind, "type": kind, **said} for kind in ("opened", "unsubscribed")]
