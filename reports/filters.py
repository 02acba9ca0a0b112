"""What lists of this layer are filtered, searched and ordered by."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django_filters import ChoiceFilter

from campaigns.models import Contact
from pushpilot.lib.lists import ExternalIdFilter, IdFilter, ListFilters, MomentFilter
from reports.models import Event, EventType


class EventFilters(ListFilters):
    event_type = ChoiceFilter("type", choices=EventType.choices)
    campaign = IdFilter("campaign_id")
    external_user_id = ExternalIdFilter(method="of_person")
    occurred_after = MomentFilter("occurred_at", "gte")
    occurred_before = MomentFilter("occurred_at", "lt")

    class Meta:
        model = Event
        fields: list[str] = []

    def of_person(self, rows: QuerySet[Any], name: str, person: str) -> QuerySet[Any]:
        """Whatever happened to them, reported by this id or by the reference of a message; also
        what came before they were a contact."""
        named = Q(contact_id=None, external_user_id=person)
        contact = Contact.objects.filter(external_id=person).values_list("pk", flat=True).first()
        if contact is not None:
            named |= Q(contact_id=contact)
        return rows.filter(named)
