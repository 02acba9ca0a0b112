"""What lists of this layer are filtered by."""

from __future__ import annotations

from typing import Any

from django import forms
from django_filters import CharFilter, ChoiceFilter, Filter

from campaigns.audience.reasons import Reason
from delivery.models import Message
from delivery.notifications import STATES
from pushpilot.lib.lists import ListFilters, MomentFilter


class IdFilter(Filter):
    field_class = forms.IntegerField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, min_value=1, max_value=2**63 - 1, **options)


class NotificationFilters(ListFilters):
    """Read as values: delivery.ledger knows how to find the rows."""

    campaign = IdFilter()
    run = IdFilter()
    state = ChoiceFilter(choices=[(key, key) for key in STATES])
    reason = ChoiceFilter(choices=[(reason.slug, reason.slug) for reason in Reason])
    external_user_id = CharFilter(max_length=200)
    attempted_after = MomentFilter()
    attempted_before = MomentFilter()

    class Meta:
        model = Message
        fields: list[str] = []
