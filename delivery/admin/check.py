"""“Check with the provider”: the provider itself looks at the compiled message of each content;
nothing is sent."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from campaigns.admin.campaign.preview import Asked, read_asked
from campaigns.channels import registry
from campaigns.content.lint import no_connection
from campaigns.content.preview import composed
from campaigns.models import Campaign
from delivery.connections import account_of
from delivery.providers.base import Provider
from delivery.providers.registry import provider_of
from pushpilot.lib.display import Words
from tenants import roles
from tenants.admin.base import require
from tenants.models import Workspace
from tenants.secrets import SecretUnreadable

CONTENTS_CHECKED = 10


def check_message(request: HttpRequest) -> HttpResponseBase:
    """POST, the fields of `preview`: {ok, lines: [sentences]}. What the form refuses is said
    without asking.

    The provider may take up to 20 s for each content.
    """
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    workspace = require(request, roles.EDIT)
    asked = read_asked(request, workspace)
    if asked.errors:
        return _said(*asked.errors)
    connection = Campaign(workspace=workspace, channel=asked.channel).connection_in_use()
    if connection is None:
        return _said(no_connection(asked.channel))
    try:
        account, provider = account_of(connection), provider_of(connection.provider)
    except (SecretUnreadable, ValueError) as error:
        words = _("The connection “%(connection)s” cannot be used. %(problem)s")
        return _said(words % {"connection": connection, "problem": error})
    channel = registry.channel_of(asked.channel)
    if all(channel.is_empty(snapshot) for snapshot in asked.snapshots):
        return _said(channel.empty_words)
    found = [
        _checked(workspace, asked, snapshot, provider, account)
        for snapshot in asked.snapshots[:CONTENTS_CHECKED]
    ]
    lines = dict.fromkeys(line for _ok, line in found)
    return _said(*lines, ok=all(ok for ok, _line in found))


def _checked(
    workspace: Workspace,
    asked: Asked,
    snapshot: dict[str, Any],
    provider: Provider[Any],
    account: Any,
) -> tuple[bool, str]:
    message, problems = composed(workspace, registry.channel_of(asked.channel), snapshot, None)
    lead = ""
    if len(asked.snapshots) > 1:
        lead = f"{snapshot.get('language')}: "
    for field, problem in problems.items():
        return False, f"{lead}{field.replace('_', ' ')}: {problem}"
    result = provider.check_message(
        account, message, (asked.target_kind, asked.target) if asked.target else None
    )
    return result.ok, f"{lead}{result.message}"


def _said(*lines: Words, ok: bool = False) -> JsonResponse:
    return JsonResponse({"ok": ok, "lines": lines})
