"""“Send test”: on the pages of a campaign with its message, on the page of a connection with a
greeting."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from campaigns.admin.campaign.preview import read_asked
from campaigns.channels import registry
from campaigns.models import Campaign
from delivery import trial
from delivery.providers.base import ProviderUnreachable
from delivery.trial import Answer, CannotTest, Result, TooManyTests, Trial
from delivery.trial_devices import DEVICES_MOST, To
from pushpilot.lib.display import format_number
from tenants import roles
from tenants.admin.base import require
from tenants.models import Connection, User

_ERRORS = (ValidationError, CannotTest, TooManyTests, ProviderUnreachable)
Line = dict[str, str]


def send_test(request: HttpRequest) -> HttpResponseBase:
    """POST, the fields of `preview` with `test_contact` or `test_token`: {lines: [{state,
    text}]}. What the form refuses is said, and nothing is sent."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    workspace = require(request, roles.SEND)
    asked = read_asked(request, workspace)
    if asked.errors:
        return JsonResponse({"lines": [_line(Result.SKIPPED, error) for error in asked.errors]})
    # In memory only: the form may say another channel than the saved campaign.
    campaign = asked.campaign or Campaign()
    campaign.workspace, campaign.channel = workspace, asked.channel
    try:
        made = trial.send_contents(campaign, asked.snapshots, _to(request), by=_person(request))
    except _ERRORS as error:
        return JsonResponse({"lines": [_line(Result.SKIPPED, _sentence(error))]})
    return JsonResponse({"lines": lines_of(made)})


def send_greeting(request: HttpRequest, connection: Connection) -> None:
    """Send the connection's greeting to `test_contact` or `test_token`; the next page says what
    came of it."""
    channel = request.POST.get("channel", "")
    if channel not in trial.channels_of(connection):
        channel = trial.channels_of(connection)[0]
    try:
        made = trial.send_greeting(connection, channel, _to(request), by=_person(request))
    except _ERRORS as error:
        messages.error(request, _sentence(error))
        return
    for line in lines_of(made):
        tell = messages.error
        if line["state"] == Result.ACCEPTED:
            tell = messages.success
        elif line["state"] == Result.UNKNOWN:
            tell = messages.warning
        tell(request, line["text"])


def lines_of(made: Trial) -> list[Line]:
    """What became of a test, device by device, in words."""
    lines = [_line(answer.result, _words(answer)) for answer in made.answers]
    if made.left_out:
        words = _("A test goes to %(limit)s devices at most. Left out: %(left_out)s.")
        told = {
            "limit": format_number(DEVICES_MOST),
            "left_out": format_number(made.left_out),
        }
        lines.append(_line(Result.SKIPPED, words % told))
    return lines


def channels(connection: Connection) -> list[tuple[str, str]]:
    """(key, label) of the channels that the connection's page offers."""
    return [(key, registry.label_of(key)) for key in trial.channels_of(connection)]


def _words(answer: Answer) -> str:
    told = {
        "device": answer.device,
        "words": answer.words,
        "receipt": answer.provider_id,
        "code": answer.code,
        "said": answer.said,
    }
    if answer.result is Result.ACCEPTED:
        return _("%(device)s: %(words)s Receipt: %(receipt)s.") % told
    if answer.said:
        return _("%(device)s: %(words)s The provider said: %(said)s (%(code)s).") % told
    return f"{answer.device}: {answer.words}"


def _line(state: str, text: str) -> Line:
    return {"state": str(state), "text": text}


def _to(request: HttpRequest) -> To:
    contact = request.POST.get("test_contact", "").strip()
    token = request.POST.get("test_token", "").strip()
    return To(contacts=[contact] if contact else [], tokens=[token] if token else [])


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return error.messages[0]
    return str(error)


def _person(request: HttpRequest) -> Any:
    assert isinstance(request.user, User)
    return request.user
