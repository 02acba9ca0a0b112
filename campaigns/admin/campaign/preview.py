"""What the preview draws: a campaign's message, saved or still in the form, as one person would
see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase

from campaigns.admin.campaign.live import form_of
from campaigns.admin.campaign.message import MessageForm, WithMessage, labels_of
from campaigns.audience.segments import Rule, RuleError
from campaigns.channels import registry
from campaigns.content.preview import compiled, sample_person
from campaigns.models import PEOPLE, Campaign, Contact, is_broadcast
from tenants import roles
from tenants.admin.base import require
from tenants.models import Workspace


@dataclass(frozen=True, slots=True)
class Asked:
    """The message that a page is about. `snapshots`: the form's one content, else all of the
    saved campaign. `errors`: what the form refuses in the message or its broadcast; the snapshot
    is without it. `campaign`: the saved one, None for one that was never saved."""

    snapshots: list[dict[str, Any]]
    channel: str
    target_kind: str
    target: str
    rule: Rule
    errors: tuple[str, ...] = ()
    campaign: Campaign | None = None

    @property
    def is_broadcast(self) -> bool:
        return is_broadcast(self.target_kind)

    @property
    def first(self) -> dict[str, Any]:
        if self.snapshots:
            return self.snapshots[0]
        return {}


def preview(request: HttpRequest) -> HttpResponseBase:
    """POST: `campaign` (an id) and optionally the form's fields; `after` = the contact to go on
    from."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    workspace = require(request, roles.VIEW)
    asked = read_asked(request, workspace)
    person = None
    if not asked.is_broadcast:
        after = request.POST.get("after", "")
        known = int(after) if after.isdecimal() and len(after) < 18 else 0
        person = sample_person(workspace, asked.rule, known)
    return JsonResponse(_drawn(workspace, asked, person))


def read_asked(request: HttpRequest, workspace: Workspace) -> Asked:
    """From the form's fields if the page has a form, else from the saved campaign. Raises
    Http404."""
    pk = request.POST.get("campaign", "")
    campaign = None
    if pk:
        campaign = _campaign(workspace, pk)
    if campaign is not None and "channel" not in request.POST:
        contents = [content.snapshot() for content in campaign.contents.order_by("variant", "id")]
        errors: tuple[str, ...] = ()
        # only the message is edited
        if any(name in request.POST for name in labels_of(campaign.channel)):
            form = MessageForm(campaign, workspace, request.POST)
            form.full_clean()
            contents, errors = [form.snapshot()], _errors(form)
        return Asked(
            contents,
            campaign.channel,
            campaign.target_kind,
            campaign.target,
            campaign.audience_rule,
            errors,
            campaign,
        )
    whole = form_of(workspace, request.POST, campaign)
    try:
        rule: Rule = whole.audience.rule()
    except RuleError:
        rule = {}
    given = whole.cleaned_data.get
    kind, target = given("target_kind") or PEOPLE, given("target") or ""
    errors = _errors(whole, *(broadcast.key for broadcast in whole.message.channel.broadcasts))
    channel = str(given("channel") or "")
    return Asked([whole.snapshot()], channel, kind, target, rule, errors, campaign)


def _errors(form: WithMessage, *others: str) -> tuple[str, ...]:
    """ "Link: Write the whole link …": the errors of the message and of these other inputs."""
    labels = {
        name: field.label for part in (form, *form.parts) for name, field in part.fields.items()
    }
    found = (
        (name, error)
        for name in (*form.message.fields, *others)
        for error in form.errors.get(name, ())
    )
    return tuple(f"{labels[name]}: {error}" for name, error in found)


def _drawn(workspace: Workspace, asked: Asked, person: Contact | None) -> dict[str, Any]:
    """What one person would see of the message, its size, and which texts could not be
    personalised."""
    channel = registry.CHANNELS.get(asked.channel) or registry.channel_of(registry.DEFAULT)
    found = compiled(workspace, channel, asked.first, person, asked.target_kind)
    return {
        "message": channel.preview(found.payload),
        "channel": asked.channel,
        "is_broadcast": asked.is_broadcast,
        "bytes": found.size_bytes,
        "limit": found.limit_bytes,
        "problems": found.problems,
        "labels": {field.name: str(field.label) for field in channel.fields},
        "person": {"id": person.pk, "name": str(person)} if person else None,
    }


def _campaign(workspace: Workspace, pk: str) -> Campaign:
    found = None
    if pk.isdecimal() and len(pk) < 18:
        found = Campaign.objects.filter(workspace=workspace, pk=pk).first()
    if found is None:
        raise Http404("no such campaign")
    return found
