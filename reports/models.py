"""Events as they came in, and the roll-ups that every chart reads."""

from __future__ import annotations

from django.db import models

from tenants import roles
from tenants.models import ApiKey
from tenants.scope import TenantModel


class EventType(models.TextChoices):
    DELIVERED = "delivered", "Delivered"
    OPENED = "opened", "Opened"
    CLICKED = "clicked", "Clicked"
    CONVERTED = "converted", "Converted"
    UNSUBSCRIBED = "unsubscribed", "Unsubscribed"
    FAILED = "failed", "Failed"
    CUSTOM = "custom", "Custom"


class InboxBatch(TenantModel):
    """A batch of events, stored before its sender gets a 202; the digest turns it into events and deletes it."""

    key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="+")
    received_at = models.DateTimeField()
    events = models.BinaryField()  # msgspec JSON of reports.inbox.AcceptedEvent
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField()
    last_error = models.CharField(max_length=500, blank=True)

    capabilities = {"view": roles.CONNECTIONS}

    class Meta:
        indexes = [models.Index(fields=["not_before", "id"], name="inbox_due")]

    def __str__(self) -> str:
        return f"batch {self.pk}"


class Event(TenantModel):
    """One thing that happened on a device: the seeds' analytics_events."""

    client_id = models.CharField(max_length=100)  # the messageId that the SDK gave the event
    type = models.CharField(max_length=16, choices=EventType.choices)
    name = models.CharField(max_length=200, blank=True)
    campaign_id = models.BigIntegerField(null=True)
    run_id = models.BigIntegerField(null=True)
    notification_id = models.BigIntegerField(null=True)
    contact_id = models.BigIntegerField(null=True)
    external_user_id = models.CharField(max_length=200, blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    metadata = models.JSONField(default=dict)  # device, OS, app version

    capabilities = {"view": roles.VIEW}

    class Meta:
        # A repeated message id counts once.
        constraints = [models.UniqueConstraint(fields=["workspace", "client_id"], name="event_once")]
        indexes = [models.Index(fields=["workspace", "-id"], name="event_newest_first")]

    def __str__(self) -> str:
        return f"{self.type} {self.client_id}"


class Engagement(TenantModel):
    """The first time that a recipient did something: exact uniques, and the later states of a message."""

    campaign_id = models.BigIntegerField()
    run_id = models.BigIntegerField()
    notification_id = models.BigIntegerField()
    type = models.CharField(max_length=16, choices=EventType.choices)
    first_at = models.DateTimeField()

    capabilities = roles.READ_ONLY

    class Meta:
        constraints = [models.UniqueConstraint(fields=["notification_id", "type"], name="engagement_first")]

    def __str__(self) -> str:
        return f"{self.type} {self.notification_id}"


class Rollup(TenantModel):
    """Events of a campaign's run per hour and type; `people` counts each recipient once per run and type."""

    campaign_id = models.BigIntegerField(default=0)  # 0: not of a campaign
    run_id = models.BigIntegerField(default=0)
    hour = models.DateTimeField()
    type = models.CharField(max_length=16, choices=EventType.choices)
    events = models.PositiveIntegerField(default=0)
    people = models.PositiveIntegerField(default=0)

    capabilities = roles.READ_ONLY

    class Meta:
        constraints = [
            # The digest's upsert, and the dashboard's range of hours.
            models.UniqueConstraint(fields=["workspace", "hour", "campaign_id", "run_id", "type"], name="rollup_key")
        ]
        # One campaign's report.
        indexes = [models.Index(fields=["campaign_id", "run_id"], name="rollup_by_campaign")]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.type} {self.events}"
