"""What stories and engine tests share: people with phones, a campaign, and the sandbox's log
beside the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from campaigns.models import Campaign, Contact, Content, Endpoint, Run
from delivery import tasks
from delivery.connections import account_of
from delivery.engine import pipeline
from tenants.models import Connection, Workspace
from tenants.scope import scope
from tests.providers.sandbox_server import Sandbox

NAMES = ("Asha", "Ravi", "Meera", "Kabir", "Isha")


def add_people(
    workspace: Workspace,
    count: int,
    *,
    tokens: Sequence[str] | None = None,
    platform: str = "android",
) -> list[Contact]:
    """Contacts with one sandbox phone each; `tokens` names the phones (see the sandbox's device
    grammar)."""
    with scope(workspace):
        first = Contact.objects.count()
        contacts = Contact.objects.bulk_create(
            [
                Contact(
                    workspace=workspace, external_id=f"user-{first + i}", language="en", country="IN",
                    attributes={"first_name": NAMES[i % 5], "orders": i % 4},
                )
                for i in range(count)
            ],
            batch_size=5000,
        )  # fmt: skip
        phones = tokens or [
            f"sbx_ok_{workspace.slug}_{contact.external_id}" for contact in contacts
        ]
        Endpoint.objects.bulk_create(
            [
                Endpoint(workspace=workspace, contact=contact, value=value, platform=platform)
                for contact, value in zip(contacts, phones, strict=False)
            ],
            batch_size=5000,
        )
    return contacts


def write_campaign(workspace: Workspace, **fields: object) -> Campaign:
    text = {
        "title": "Hello {{ first_name | default: 'you' }}",
        "body": "Twenty per cent off today.",
    }
    said = {
        name: fields.pop(name)
        for name in ("title", "body", "image_url", "deep_link", "options")
        if name in fields
    }
    with scope(workspace):
        campaign = Campaign.objects.create(workspace=workspace, **{"name": "Weekend", **fields})
        Content.objects.create(workspace=workspace, campaign=campaign, **content_of(text, said))
    return campaign


def content_of(*parts: dict[str, Any]) -> dict[str, Any]:
    """The columns of a Content from flat parts, the last of which win; what stands under
    `options` is flat too."""
    flat = {name: value for part in parts for name, value in part.items()}
    flat |= flat.pop("options", {})
    columns = {name: flat.pop(name) for name in ("language", "variant", "tone") if name in flat}
    return {**columns, "fields": flat}


def run_to_the_end(run: Run, *, most: int = 50) -> Run:
    """Tick and work in this process until the run has ended."""
    for _ in range(most):
        pipeline.tick(timezone.now())
        pipeline.work(timezone.now())
        with scope(run.workspace):
            run.refresh_from_db()
        if run.is_ended and run.finished_at:
            return run
    raise AssertionError(f"the run did not end: {run.state}, {run.last_error}")


def work_until_ended(run: Run, *, most: int = 30) -> None:
    """As `run_to_the_end`, through the tasks that the queue runs."""
    for _ in range(most):
        tasks.tick()
        tasks.work()
        with scope(run.workspace):
            run.refresh_from_db()
        if run.finished_at:
            return
    raise AssertionError(f"{run.state}: {run.last_error}")


def received(sandbox: Sandbox, connection: Connection) -> dict[tuple[str, str], int]:
    """(ref, token) → how often the sandbox accepted it: the truth."""
    account = account_of(connection)
    return sandbox.accepted(account.mint().value, account.project_id)
