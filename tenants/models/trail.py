"""The audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy

from tenants import roles
from tenants.models.users import User
from tenants.scope import TenantManager, TenantModel


class _AppendOnly(models.QuerySet["AuditEntry"]):
    """Rows are added and read. The database refuses the rest too (migration 0003)."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("The audit trail is append-only.")

    update = delete = bulk_update = update_or_create = _refuse


if TYPE_CHECKING:
    AuditManager = TenantManager["AuditEntry"]
else:
    AuditManager = TenantManager.from_queryset(_AppendOnly)


class AuditEntry(TenantModel):
    """Who did what, when, from where; what it was before and after. Append-only."""

    class Via(models.TextChoices):
        CONSOLE = "console", gettext_lazy("Console")
        API = "api", gettext_lazy("API")
        PLATFORM = "platform", gettext_lazy("Platform")  # by an operator, who is no member
        ENGINE = "engine", gettext_lazy("PushPilot")

    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_label = models.CharField(max_length=254)  # what they called themselves then
    # "" for PushPilot itself and for nobody else
    actor_email = models.EmailField(blank=True, default="")
    action = models.CharField(max_length=64)
    target = models.CharField(max_length=200)
    changes = models.JSONField(default=dict)  # {field: [before, after]}
    detail = models.JSONField(default=dict)
    via = models.CharField(max_length=16, choices=Via.choices, default=Via.ENGINE)
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[Any] = AuditManager()

    capabilities = {"view": roles.MEMBERS}

    class Meta:
        verbose_name = gettext_lazy("audit entry")
        verbose_name_plural = gettext_lazy("audit trail")
        # The page shows the newest of a filter's rows and the export walks all of them, among
        # millions: every filter has an index that ends in this order.
        indexes = [
            models.Index(fields=["workspace", "-at", "-id"], name="audit_newest"),
            *(
                models.Index(fields=["workspace", by, "-at", "-id"], name=f"audit_newest_by_{by}")
                for by in ("actor", "action", "via", "target")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor_label} {self.action} {self.target}"

    @property
    def who(self) -> str:
        """The name with the address that no other account has: everybody may call themselves
        what they like."""
        if self.actor_email:
            return f"{self.actor_label} ({self.actor_email})"
        return self.actor_label

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("The audit trail is append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("The audit trail is append-only.")
