"""The reference of a message, where a developer copies it to try out an event.

Shown to people who may send, on the console's pages and in no export: with a public write key a
reference changes the consent of its person, and people who may send can reach that person
anyway.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from campaigns.audience.reasons import Reason
from campaigns.models import Contact, Run
from delivery.models import Message
from pushpilot.lib.signing import sign_reference
from tenants import roles
from tenants.admin.base import workspace_of

RUNS_LOOKED_AT = 20


def reference_of(message: Message, run: Run) -> str:
    """The reference that the message carries; "" for a message that no provider has accepted."""
    if message.reason != Reason.ACCEPTED:
        return ""
    return sign_reference(run.workspace_id, run.campaign_id, run.pk, message.pk)


def newest_of(request: HttpRequest, contact: Contact) -> SafeString:
    """A panel of the contact's page: the newest message that was accepted, "" without one among
    the latest runs.

    No index knows a contact's messages: the ledger's begins with the run, so some runs are asked
    for the contact.
    """
    workspace = workspace_of(request)
    if not roles.can(request.user, roles.SEND, workspace):
        return SafeString("")
    latest = Run.objects.filter(workspace=workspace, started_at__isnull=False).order_by(
        "-started_at", "-pk"
    )
    runs = {run.pk: run for run in latest.select_related("campaign")[:RUNS_LOOKED_AT]}
    sent = Message.objects.filter(run__in=list(runs), contact=contact, reason=Reason.ACCEPTED)
    newest = max(sent, key=lambda message: message.pk, default=None)
    if newest is None:
        return SafeString("")
    run = runs[newest.run_id]
    context = {"message": newest, "run": run, "reference": reference_of(newest, run)}
    return render_to_string("delivery/newest_message.html", context)
