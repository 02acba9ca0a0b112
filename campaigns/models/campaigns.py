"""Campaigns with their audience, schedule and pace, their contents, and a revision of the
contents for each send."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_scopes.manager import DisabledQuerySet

from campaigns.channels import registry
from campaigns.content.written import Written
from campaigns.models.templates import Template, Tone
from campaigns.schedule.timing import Timed
from pushpilot.lib.display import Words
from tenants import connections, roles
from tenants.models import Connection
from tenants.scope import TenantManager, TenantModel


class AmbiguityPolicy(models.TextChoices):
    """What happens to a message if nobody knows whether the provider got it."""

    HOLD = "hold", gettext_lazy("Hold until a person decides")
    RESEND = "resend", gettext_lazy("Send again, flagged as a possible duplicate")


class MessageClass(models.TextChoices):
    """What a direct message is: it decides which gates are asked."""

    TRANSACTIONAL = "transactional", gettext_lazy("Transactional")
    MARKETING = "marketing", gettext_lazy("Marketing")


def lane_title(direct: str) -> str:
    """What people read instead of a campaign's name."""
    if direct == MessageClass.TRANSACTIONAL:
        return _("Direct messages, transactional")
    return _("Direct messages, marketing")


PEOPLE = "people"


def target_kinds() -> list[tuple[str, Words]]:
    return [(PEOPLE, gettext_lazy("People")), *registry.broadcasts()]


def is_broadcast(target_kind: str) -> bool:
    return target_kind != PEOPLE


class Targeted(TenantModel):
    """What goes on one channel to the people that a rule matches, or as a broadcast to
    subscribers."""

    channel = models.CharField(max_length=16, choices=registry.choices, default=registry.DEFAULT)
    # A rule tree of campaigns.audience.segments; {} is everyone.
    audience_rule = models.JSONField(default=dict, blank=True)
    target_kind = models.CharField(
        gettext_lazy("send to"), max_length=16, choices=target_kinds, default=PEOPLE
    )
    target = models.CharField(gettext_lazy("broadcast to"), max_length=500, blank=True)
    # The class of the direct messages that go out by it; "": it is an ordinary campaign.
    direct = models.CharField(
        max_length=16, choices=MessageClass.choices, blank=True, default="", editable=False
    )

    class Meta:
        abstract = True

    @property
    def is_transactional(self) -> bool:
        """Whether the gates of marketing are not asked."""
        return self.direct == MessageClass.TRANSACTIONAL

    @property
    def is_broadcast(self) -> bool:
        return is_broadcast(self.target_kind)

    def connection_in_use(self) -> Connection | None:
        """What its messages would go through now."""
        channel = registry.CHANNELS.get(self.channel)
        if channel:
            return connections.in_use(self.workspace_id, channel.service)
        return None


class _CampaignManager(TenantManager["Campaign"]):
    """What people write and schedule. No list, figure or address knows the lanes."""

    def get_queryset(self) -> models.QuerySet[Campaign]:
        rows: models.QuerySet[Campaign] = super().get_queryset()
        if not isinstance(rows, DisabledQuerySet):  # that is outside of any scope
            rows = rows.filter(direct="")
        return rows


class _LaneManager(TenantManager["Campaign"]):
    """Where direct messages go out: one for each workspace, channel and class."""

    def get_queryset(self) -> models.QuerySet[Campaign]:
        rows: models.QuerySet[Campaign] = super().get_queryset()
        if not isinstance(rows, DisabledQuerySet):
            rows = rows.exclude(direct="")
        return rows


class Campaign(Targeted, Timed):
    class Status(models.TextChoices):
        DRAFT = "draft", gettext_lazy("Draft")
        IN_REVIEW = "in_review", gettext_lazy("In review")
        APPROVED = "approved", gettext_lazy("Approved")
        SCHEDULED = "scheduled", gettext_lazy("Scheduled")
        RUNNING = "running", gettext_lazy("Running")
        PAUSED = "paused", gettext_lazy("Paused")
        COMPLETED = "completed", gettext_lazy("Completed")
        CANCELLED = "cancelled", gettext_lazy("Cancelled")
        FAILED = "failed", gettext_lazy("Failed")

    name = models.CharField(max_length=100)
    description = models.TextField(max_length=2000, blank=True)
    status = models.CharField(
        max_length=16, choices=Status.choices, default=Status.DRAFT, editable=False
    )
    tone = models.CharField(max_length=32, choices=Tone.choices, blank=True)
    # How late a send may start; later it is missed, and a person is asked.
    start_within_mins = models.PositiveIntegerField(
        gettext_lazy("start at most this late (minutes)"), default=60
    )
    # When an occurrence ends whatever is left; None: never.
    expires_after_mins = models.PositiveIntegerField(
        gettext_lazy("stop sending after (minutes)"), null=True, blank=True
    )
    per_second = models.PositiveIntegerField(
        gettext_lazy("messages per second"), null=True, blank=True
    )
    avoid_quarter_hours = models.BooleanField(
        gettext_lazy("avoid the quarter hours"), default=False
    )
    ambiguity_policy = models.CharField(
        gettext_lazy("after a crash"),
        max_length=8,
        choices=AmbiguityPolicy.choices,
        default=AmbiguityPolicy.HOLD,
    )
    template = models.ForeignKey(
        Template, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        editable=False,
    )
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        editable=False,
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    capabilities = {**roles.CONTENT, "send": roles.SEND}
    objects: ClassVar[TenantManager[Campaign]] = _CampaignManager()
    lanes: ClassVar[TenantManager[Campaign]] = _LaneManager()

    class Meta:
        verbose_name = gettext_lazy("campaign")
        verbose_name_plural = gettext_lazy("campaigns")
        # The campaign list, newest first, all or by status.
        indexes = [
            models.Index(fields=["workspace", "-id"], name="campaign_newest_first"),
            models.Index(fields=["workspace", "status", "-id"], name="campaign_by_status"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "channel", "direct"],
                condition=~models.Q(direct=""),
                name="lane_once",
            )
        ]

    def __str__(self) -> str:
        if self.direct:
            return lane_title(self.direct)
        return self.name

    @property
    def version(self) -> str:
        """What moves beside `updated_at`: the engine writes the status."""
        return self.status

    @property
    def is_editable(self) -> bool:
        return self.status in (
            self.Status.DRAFT,
            self.Status.COMPLETED,
            self.Status.CANCELLED,
            self.Status.FAILED,
        )


class Content(Written, TenantModel):
    """The message of a campaign in one language and A/B variant; its channel is the campaign's."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="contents")
    variant = models.CharField(max_length=1, default="A")
    tone = models.CharField(max_length=32, choices=Tone.choices, blank=True)

    capabilities = roles.CONTENT

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "language", "variant"],
                name="content_once_per_language_and_variant",
            )
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.language}, {self.variant})"

    def snapshot(self) -> dict[str, Any]:
        """The flat message, as channels compile it and revisions keep it."""
        return {**self.fields, "language": self.language, "variant": self.variant}


class Revision(TenantModel):
    """The contents of a campaign as they were at one moment. Never changed: a run points at what
    it sends."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    contents = models.JSONField()
    digest = models.CharField(max_length=64)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    capabilities = roles.READ_ONLY

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "number"], name="revision_number")
        ]

    def __str__(self) -> str:
        return f"revision {self.number}"
