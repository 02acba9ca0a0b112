"""Provider accounts."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy

from tenants import roles, secrets
from tenants.scope import TenantManager, TenantModel

SANDBOX = "_sandbox"


class ConnectionManager(TenantManager["Connection"]):
    """Leaves the credentials out of every list: they are read, and decrypted, only where they
    are used."""

    def get_queryset(self) -> models.QuerySet[Connection]:
        return super().get_queryset().defer("sealed")


class Connection(TenantModel):
    """A provider account of a workspace. Credentials are encrypted at rest; `settings` may be
    shown.

    `service` and `provider` are keys of registries in layers above: which kind of messages, and
    who carries them.
    """

    name = models.CharField(max_length=100)
    service = models.CharField(max_length=16, default="push", editable=False)
    provider = models.CharField(max_length=32, editable=False)
    # of the account: whose it is, never a secret
    settings = models.JSONField(default=dict, editable=False)
    sealed: models.Field[str, str] = secrets.SealedTextField(blank=True, default="", editable=False)
    is_active = models.BooleanField("active", default=True)
    per_second = models.PositiveIntegerField(
        "messages per second",
        default=10_000,
        help_text=gettext_lazy("All campaigns together send no faster than this."),
    )
    checked_at = models.DateTimeField(null=True, editable=False)
    check_ok = models.BooleanField(null=True, editable=False)
    check_message = models.CharField(max_length=500, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[ConnectionManager] = ConnectionManager()

    capabilities = {
        "view": roles.CONNECTIONS,
        "add": roles.CONNECTIONS,
        "change": roles.CONNECTIONS,
        "delete": roles.CONNECTIONS,
    }

    class Meta:
        verbose_name = gettext_lazy("connection")
        verbose_name_plural = gettext_lazy("connections")
        constraints = [
            # A send must never have to guess which account to use.
            models.UniqueConstraint(
                fields=["workspace", "service"],
                condition=Q(is_active=True),
                name="connection_one_active_per_service",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_sandbox(self) -> bool:
        """Nothing leaves this installation. A sandbox's key ends so (delivery.providers.base)."""
        return self.provider.endswith(SANDBOX)

    @property
    def credentials(self) -> str:
        """The service-account JSON. Raises SecretUnreadable under a wrong key or for a
        ciphertext moved here."""
        return secrets.unseal(
            self.sealed or "", workspace_id=self.workspace_id, field="credentials"
        )

    @credentials.setter
    def credentials(self, secret: str) -> None:
        self.sealed = secrets.seal(secret, workspace_id=self.workspace_id, field="credentials")
