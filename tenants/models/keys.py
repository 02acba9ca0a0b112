"""Keys and secrets of programs."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy

from tenants import roles, secrets
from tenants.models.users import User
from tenants.scope import TenantModel


class ApiKey(TenantModel):
    """A key of a program. Its secret is shown once; only its SHA-256 is kept. tenants.keys has
    its verbs."""

    class Kind(models.TextChoices):
        WRITE = (
            "write",
            gettext_lazy("Public write key: for apps and websites; may write events, nothing else"),
        )
        SECRET = "secret", gettext_lazy("Secret key: for your servers; may do what you tick")

    class Mode(models.TextChoices):
        LIVE = "live", gettext_lazy("Live")
        TEST = "test", gettext_lazy("Test: reaches only what went through the sandbox")

    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.WRITE)
    mode = models.CharField(max_length=8, choices=Mode.choices, default=Mode.LIVE)
    scopes = models.JSONField(default=list)  # keys of tenants.keys.SCOPES
    prefix = models.CharField(max_length=16, editable=False)
    # looked up by every API request
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)
    # The key that takes this one's place; both work until this one expires.
    replaced_by = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )

    capabilities = {
        "view": roles.CONNECTIONS,
        "add": roles.CONNECTIONS,
        "change": roles.CONNECTIONS,
        "delete": roles.CONNECTIONS,
    }

    class Meta:
        verbose_name = gettext_lazy("API key")
        verbose_name_plural = gettext_lazy("API keys")

    def __str__(self) -> str:
        return self.name

    def state(self, now: datetime) -> str:
        """ "Active", "Revoked" or "Expired"."""
        if self.revoked_at:
            return "Revoked"
        if self.expires_at and self.expires_at <= now:
            return "Expired"
        return "Active"


class IdentitySecret(TenantModel):
    """The workspace's secret of identity verification, two during a rotation. tenants.identity
    has its verbs."""

    sealed: models.Field[str, str] = secrets.SealedTextField(editable=False)
    created_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)

    capabilities = {
        "view": roles.CONNECTIONS,
        "add": roles.CONNECTIONS,
        "change": roles.CONNECTIONS,
    }

    def __str__(self) -> str:
        return f"identity secret {self.pk}"
