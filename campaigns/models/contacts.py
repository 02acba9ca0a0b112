"""Contacts, where they can be reached, and what they said about being written to."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy

from campaigns.channels import registry
from pushpilot.lib.display import Words
from pushpilot.lib.languages import LanguageField
from tenants import roles
from tenants.scope import TenantModel

ALL_CHANNELS = "all"  # in words of consent: every channel, those of later too

# People also speak about channels that are not sent on yet: those words must hold on the day that
# one is added.
_KNOWN_CHANNELS: dict[str, Words] = {
    "sms": gettext_lazy("SMS"),
    "email": gettext_lazy("E-mail"),
    "whatsapp": "WhatsApp",
}


def consent_channels() -> dict[str, str]:
    """{key: label} of what a consent may be about."""
    labels = [
        *registry.choices(),
        *_KNOWN_CHANNELS.items(),
        (ALL_CHANNELS, gettext_lazy("All channels")),
    ]
    return {key: str(label) for key, label in labels}


class Contact(TenantModel):
    """A person. `attributes` holds the workspace's own fields, e.g. {"first_name": "Asha",
    "orders": 3}."""

    external_id = models.CharField(
        max_length=200, help_text=gettext_lazy("The person's id in your own system.")
    )
    language = LanguageField(blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    country = models.CharField(max_length=2, blank=True)
    attributes = models.JSONField(default=dict, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    capabilities = roles.CONTENT

    class Meta:
        verbose_name = gettext_lazy("contact")
        verbose_name_plural = gettext_lazy("contacts")
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "external_id"], name="contact_once_per_workspace"
            ),
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
            models.UniqueConstraint(
                fields=["workspace", "channel", "value"], name="endpoint_belongs_to_one_contact"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_platform_display() or self.get_channel_display()} …{self.value[-8:]}"


class EndpointMove(TenantModel):
    """An address went from one contact to another: somebody else signed in on the device. The
    contact's page tells."""

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
    """What a contact said last about a channel and topic ("" = all of the channel), with source,
    time and proof. Written by campaigns.contacts.consent, which also says what holds."""

    class Status(models.TextChoices):
        OPTED_IN = "opted_in", gettext_lazy("Opted in")
        OPTED_OUT = "opted_out", gettext_lazy("Opted out")

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
            models.UniqueConstraint(
                fields=["contact", "channel", "topic"], name="consent_latest_per_channel_topic"
            )
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
                fields=["workspace", "external_id", "channel", "topic"],
                name="waiting_consent_latest",
            )
        ]

    def __str__(self) -> str:
        return f"{self.external_id}: {self.get_channel_display()}: {self.get_status_display()}"
