"""What lists of this layer are filtered, searched and ordered by."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import CharFilter, ChoiceFilter

from campaigns.channels import registry
from campaigns.content.written import searched
from campaigns.models import Campaign, Template, Tone
from campaigns.schedule.series import ON_ITS_WAY
from pushpilot.lib.lists import ListFilters, MomentFilter

ACTIVE = "active"


class DatedFilters(ListFilters):
    """Of rows that know when they were made and changed."""

    created_after = MomentFilter("created_at", "gte")
    created_before = MomentFilter("created_at", "lt")
    updated_after = MomentFilter("updated_at", "gte")
    updated_before = MomentFilter("updated_at", "lt")


class CampaignFilters(DatedFilters):
    """`status` is one of a campaign, or `active` for campaigns that are scheduled, running or
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

    class Meta:
        model = Campaign
        fields: list[str] = []

    def with_status(self, rows: QuerySet[Any], name: str, status: str) -> QuerySet[Any]:
        if status == ACTIVE:
            return rows.filter(status__in=ON_ITS_WAY)
        return rows.filter(status=status)


class TemplateFilters(DatedFilters):
    """`library` tells the workspace's own templates and the global ones apart. A language finds
    its tag alone, in whatever spelling."""

    searched = ("name", *searched())
    ordered = {
        "name": "name",
        "language": "language",
        "category": "category",
        "created_at": "created_at",
        "updated_at": "updated_at",
    }
    default_order = ("name", "language")
    channel = ChoiceFilter(choices=registry.choices)
    category = ChoiceFilter(choices=Template.Category.choices)
    tone = ChoiceFilter(choices=Tone.choices)
    language = CharFilter(max_length=35)
    library = ChoiceFilter(choices=[("own", "own"), ("global", "global")], method="of_library")

    class Meta:
        model = Template
        fields: list[str] = []

    def of_library(self, rows: QuerySet[Any], name: str, library: str) -> QuerySet[Any]:
        return rows.filter(workspace__isnull=library == "global")
