"""What lists of this layer are filtered, searched and ordered by."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django_filters import CharFilter, ChoiceFilter, Filter

from campaigns.models import Contact
from pushpilot.lib.bounded import OutOfBounds, check_id
from pushpilot.lib.lists import ListFilters, MomentFilter
from reports.models import Event, EventType

_LARGEST_ID = 2**63 - 1


class _Id(Filter):
    field_class = forms.IntegerField


class _PersonField(forms.CharField):
    """A person's id in its one spelling."""

    def clean(self, value: Any) -> str:
        found: str = super().clean(value)
        try:
            return check_id(found, "external_user_id", 200)
        except OutOfBounds as error:
            raise ValidationError(error.detail, error.code) from error


class _Person(CharFilter):
    field_class = _PersonField


class EventFilters(ListFilters):
    event_type = ChoiceFilter("type", choices=EventType.choices)
    campaign = _Id("campaign_id", min_value=1, max_value=_LARGEST_ID)
    external_user_id = _Person(method="of_person", max_length=200)
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
