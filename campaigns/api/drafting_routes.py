"""Texts for a campaign from a prompt. They are proposed, and nothing is written."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Router

from campaigns.api import template_schemas as schemas
from campaigns.content.drafting import suggest
from campaigns.models import Campaign
from pushpilot.lib.problems import Problem
from tenants import keys, roles
from tenants.api.errors import by_the_rules
from tenants.api.security import Access, at_work

router = Router(tags=["Campaigns"])
WRITE = Access(keys.CAMPAIGNS_WRITE)


@router.post(
    "/campaigns/{int:campaign}/generate-content",
    response=schemas.Drafts,
    auth=WRITE,
    summary="Suggest texts",
)
def generate_content(request: HttpRequest, campaign: int, body: schemas.Prompt) -> dict[str, Any]:
    """Drafts for the campaign's channel, made offline of your templates, of the global library and
    of phrases. Each number, code, link and promise in them stands in your request. Nothing is
    written: send a `content` that you like in `contents` of the campaign."""
    with at_work(request, roles.EDIT), by_the_rules():
        found = Campaign.objects.select_related("workspace").filter(pk=campaign).first()
        if found is None:
            raise Problem(404, "campaign_not_found", _("This workspace has no such campaign."))
        asked = {name: value for name, value in body.model_dump().items() if value is not None}
        return _told(suggest.for_campaign(found, **asked), body.seed)


def _told(found: suggest.Suggestion, seed: int) -> dict[str, Any]:
    brief = found.brief
    spoken = {"language": brief.language, "tone": brief.tone}
    return {
        "engine": "templates",
        "category": brief.category,
        "tone": brief.tone,
        "slots": dict(brief.slots),
        "seed": seed,
        "drafts": [
            {"content": {**draft.fields, **spoken}, "template_id": draft.template}
            for draft in found.drafts
        ],
    }
