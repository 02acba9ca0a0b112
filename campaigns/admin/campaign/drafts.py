"""What the editor asks for when somebody wants texts: drafts of the message in the form. JSON."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.admin.campaign.forms import CampaignForm
from campaigns.channels import registry
from campaigns.content.drafting.suggest import MOST_SEED, Asked, Suggestion, suggest
from tenants.models import Workspace

SLOT_LABELS = {
    "offer": gettext_lazy("Offer"),
    "code": gettext_lazy("Code"),
    "deadline": gettext_lazy("Deadline"),
    "product": gettext_lazy("Product"),
    "occasion": gettext_lazy("Occasion"),
    "link": gettext_lazy("Link"),
}


def suggest_texts(request: HttpRequest, workspace: Workspace, form: CampaignForm) -> JsonResponse:
    """Drafts for `draft_prompt`, on the channel and in the language and tone of the form.
    `draft_seed`: which ones, if somebody wants others."""
    audience = str(form.cleaned_data.get("audience") or "")
    seed = request.POST.get("draft_seed", "")
    asked = Asked(
        request.POST.get("draft_prompt", ""),
        str(form.cleaned_data.get("channel") or registry.DEFAULT),
        form.content.language,
        tone=str(form.cleaned_data.get("tone") or ""),
        seed=int(seed) % MOST_SEED if seed.isdecimal() and len(seed) < 18 else 0,
        is_personal=form.audience.channel.broadcast(audience) is None,
    )
    try:
        found = suggest(workspace, asked)
    except ValidationError as error:
        return JsonResponse({"error": error.messages[0]})
    return JsonResponse(
        {
            "drafts": [
                {"texts": draft.fields, "tone": found.brief.tone, "template": draft.template}
                for draft in found.drafts
            ],
            "understood": understood_words(found),
        }
    )


def understood_words(found: Suggestion) -> list[str]:
    """ "Offer: 20% off": what the prompt was read to say."""
    return [
        _("%(slot)s: %(value)s") % {"slot": label, "value": found.brief.slots[slot]}
        for slot, label in SLOT_LABELS.items()
        if slot in found.brief.slots
    ]
