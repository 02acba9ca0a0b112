"""Contacts and their endpoints, templates, campaigns with their contents, and runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django_scopes import get_scope

from campaigns.audience.reasons import FAILED, UNMADE, Reason
from campaigns.channels import registry
from campaigns.content.written import NameKeyField, Written
from campaigns.schedule.timing import Timed
from pushpilot.lib.languages import LanguageField
from tenants import connections, roles
from tenants.models import Connection, Workspace
from tenants.scope import TenantModel

ALL_CHANNELS = "all"  # in words of consent: every channel, those of later too
# People also speak about channels that are not sent on yet: those words must hold on the day that one is added.
_KNOWN_CHANNELS = {"sms": "SMS", "email": "E-mail", "whatsapp": "WhatsApp"}


def consent_channels() -> dict[str, str]:
    """{key: label} of what a consent may be about."""
    return {**dict(registry.choices()), **_KNOWN_CHANNELS, ALL_CHANNELS: "All channels"}


class Tone(models.TextChoices):
    CHEERFUL = "cheerful", "Cheerful"
    FESTIVE = "festive", "Festive"
    FORMAL = "formal", "Formal"
    FRIENDLY = "friendly", "Friendly"
    URGENT = "urgent", "Urgent"
    INFORMATIVE = "informative", "Informative"


class Contact(TenantModel):
    """A person. `attributes` holds the workspace's own fields, e.g. {"first_name": "Asha", "orders": 3}."""

    external_id = models.CharField(max_length=200, help_text="The person's id in your own system.")
    language = LanguageField(blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    country = models.CharField(max_length=2, blank=True)
    attributes = models.JSONField(default=dict, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    capabilities = roles.CONTENT

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "external_id"], name="contact_once_per_workspace"),
        ]
        # Audiences walk a workspace's contacts in key order.
        indexes = [models.Index(fields=["workspace", "id"], name="contact_keyset")]

    def __str__(self) -> str:
        return str(self.attributes.get("first_name") or self.external_id)


class Endpoint(TenantModel):
    """Where a contact can be reached: a device token or, for other channels, an address."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="endpoints")
    channel = models.CharField(max_length=16, choices=registry.choices, default=registry.DEFAULT)
    kind = models.CharField(max_length=16, choices=registry.address_kinds, default="token")
    value = models.CharField(max_length=512)
    platform = models.CharField(max_length=16, choices=registry.platforms, blank=True)
    opted_in = models.BooleanField(default=True)
    is_active = models.BooleanField(default=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_reason = models.CharField(max_length=64, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    capabilities = roles.CONTENT

    class Meta:
        # An address belongs to one contact; registering it again moves it.
        constraints = [
            models.UniqueConstraint(fields=["workspace", "channel", "value"], name="endpoint_belongs_to_one_contact")
        ]

    def __str__(self) -> str:
        return f"{self.get_platform_display() or self.get_channel_display()} …{self.value[-8:]}"


class EndpointMove(TenantModel):
    """An address went from one contact to another: somebody else signed in on the device. The contact's page tells."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="moves")
    # External ids, so that the move can still be told when either contact was deleted.
    from_contact = models.CharField(max_length=200)
    to_contact = models.CharField(max_length=200)
    at = models.DateTimeField()

    capabilities = roles.READ_ONLY

    class Meta:
        # The contact's page: what came and what went.
        indexes = [
            models.Index(fields=["workspace", "from_contact"], name="endpoint_moved_from"),
            models.Index(fields=["workspace", "to_contact"], name="endpoint_moved_to"),
        ]

    def __str__(self) -> str:
        return f"{self.from_contact} → {self.to_contact}"


class Consent(TenantModel):
    """What a contact said last about a channel and topic ("" = all of the channel), with source, time and proof.
    Written by campaigns.contacts.consent, which also says what holds."""

    class Status(models.TextChoices):
        OPTED_IN = "opted_in", "Opted in"
        OPTED_OUT = "opted_out", "Opted out"

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="consents")
    channel = models.CharField(max_length=16, choices=consent_channels)
    topic = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=16, choices=Status.choices)
    source = models.CharField(max_length=64)
    proof = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(default=timezone.now)

    capabilities = roles.CONTENT

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contact", "channel", "topic"], name="consent_latest_per_channel_topic")
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()}: {self.get_status_display()}"


class WaitingConsent(TenantModel):
    """What somebody said who is no contact yet; it becomes a Consent when they are one."""

    external_id = models.CharField(max_length=200)
    channel = models.CharField(max_length=16, choices=consent_channels)
    topic = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=16, choices=Consent.Status.choices)
    source = models.CharField(max_length=64)
    proof = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()

    capabilities = roles.READ_ONLY

    class Meta:
        # The newest word per person, channel and topic; looked up by external ids.
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "external_id", "channel", "topic"], name="waiting_consent_latest"
            )
        ]

    def __str__(self) -> str:
        return f"{self.external_id}: {self.get_channel_display()}: {self.get_status_display()}"


