"""Events as they came in, and the roll-ups that every chart reads."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy

from pushpilot.lib.signing import hide_references
from tenants import roles
from tenants.models import ApiKey, Workspace
from tenants.scope import TenantModel


class EventType(models.TextChoices):
    DELIVERED = "delivered", gettext_lazy("Delivered")
    OPENED = "opened", gettext_lazy("Opened")
    CLICKED = "clicked", gettext_lazy("Clicked")
    CONVERTED = "converted", gettext_lazy("Converted")
    SUBSCRIBED = "subscribed", gettext_lazy("Subscribed")
    UNSUBSCRIBED = "unsubscribed", gettext_lazy("Unsubscribed")
    FAILED = "failed", gettext_lazy("Failed")
    CUSTOM = "custom", gettext_lazy("Custom")


def _workspace_without_index() -> models.ForeignKey[Workspace, Workspace]:
    """TenantModel's key without an index of its own: another index of the table begins with it."""
    return models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", editable=False, db_index=False
    )


class InboxBatch(TenantModel):
    """A batch of events, stored before its sender gets a 202; the digest turns it into events
    and deletes it.

    A claim raises `attempts` and moves `not_before` past the lease before it works, so a batch
    that kills its worker is counted too. With MAX_ATTEMPTS used up it is set aside: kept, never
    tried again by itself.
    """

    MAX_ATTEMPTS = 5

    workspace = _workspace_without_index()
    key = models.ForeignKey(
        ApiKey, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    received_at = models.DateTimeField()
    count = models.PositiveSmallIntegerField()
    events = models.BinaryField()  # msgspec JSON of reports.intake.AcceptedEvent
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField()
    last_error = models.CharField(max_length=500, blank=True)

    capabilities = {"view": roles.CONNECTIONS}

    class Meta:
        verbose_name_plural = "inbox batches"
        # The digest's question: the oldest batch that is due.
        indexes = [
            models.Index(fields=["id"], condition=models.Q(attempts__lt=5), name="inbox_open")
        ]

    def __str__(self) -> str:
        return f"batch {self.pk}"


class StoredBytes(TenantModel):
    """What public keys may no more store for a workspace in a day of UTC: the processes that
    take events in buy from it (reports.allowance)."""

    workspace = _workspace_without_index()
    day = models.DateField()
    bytes = models.BigIntegerField(default=0)

    capabilities = roles.READ_ONLY

    class Meta:
        verbose_name_plural = "stored bytes"
        # The purchase's question.
        constraints = [
            models.UniqueConstraint(fields=["workspace", "day"], name="stored_bytes_day")
        ]
        # The operators' question: whose day is nearly full?
        indexes = [models.Index(fields=["day"], name="stored_bytes_of_day")]

    def __str__(self) -> str:
        return f"{self.bytes:,} bytes on {self.day}"


class Event(TenantModel):
    """One thing that happened to a message or on a device.

    Campaign, run, message and contact are plain numbers: an event stays what it was when those
    rows go, and the digest writes thousands a second.
    """

    workspace = _workspace_without_index()
    event_id = models.CharField(max_length=100)  # given by its sender
    type = models.CharField(max_length=16, choices=EventType.choices)
    name = models.CharField(max_length=200, blank=True)
    campaign_id = models.BigIntegerField(null=True)
    run_id = models.BigIntegerField(null=True)
    message_id = models.BigIntegerField(null=True)
    contact_id = models.BigIntegerField(null=True)
    external_user_id = models.CharField(max_length=200, blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    metadata = models.JSONField(default=dict)  # device, OS, app version

    capabilities = {"view": roles.VIEW}

    class Meta:
        verbose_name = gettext_lazy("event")
        verbose_name_plural = gettext_lazy("events")
        # A repeated event id counts once.
        constraints = [models.UniqueConstraint(fields=["workspace", "event_id"], name="event_once")]
        indexes = [
            models.Index(fields=["workspace", "-id"], name="event_newest_first"),
            # The API's filters (reports.filters): a page costs the same among millions of events.
            # All five cost the database about 13 µs for each event that is stored.
            models.Index(fields=["workspace", "-occurred_at", "-id"], name="event_by_time"),
            # Deliveries are most of the events, so that event_by_time finds them at once.
            models.Index(
                fields=["workspace", "type", "-occurred_at", "-id"],
                condition=~models.Q(type="delivered"),
                name="event_by_type",
            ),
            models.Index(
                fields=["workspace", "campaign_id", "-occurred_at", "-id"],
                condition=models.Q(campaign_id__isnull=False),
                name="event_by_campaign",
            ),
            # A person's events, and those from before they were a contact.
            models.Index(
                fields=["workspace", "contact_id"],
                condition=models.Q(contact_id__isnull=False),
                name="event_by_contact",
            ),
            models.Index(
                fields=["workspace", "external_user_id"],
                condition=models.Q(contact_id__isnull=True) & ~models.Q(external_user_id=""),
                name="event_by_name",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {hide_references(self.event_id)}"


class Engagement(TenantModel):
    """The first time that a recipient did something: exact uniques, and the later states of a
    message."""

    workspace = _workspace_without_index()
    campaign_id = models.BigIntegerField()
    run_id = models.BigIntegerField()
    message_id = models.BigIntegerField()
    type = models.CharField(max_length=16, choices=EventType.choices)
    first_at = models.DateTimeField()

    capabilities = roles.READ_ONLY

    class Meta:
        # Each recipient counts once per type; the workspace leads, so that one workspace can never
        # meet another's.
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "message_id", "type"], name="engagement_first"
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.message_id}"


class Rollup(TenantModel):
    """Events of a campaign's run per quarter of an hour and type; `people` counts each recipient
    once per run and type, in the quarter of their first event.

    Quarters and not hours: a day of Kolkata or Kathmandu begins at half past or a quarter to an
    hour of UTC.
    """

    workspace = _workspace_without_index()
    campaign_id = models.BigIntegerField(default=0)  # 0: not of a campaign
    run_id = models.BigIntegerField(default=0)
    quarter = models.DateTimeField()
    type = models.CharField(max_length=16, choices=EventType.choices)
    events = models.PositiveIntegerField(default=0)
    people = models.PositiveIntegerField(default=0)

    capabilities = roles.READ_ONLY

    class Meta:
        constraints = [
            # The digest's upsert, and the dashboard's range of days.
            models.UniqueConstraint(
                fields=["workspace", "quarter", "campaign_id", "run_id", "type"], name="rollup_key"
            )
        ]
        # One campaign's report.
        indexes = [models.Index(fields=["campaign_id", "run_id"], name="rollup_by_campaign")]

    def __str__(self) -> str:
        return f"{self.quarter:%Y-%m-%d %H:%M} {self.type} {self.events}"
