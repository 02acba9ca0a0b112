"""The phone's data: a campaign's message, saved or still in the form, as the provider would get it for one person."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from campaigns.admin.live import form_of
from campaigns.models import Campaign, Contact
from campaigns.render import TEXT_FIELDS, RenderError, compile_content, contact_variables
from campaigns.segments import Rule, RuleError, compile_rule
from delivery.channels import fcm
from pushpilot.lib.signing import sign_reference
from tenants import roles
from tenants.admin.base import require
from tenants.models import Workspace

# References of a real send are about this long; the payload's size counts them.
_SAMPLE_ID = 10**7


def preview(request: HttpRequest) -> HttpResponseBase:
    """POST: `campaign` (an id) and optionally the form's fields; `after` = the contact to go on from."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    workspace = require(request, roles.VIEW)
    pk = request.POST.get("campaign", "")
    campaign = _campaign(workspace, pk) if pk else None
    if "channel" in request.POST or campaign is None:
        form = form_of(workspace, request.POST, campaign)
        snapshot, channel = form.snapshot(), str(form.cleaned_data.get("channel") or "")
        try:
            rule: Rule = form.audience_rule()
        except RuleError:
            rule = {}
    else:
        content = campaign.contents.order_by("variant", "id").first()
        snapshot, channel, rule = content.snapshot() if content else {}, campaign.channel, campaign.audience_rule
    person = _person(workspace, rule, request.POST.get("after", ""))
    return JsonResponse(compiled(workspace, snapshot, channel, person))


def compiled(workspace: Workspace, snapshot: dict[str, Any], channel: str, person: Contact | None) -> dict[str, Any]:
    """The provider's message for one person, its size, and which texts could not be personalised."""
    variables = contact_variables(_columns(person)) if person else {}
    fields, problems = _rendered(snapshot, variables)
    reference = sign_reference(workspace.pk, _SAMPLE_ID, _SAMPLE_ID, _SAMPLE_ID)
    push = {**fields, "message_ref": reference}
    message = fcm.build_message(push, target=("token", "preview"), now=timezone.now())
    message.pop("token")
    return {
        "message": message,
        "channel": channel,
        "silent": bool(push.get("silent")),
        "bytes": fcm.payload_bytes(message),
        "limit": fcm.PAYLOAD_LIMIT_BYTES,
        "problems": problems,
        "person": {"id": person.pk, "name": str(person)} if person else None,
    }


def _rendered(snapshot: dict[str, Any], variables: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """(the fields personalised, {field: what is wrong with it}); a text that fails is left empty."""
    snapshot = dict(snapshot)
    problems: dict[str, str] = {}
    for _ in range(len(TEXT_FIELDS) + 1):
        try:
            content = compile_content(snapshot)
            return {**content.static, **content.render(variables)}, problems
        except RenderError as error:
            problems[error.field] = str(error)
            snapshot[error.field] = ""
    raise AssertionError("every text was emptied and still one fails")


def _campaign(workspace: Workspace, pk: str) -> Campaign:
    found = Campaign.objects.filter(workspace=workspace, pk=pk).first() if pk.isdecimal() and len(pk) < 18 else None
    if found is None:
        raise Http404("no such campaign")
    return found


def _person(workspace: Workspace, rule: Rule, after: str) -> Contact | None:
    """A member of the audience, the next one after the contact `after`; anybody if nobody matches."""
    everybody: QuerySet[Contact] = Contact.objects.filter(workspace=workspace).order_by("pk")
    try:
        members = everybody.filter(compile_rule(rule))
    except RuleError:
        members = everybody
    if after.isdecimal() and len(after) < 18:
        found = members.filter(pk__gt=int(after)).first()
        if found is not None:
            return found
    return members.first() or everybody.first()


def _columns(contact: Contact) -> dict[str, Any]:
    attributes = contact.attributes if isinstance(contact.attributes, dict) else {}
    names = ("external_id", "language", "country", "time_zone")
    return {**{name: getattr(contact, name) for name in names}, "attributes": attributes}
