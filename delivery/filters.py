"""What lists of this layer are filtered by."""

from __future__ import annotations

from django_filters import ChoiceFilter

from campaigns.audience.reasons import Reason
from delivery.models import Message
from delivery.notifications import STATES
from pushpilot.lib.lists import ExternalIdFilter, IdFilter, ListFilters, MomentFilter


class NotificationFilters(ListFilters):
    """Read as values: delivery.ledger knows how to find the rows."""

    campaign = IdFilter()
    run = IdFilter()
    state = ChoiceFilter(choices=[(key, key) for key in STATES])
    reason = ChoiceFilter(choices=[(reason.slug, reason.slug) for reason in Reason])
    external_user_id = ExternalIdFilter()
    attempted_after = MomentFilter()
    attempted_before = MomentFilter()

    class Meta:
        model = Message
        fields: list[str] = []
