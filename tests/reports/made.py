"""Campaigns as they are after delivery has sent them, made without delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Contact, Content, Revision, Run
from delivery.models import Message
from pushpilot.lib.signing import sign_reference
from tenants.models import Workspace
from tenants.scope import scope


@dataclass
class Sent:
    """A run with one accepted message per contact."""

    campaign: Campaign
    run: Run
    contacts: list[Contact]
    messages: list[Message]

    def ref(self, index: int = 0) -> str:
        return sign_reference(
            self.run.workspace_id, self.campaign.pk, self.run.pk, self.messages[index].pk
        )


def make_sent(
    workspace: Workspace,
    people: int = 3,
    *,
    name: str = "Weekend sale",
    started_at: datetime | None = None,
    state: str = Run.State.COMPLETED,
    tally: dict[str, int] | None = None,
    **fields: Any,
) -> Sent:
    at = started_at or timezone.now() - timedelta(hours=1)
    with scope(workspace):
        known = Contact.objects.count()
        contacts = Contact.objects.bulk_create(
            Contact(workspace=workspace, external_id=f"user-{known + i}") for i in range(people)
        )
        campaign = Campaign.objects.create(
            workspace=workspace,
            name=name,
            status=fields.pop("status", Campaign.Status.COMPLETED),
            **fields,
        )
        Content.objects.create(
            workspace=workspace,
            campaign=campaign,
            fields={"title": "Hello", "body": "Twenty per cent off."},
        )
        revision = Revision.objects.create(
            workspace=workspace, campaign=campaign, number=1, contents=[], digest=""
        )
        counted = tally if tally is not None else {"accepted": people}
        run = Run.objects.create(
            workspace=workspace, campaign=campaign, revision=revision, channel=campaign.channel, state=state,
            tally=counted, audience_size=sum(counted.values()), intended_at=at, not_after=at + timedelta(hours=1),
            started_at=None if state == Run.State.PLANNED else at,
            finished_at=at + timedelta(minutes=2) if state in Run.ENDED_STATES else None,
        )  # fmt: skip
        messages = Message.objects.bulk_create(
            Message(workspace=workspace, run=run, contact=contact, reason=Reason.ACCEPTED)
            for contact in contacts
        )
    return Sent(campaign, run, contacts, messages)