class _TemplateManager(models.Manager["Template"]):
    """Own templates and the global library; like every scoped manager it refuses to work outside a scope."""

    def get_queryset(self) -> models.QuerySet[Template]:
        active = get_scope()
        queryset = super().get_queryset()
        if not active.get("_enabled", True):
            return queryset
        if "workspace" not in active:
            from django_scopes.exceptions import ScopeError

            raise ScopeError("A workspace scope needs to be active for this query.")
        return queryset.filter(Q(workspace=active["workspace"]) | Q(workspace__isnull=True))


class Template(Written):
    """A reusable message. Without a workspace it belongs to the global library, read-only in workspaces."""

    class Category(models.TextChoices):
        FESTIVE = "festive", "Festive"
        WEEKEND = "weekend", "Weekend"
        RETENTION = "retention", "Retention"
        PHARMA = "pharma", "Pharma"
        WELCOME = "welcome", "Welcome"
        OFFER = "offer", "Offer"
        REMINDER = "reminder", "Reminder"
        NEWS = "news", "News"

    workspace = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.CASCADE, related_name="+", editable=False
    )
    name = models.CharField(max_length=100)
    name_key = NameKeyField(max_length=300, editable=False)  # folding case may make a name three times as long
    category = models.CharField(max_length=32, choices=Category.choices)
    tone = models.CharField(max_length=32, choices=Tone.choices, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = _TemplateManager()
    capabilities = roles.CONTENT

    class Meta:
        ordering = ["name", "language"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name_key", "language"],
                name="template_key",
                violation_error_message="This workspace has a template with this name and language.",
            ),
            models.UniqueConstraint(
                fields=["name_key", "language"], condition=Q(workspace__isnull=True), name="template_key_global"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_global(self) -> bool:
        return self.workspace_id is None


class AmbiguityPolicy(models.TextChoices):
    """What happens to messages of which nobody knows whether the provider got them."""

    HOLD = "hold", "Hold until a person decides"
    RESEND = "resend", "Send again, flagged as a possible duplicate"


PEOPLE = "people"


def target_kinds() -> list[tuple[str, str]]:
    return [(PEOPLE, "People"), *registry.broadcasts()]


def is_broadcast(target_kind: str) -> bool:
    return target_kind != PEOPLE


class Targeted(TenantModel):
    """What goes on one channel to the people that a rule matches, or as a broadcast to subscribers."""

    channel = models.CharField(max_length=16, choices=registry.choices, default=registry.DEFAULT)
    # A rule tree of campaigns.audience.segments; {} is everyone.
    audience_rule = models.JSONField(default=dict, blank=True)
    target_kind = models.CharField("send to", max_length=16, choices=target_kinds, default=PEOPLE)
    target = models.CharField("broadcast to", max_length=500, blank=True)

    class Meta:
        abstract = True

    @property
    def is_broadcast(self) -> bool:
        return is_broadcast(self.target_kind)

    def connection_in_use(self) -> Connection | None:
        """What its messages would go through now."""
        channel = registry.CHANNELS.get(self.channel)
        return connections.in_use(self.workspace_id, channel.service) if channel else None


class Campaign(Targeted, Timed):
    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        IN_REVIEW = "in_review", "In review"
        APPROVED = "approved", "Approved"
        SCHEDULED = "scheduled", "Scheduled"
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        COMPLETED = "completed", "Completed"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    name = models.CharField(max_length=100)
    description = models.TextField(max_length=2000, blank=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.DRAFT, editable=False)
    tone = models.CharField(max_length=32, choices=Tone.choices, blank=True)
    # How late a send may start; later it is missed, and a person is asked.
    start_within_mins = models.PositiveIntegerField("start at most this late (minutes)", default=60)
    # When an occurrence ends whatever is left; None: never.
    expires_after_mins = models.PositiveIntegerField("stop sending after (minutes)", null=True, blank=True)
    per_second = models.PositiveIntegerField("messages per second", null=True, blank=True)
    avoid_quarter_hours = models.BooleanField("avoid the quarter hours", default=False)
    ambiguity_policy = models.CharField(
        "after a crash", max_length=8, choices=AmbiguityPolicy.choices, default=AmbiguityPolicy.HOLD
    )
    template = models.ForeignKey(Template, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    capabilities = {**roles.CONTENT, "send": roles.SEND}

    class Meta:
        # The campaign list, newest first, all or by status.
        indexes = [
            models.Index(fields=["workspace", "-id"], name="campaign_newest_first"),
            models.Index(fields=["workspace", "status", "-id"], name="campaign_by_status"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_editable(self) -> bool:
        return self.status in (self.Status.DRAFT, self.Status.COMPLETED, self.Status.CANCELLED, self.Status.FAILED)


class Content(Written, TenantModel):
    """The message of a campaign in one language and A/B variant; its channel is the campaign's."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="contents")
    variant = models.CharField(max_length=1, default="A")
    tone = models.CharField(max_length=32, choices=Tone.choices, blank=True)

    capabilities = roles.CONTENT

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "language", "variant"], name="content_once_per_language_and_variant"
            )
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.language}, {self.variant})"

    def snapshot(self) -> dict[str, Any]:
        """The flat message, as channels compile it and revisions keep it."""
        return {**self.fields, "language": self.language, "variant": self.variant}


class Revision(TenantModel):
    """The contents of a campaign as they were at one moment. Never changed: a run points at what it sends."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    contents = models.JSONField()
    digest = models.CharField(max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    capabilities = roles.READ_ONLY

    class Meta:
        constraints = [models.UniqueConstraint(fields=["campaign", "number"], name="revision_number")]

    def __str__(self) -> str:
        return f"revision {self.number}"


class Run(Targeted):
    """One occurrence of a campaign. Written by campaigns.plan, moved by delivery.engine.pipeline.

    planned → preparing → running ⇄ paused → finishing → completed | cancelled | missed | failed, each step a
    conditional update on (state, epoch).
    """

    class State(models.TextChoices):
        PLANNED = "planned", "Planned"
        PREPARING = "preparing", "Preparing the audience"
        RUNNING = "running", "Sending"
        PAUSED = "paused", "Paused"
        FINISHING = "finishing", "Finishing"
        COMPLETED = "completed", "Completed"
        CANCELLED = "cancelled", "Cancelled"
        MISSED = "missed", "Missed"
        FAILED = "failed", "Failed"

    ACTIVE_STATES = (State.PREPARING, State.RUNNING, State.PAUSED, State.FINISHING)
    ENDED_STATES = (State.COMPLETED, State.CANCELLED, State.MISSED, State.FAILED)

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="runs")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="runs")
    connection = models.ForeignKey(Connection, null=True, on_delete=models.SET_NULL, related_name="+")
    intended_at = models.DateTimeField()
    occurrence_at = models.DateTimeField(null=True)  # the moment of its series that it was moved from
    not_after = models.DateTimeField()  # it starts by then or is missed
    ends_at = models.DateTimeField(null=True)  # who was not sent to by then is expired
    state = models.CharField(max_length=16, choices=State.choices, default=State.PLANNED)
    epoch = models.PositiveIntegerField(default=0)
    ambiguity_policy = models.CharField(max_length=8, choices=AmbiguityPolicy.choices, default=AmbiguityPolicy.HOLD)
    per_second = models.PositiveIntegerField(null=True)
    avoid_quarter_hours = models.BooleanField(default=False)
    # What the circuit breaker paused it for, and the causes that a person has resumed it in spite of.
    tripped = models.CharField(max_length=16, blank=True)
    waived = models.JSONField(default=list)
    last_outcomes = models.CharField(max_length=200, blank=True)  # the memory of delivery.engine.breaker
    audience_size = models.PositiveIntegerField(null=True)
    # {reason slug: rows}: what preparation skipped while it runs, the whole account once the run has ended.
    tally = models.JSONField(default=dict)
    retired = models.PositiveIntegerField(default=0)  # devices that it retired and nobody has revived
    audience_to = models.BigIntegerField(null=True)  # the newest contact when the audience began to be fixed
    prepared_to = models.BigIntegerField(default=0)  # contacts up to this id are in the ledger
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    planned_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    capabilities = {**roles.READ_ONLY, "send": roles.SEND}

    class Meta:
        constraints = [
            # The same occurrence is never launched twice.
            models.UniqueConstraint(fields=["campaign", "intended_at"], name="run_once_per_occurrence")
        ]
        indexes = [
            # The tick's question: what is due, what is under way?
            models.Index(
                fields=["state", "intended_at"],
                condition=Q(state__in=["planned", "preparing", "running", "paused", "finishing"]),
                name="run_open",
            ),
            # The dashboard: a workspace's runs of the last days, its next runs.
            models.Index(fields=["workspace", "intended_at"], name="run_by_time"),
        ]

    def __str__(self) -> str:
        local = self.intended_at.astimezone(self.workspace.zone)
        return f"{self.campaign} · {local.day} {local:%b %Y, %H:%M}"

    @property
    def slot(self) -> datetime:
        """The moment of the series that it stands for."""
        return self.occurrence_at or self.intended_at

    @property
    def is_ended(self) -> bool:
        return self.state in self.ENDED_STATES

    @property
    def is_in_vain(self) -> bool:
        """Completed, nobody got it, and not because there was nobody to send to."""
        is_over = self.state == self.State.COMPLETED and self.finished_at is not None
        return is_over and not self.count(Reason.ACCEPTED) and bool(self.count(*FAILED, *UNMADE))

    def count(self, *reasons: Reason) -> int:
        """Rows of the final account with one of these reasons."""
        return sum(self.tally.get(reason.slug, 0) for reason in reasons)
