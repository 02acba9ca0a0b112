"""What people and programs see of an event."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from campaigns.models import Campaign, Contact
from pushpilot.lib.signing import hide_references


def with_names(events: QuerySet[Any]) -> QuerySet[Any]:
    """Each with `campaign_name`, or the class of direct messages as `lane`, and `contact_name`:
    three keyed look-ups for the rows that are shown."""
    campaign = Campaign.objects.filter(pk=OuterRef("campaign_id")).values("name")[:1]
    lane = Campaign.lanes.filter(pk=OuterRef("campaign_id")).values("direct")[:1]
    contact = Contact.objects.filter(pk=OuterRef("contact_id")).values("external_id")[:1]
    found: QuerySet[Any] = events.annotate(
        campaign_name=Subquery(campaign), lane=Subquery(lane), contact_name=Subquery(contact)
    )
    return found


def visible(text: str, *, shows_refs: bool) -> str:
    """The text; without the references of messages for a person who may not send: SDKs, and the
    sandbox's phones, put them into their ids."""
    if shows_refs:
        return text
    return hide_references(text)


def visible_data(data: Any, *, shows_refs: bool) -> Any:
    """The same for what JSON holds, in its keys too."""
    if isinstance(data, str):
        return visible(data, shows_refs=shows_refs)
    if isinstance(data, list):
        return [visible_data(one, shows_refs=shows_refs) for one in data]
    if isinstance(data, dict):
        return {
            visible(key, shows_refs=shows_refs): visible_data(value, shows_refs=shows_refs)
            for key, value in data.items()
        }
    return data
