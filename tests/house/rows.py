"""One example row of every model that the console shows, for tests that visit every page."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

from django.db import models
from django.utils import timezone

from campaigns import lanes
from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Contact, Content, Endpoint, Revision, Run, Template
from delivery.models import DirectSend, Message
from reports.models import Event
from tenants import audit, brand, keys
from tenants.models import ApiKey, AuditEntry, Connection, Invitation, Membership, Workspace
from tenants.scope import scope
from tenants.secrets import digest_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
Rows = dict[type[models.Model], models.Model]


def rows_of(workspace: Workspace, mark: str = "") -> Rows:
    """{model: a row of it} in the workspace, each with the mark in a text. A page of a model
    that is missing here fails the matrix."""
    with scope(workspace):
        brand.set_logo(workspace, PNG + mark.encode(), by=workspace.owner)
        made: Rows = {
            Workspace: workspace,
            Membership: Membership.objects.exclude(role="owner").first() or _owner(),
        }
        for model, make in MAKERS.items():
            made[model] = make(workspace, made, mark)
        return made


def _owner() -> Membership:
    return Membership.objects.get(role="owner")


def _key(workspace: Workspace, made: Rows, mark: str) -> ApiKey:
    key = ApiKey(workspace=workspace, name=f"Android app {mark}".strip())
    keys.create(key, by=None)
    return key


def _connection(workspace: Workspace, made: Rows, mark: str) -> Connection:
    connection = Connection(
        workspace=workspace,
        name=f"Sandbox {mark}".strip(),
        provider="fcm_sandbox",
        settings={"project_id": "sandbox-p"},
    )
    connection.credentials = json.dumps({"type": "service_account", "project_id": "sandbox-p"})
    connection.save()
    return connection


def _campaign(workspace: Workspace, made: Rows, mark: str) -> Campaign:
    campaign = Campaign.objects.create(workspace=workspace, name=f"Diwali offer {mark}".strip())
    Content.objects.create(
        workspace=workspace,
        campaign=campaign,
        fields={"title": f"20% off {mark}".strip(), "body": "Until Sunday."},
    )
    return campaign


def _run(workspace: Workspace, made: Rows, mark: str) -> Run:
    campaign = made[Campaign]
    assert isinstance(campaign, Campaign)
    contents = [content.snapshot() for content in campaign.contents.all()]
    revision = Revision.objects.create(
        workspace=workspace, campaign=campaign, number=1, contents=contents, digest="0" * 64
    )
    run = Run.objects.create(
        workspace=workspace,
        campaign=campaign,
        revision=revision,
        intended_at=timezone.now(),
        not_after=timezone.now(),
        state=Run.State.COMPLETED,
        audience_size=1,
        tally={Reason.ACCEPTED.slug: 1},
        started_at=timezone.now(),
        finished_at=timezone.now(),
        connection=made[Connection],
    )
    contact = made[Contact]
    made[Message] = Message.objects.create(
        workspace=workspace,
        run=run,
        contact_id=contact.pk,
        endpoint=Endpoint.objects.first(),
        reason=Reason.ACCEPTED,
    )
    return run


def _direct_send(workspace: Workspace, made: Rows, mark: str) -> DirectSend:
    contact = made[Contact]
    assert isinstance(contact, Contact)
    return DirectSend.objects.create(
        workspace=workspace,
        campaign=lanes.lane_of(workspace, "app_push", "transactional"),
        contents=[{"title": f"Your code {mark}".strip(), "language": "en", "variant": "A"}],
        people=[[contact.pk, contact.external_id, {}]],
        unknown=[f"ghost{mark}"],
        expires_at=timezone.now() + timedelta(hours=1),
    )


def _contact(workspace: Workspace, made: Rows, mark: str) -> Contact:
    contact = Contact.objects.create(
        workspace=workspace,
        external_id=f"asha{mark}",
        attributes={"first_name": f"Asha {mark}".strip()},
    )
    Endpoint.objects.create(
        workspace=workspace, contact=contact, value=f"sbx_ok_{workspace.slug}", platform="android"
    )
    return contact


def _invitation(workspace: Workspace, made: Rows, mark: str) -> Invitation:
    return Invitation.objects.create(
        workspace=workspace,
        email=f"new{mark}@{workspace.slug}.test".lower(),
        digest=digest_of(workspace.slug),
        expires_at=timezone.now() + timedelta(days=7),
    )


def _event(workspace: Workspace, made: Rows, mark: str) -> Event:
    now = timezone.now()
    return Event.objects.create(
        workspace=workspace,
        event_id=f"event-1{mark}",
        type="opened",
        occurred_at=now,
        received_at=now,
        campaign_id=made[Campaign].pk,
        run_id=made[Run].pk,
        contact_id=made[Contact].pk,
    )


def _template(workspace: Workspace, made: Rows, mark: str) -> Template:
    return Template.objects.create(
        workspace=workspace,
        name=f"Diwali {mark}".strip(),
        category="festive",
        fields={"title": "Happy Diwali", "body": "From all of us."},
    )


MAKERS: dict[type[models.Model], Callable[[Workspace, Rows, str], models.Model]] = {
    ApiKey: _key,
    Connection: _connection,
    Contact: _contact,
    Template: _template,
    Campaign: _campaign,
    Run: _run,
    Event: _event,
    DirectSend: _direct_send,
    Invitation: _invitation,
    AuditEntry: lambda workspace, made, mark: audit.record(
        workspace, "campaign scheduled", f"Diwali offer {mark}".strip(), by=None
    ),
}
