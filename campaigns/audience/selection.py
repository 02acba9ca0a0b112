"""The recipients of a campaign with the gate that stops each, as one query.

The same query forecasts (count by reason) and fixes the audience (INSERT … SELECT in
delivery.engine.pipeline), so what was shown before is what happens.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Count, FilteredRelation, Q, QuerySet

from campaigns.audience import gates
from campaigns.audience.reasons import Reason
from campaigns.audience.segments import Rule, compile_rule
from campaigns.models import Contact, Endpoint
from tenants.models import Workspace


def recipients(workspace: Workspace, channel: str, rule: Rule) -> QuerySet[Any, Any]:
    """Rows {contact_id, endpoint_id | None, reason}: one per contact and endpoint of the
    channel, one for a contact without any. `reason` is PENDING for a recipient who will be sent
    to, else that of the first gate that stops them.
    """
    people = Contact.objects.filter(compile_rule(rule), workspace=workspace)
    return _judged(people, channel, is_transactional=False)


def named(
    workspace: Workspace, channel: str, contacts: Collection[int], *, is_transactional: bool
) -> QuerySet[Any, Any]:
    """The same of these contacts."""
    people = Contact.objects.filter(workspace=workspace, pk__in=contacts)
    return _judged(people, channel, is_transactional=is_transactional)


def _judged(
    people: QuerySet[Contact, Contact], channel: str, *, is_transactional: bool
) -> QuerySet[Any, Any]:
    return (
        people.annotate(
            reached=FilteredRelation("endpoints", condition=Q(endpoints__channel=channel))
        )
        .annotate(reason=gates.at_launch(channel, is_transactional=is_transactional))
        .values("id", "reached__id", "reason")
    )


def forecast(workspace: Workspace, channel: str, rule: Rule) -> dict[Reason, int]:
    """How many recipients each gate lets through or stops, right now; the sum is the audience."""
    rows = recipients(workspace, channel, rule).order_by().values("reason").annotate(n=Count("*"))
    return {Reason(row["reason"]): row["n"] for row in rows}


def platforms(workspace: Workspace, channel: str, rule: Rule) -> set[str]:
    """The platforms (Channel.platforms) of the devices that would be sent to."""
    reached = recipients(workspace, channel, rule).filter(reason=Reason.PENDING).order_by()
    return set(reached.values_list("reached__platform", flat=True).distinct()) - {""}


def known_platforms(workspace: Workspace) -> set[str]:
    """The platforms of all the workspace's devices: all of them may have subscribed to a
    broadcast."""
    devices = Endpoint.objects.filter(workspace=workspace, is_active=True).order_by()
    return set(devices.values_list("platform", flat=True).distinct()) - {""}
