"""Consent on a contact's page: what holds per channel, since when, by which source; and a
member's own entry."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.channels import registry
from campaigns.contacts import consent
from campaigns.models import ALL_CHANNELS, Contact, consent_channels
from pushpilot.lib.signing import hide_references
from tenants import roles
from tenants.admin.base import WorkspaceAdmin, moment, require
from tenants.models import User, Workspace

ANSWERS = {"opted_in": True, "opted_out": False}
SOURCES = {
    "event": gettext_lazy("Event"),
    "api": gettext_lazy("API"),
    "console": gettext_lazy("Console"),
    "demo": gettext_lazy("Demo data"),
}


def lines(contact: Contact, workspace: Workspace) -> list[dict[str, Any]]:
    """One for each channel in use or spoken about, and one for all; then the topics."""
    rows, channels = list(contact.consents.order_by("channel", "topic")), consent_channels()
    spoken = {row.channel for row in rows if row.topic == ""}
    shown = [
        name
        for name in channels
        if name in registry.CHANNELS or name in spoken or name == ALL_CHANNELS
    ]
    found = [
        _line(channels[name], consent.holds(rows, name), workspace, channel=name, is_about=name)
        for name in shown
    ]
    topics = (row for row in rows if row.topic)
    return found + [
        _line(f"{row.get_channel_display()} · {row.topic}", row, workspace) for row in topics
    ]


def _line(
    label: str, row: Any, workspace: Workspace, *, channel: str = "", is_about: str = ""
) -> dict[str, Any]:
    by_all = row is not None and is_about not in ("", ALL_CHANNELS) and row.channel == ALL_CHANNELS
    source, proof, at = "", "", ""
    if row is not None:
        source, proof = SOURCES.get(row.source, row.source), hide_references(row.proof)
        at = moment(row.at, workspace)
    return {
        "label": label,
        "row": row,
        "channel": channel,
        "by_all": by_all,
        "source": source,
        "proof": proof,
        "at": at,
    }


def change(admin: WorkspaceAdmin, request: HttpRequest, object_id: str) -> HttpResponseBase:
    """POST: a member writes down what the person told them."""
    require(request, roles.EDIT)
    contact: Contact | None = admin.get_object(request, object_id)
    if contact is None:
        raise Http404("no such contact")
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    answer = ANSWERS.get(request.POST.get("answer", ""))
    user = request.user
    assert isinstance(user, User)
    back: HttpResponse = redirect("admin:campaigns_contact_change", contact.pk)
    if answer is None:
        messages.error(request, _("Choose “Opt in” or “Opt out”."))
        return back
    try:
        consent.say(
            contact, request.POST.get("channel", ""), is_yes=answer, by=user, now=timezone.now()
        )
    except ValueError as error:
        messages.error(request, str(error))
    return back
