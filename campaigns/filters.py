"""What lists of this layer are filtered, searched and ordered by."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import ChoiceFilter

from campaigns.channels import registry
from campaigns.models import Campaign
from campaigns.schedule.series import ON_ITS_WAY
from pushpilot.lib.lists import ListFilters, MomentFilter

ACTIVE = "active"


class CampaignFilters(ListFilters):
    """`status` is one of a campaign, or `active` for those that are scheduled, running or
    paused."""

    searched = ("name", "description")
    ordered = {
        "name": "name",
        "status": "status",
        "created_at": "created_at",
        "updated_at": "updated_at",
    }
    default_order = ("-pk",)
    status = ChoiceFilter(
        choices=[*Campaign.Status.choices, (ACTIVE, ACTIVE)], method="with_status"
    )
    channel_type = ChoiceFilter("channel", choices=registry.choices)
    created_after = MomentFilter("created_at", "gte")
    created_before = MomentFilter("created_at", "lt")
    updated_after = MomentFilter("updated_at", "gte")
    updated_before = MomentFilter("updated_at", "lt")

    class Meta:
        model = Campaign
        fields: list[str] = []

    def with_status(self, rows: QuerySet[Any], name: str, status: str) -> QuerySet[Any]:
        if status == ACTIVE:
            return rows.filter(status__in=ON_ITS_WAY)
        return rows.filter(status=status)
