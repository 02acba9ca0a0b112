"""A campaign's message as a test."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Router, Schema
from pydantic import Field

from campaigns.models import Campaign
from delivery import trial
from delivery.api.trials import TestResult, check_sent, refusals_of_tests, told
from delivery.trial_devices import CONTACTS_MOST, ID_CHARS, TOKENS_MOST, To
from pushpilot.lib.problems import Problem
from tenants import keys, roles
from tenants.api.idempotency import idempotent
from tenants.api.schemas import Body, Language, Plain, Token
from tenants.api.security import Access, actor_of, at_work

router = Router(tags=["Campaigns"])
ExternalId = Annotated[str, Plain(ID_CHARS)]


class TestOfCampaign(Body):
    """Who gets it: contacts, tokens, or both."""

    contacts: list[ExternalId] = Field(
        [], max_length=CONTACTS_MOST, description="External ids; all devices of each get it."
    )
    tokens: list[Token] = Field([], max_length=TOKENS_MOST)
    personalised_for: ExternalId | None = Field(
        None,
        description="The external id of the contact that all of them read the message of. Left "
        "out: each reads their own.",
    )
    language: Language | None = Field(
        None, description="Of the content. Left out: the one that a send would choose."
    )
    variant: Annotated[str, Plain(1)] | None = None


class TestSent(Schema):
    results: list[TestResult]
    left_out: int = Field(description="Devices beyond the ten that a test goes to.")


@router.post(
    "/campaigns/{int:campaign}/test-send",
    response=TestSent,
    auth=Access(keys.CAMPAIGNS_SEND),
    summary="Send a test",
)
@idempotent(roles.SEND)
def send_test_of_campaign(
    request: HttpRequest, campaign: int, body: TestOfCampaign
) -> dict[str, Any]:
    """Sends what the campaign says now to a few devices, for real, and answers what the provider
    said of each. It counts nowhere: not as a send, in no figure and no event. The data of the
    message has `pp_test`. Who has unsubscribed gets none; if nobody is left, the answer is 409
    `not_sent`."""
    to = To(body.contacts, body.tokens, body.personalised_for or "")
    names = {"reader": "personalised_for"}
    with at_work(request, roles.SEND) as workspace, refusals_of_tests(names):
        found = Campaign.objects.filter(workspace=workspace, pk=campaign).first()
        if found is None:
            raise Problem(404, "campaign_not_found", _("This workspace has no such campaign."))
        found.workspace = workspace
        made = trial.send_campaign(
            found,
            to,
            by=actor_of(request),
            language=body.language or "",
            variant=body.variant or "",
        )
        check_sent(made)
        return {"results": told(made), "left_out": made.left_out}
