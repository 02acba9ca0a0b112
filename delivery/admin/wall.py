"""The phone wall: the sandbox's phones of a workspace, live. Tapping a notification posts what
an SDK would post."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from campaigns.channels import registry
from campaigns.models import Endpoint
from delivery import sandbox_log
from delivery.providers.base import Received, SandboxSilent
from tenants import keys, roles
from tenants.admin.base import WorkspaceAdmin, require
from tenants.models import Connection, User, Workspace

PHONES_SHOWN = 18
PAGE_MESSAGES = 500  # as many as one batch of events may confirm
# The events API's address is outside every workspace, so reverse() inside one cannot give it.
EVENTS_URL = "/api/v1/events"


def page(admin: WorkspaceAdmin, request: HttpRequest) -> TemplateResponse:
    workspace = require(request, roles.VIEW)
    connection = _sandbox(workspace)
    active = connection or Connection.objects.filter(workspace=workspace, is_active=True).first()
    context: dict[str, Any] = {
        "may_connect": roles.can(request.user, roles.CONNECTIONS, workspace),
        "live": active,
    }
    if connection is not None:
        context |= {"idle": _idle_phones(connection), "config": _config(request, workspace)}
    return admin.page(
        request, "delivery/wall.html", _("Phone wall"), connection=connection, **context
    )


def _config(request: HttpRequest, workspace: Workspace) -> dict[str, Any]:
    """What the page's script has to know."""
    return {
        "received": reverse("admin:phone_wall_received"),
        "key": reverse("admin:phone_wall_key"),
        "events": EVENTS_URL,
        "app": workspace.name,
        "mayTap": roles.can(request.user, roles.SEND, workspace),
        "batch": PAGE_MESSAGES,
    }


def received(request: HttpRequest) -> HttpResponseBase:
    """JSON: what the phones received after `?after=`; 409 without a sandbox, 503 with a sentence
    if it is silent."""
    workspace = require(request, roles.VIEW)
    connection = _sandbox(workspace)
    if connection is None:
        return JsonResponse(
            {"problem": _("The connection in use is not a sandbox. Reload this page.")}, status=409
        )
    after = request.GET.get("after", "")
    place = None
    if after.isascii() and after.isdecimal() and len(after) < 19:
        place = int(after)
    try:
        found = sandbox_log.received(connection, after=place, limit=PAGE_MESSAGES)
    except SandboxSilent as error:
        return JsonResponse({"problem": str(error)}, status=503, headers={"Retry-After": "5"})
    owners = _owners(connection, {message.token for message in found.messages})
    may_tap = roles.can(request.user, roles.SEND, workspace)
    session = request.session.session_key or ""
    answer = {
        "messages": [
            _as_json(one, owners.get(one.token), session, may_tap) for one in found.messages
        ],
        "last": found.last,
        "more": found.is_full,
    }
    return JsonResponse(answer, headers={"Cache-Control": "no-store"})


def key(request: HttpRequest) -> HttpResponseBase:
    """JSON: the write key with which an open wall posts events. Nothing is stored: it ends with
    the person's right."""
    workspace = require(request, roles.SEND)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    assert isinstance(request.user, User)
    return JsonResponse(
        {"key": keys.page_key(request.user, workspace)}, headers={"Cache-Control": "no-store"}
    )


def _sandbox(workspace: Workspace) -> Connection | None:
    """The sandbox that messages go through now; of several services the one that was connected
    first."""
    in_use = Connection.objects.filter(workspace=workspace, is_active=True).order_by("pk")
    return next((connection for connection in in_use if connection.is_sandbox), None)


def _devices(connection: Connection) -> Any:
    """The endpoints of the channels that the connection carries."""
    channels = [
        channel.key
        for channel in registry.CHANNELS.values()
        if channel.service == connection.service
    ]
    own = Endpoint.objects.filter(workspace=connection.workspace_id, channel__in=channels)
    return own.select_related("contact")


def _idle_phones(connection: Connection) -> list[dict[str, Any]]:
    """Phones to hang up before anything has arrived: those that the next campaign reaches first."""
    own = _devices(connection).filter(is_active=True, opted_in=True).order_by("pk")
    return [_phone(endpoint) for endpoint in own[:PHONES_SHOWN]]


def _owners(connection: Connection, addresses: set[str]) -> dict[str, Endpoint]:
    if not addresses:
        return {}
    return {
        endpoint.value: endpoint for endpoint in _devices(connection).filter(value__in=addresses)
    }


def _phone(endpoint: Endpoint) -> dict[str, Any]:
    return {"id": endpoint.pk, "platform": endpoint.platform, "name": str(endpoint.contact)}


def _as_json(
    message: Received, endpoint: Endpoint | None, session: str, may_tap: bool
) -> dict[str, Any]:
    """`id` tells messages apart within one browser session. The `ref` needs the right to send:
    with a public write key it changes the consent of its person."""
    known_as = salted_hmac(
        "delivery.wall", f"{session} {message.ref}", algorithm="sha256"
    ).hexdigest()[:32]
    return {
        "seq": message.seq,
        "at": message.at,
        "id": known_as if message.ref else "",
        **({"ref": message.ref} if may_tap else {}),
        "phone": _phone(endpoint) if endpoint else None,
        "title": message.title,
        "body": message.body,
        "image": message.image if message.image.startswith("https://") else "",
        "link": message.link,
        "buttons": [
            {"id": number, "text": text, "url": url} for number, text, url in message.buttons
        ],
        "silent": message.is_silent,
    }
