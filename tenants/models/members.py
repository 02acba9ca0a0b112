"""Who is in a workspace, and who is asked to join."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from tenants import roles
from tenants.models.users import User
from tenants.models.workspaces import Workspace
from tenants.roles import Role
from tenants.scope import TenantModel
from tenants.validators import validate_address


class Membership(TenantModel):
    """A person is in a workspace, with a role. Somebody who has not accepted yet is an
    Invitation."""

    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="memberships", editable=False
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)
    invited_at = models.DateTimeField(null=True, editable=False)  # None: created the workspace
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    capabilities = {
        "view": roles.VIEW,
        "add": roles.MEMBERS,
        "change": roles.MEMBERS,
        "delete": roles.MEMBERS,
    }

    class Meta:
        verbose_name = gettext_lazy("member")
        verbose_name_plural = gettext_lazy("members")
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "user"], name="membership_once_per_workspace"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        roles.sync(self.user, self.workspace, self.role)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        roles.sync(self.user, self.workspace, None)
        return super().delete(*args, **kwargs)


# Neither accepted nor withdrawn; it may have expired.
OPEN_INVITATION = Q(accepted_at=None, revoked_at=None)


class Invitation(TenantModel):
    """Somebody may join with a role. The link's token is mailed; only its SHA-256 is kept."""

    email = models.EmailField(validators=[validate_address])
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)
    # looked up by who opens the link
    digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    invited_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    revoked_at = models.DateTimeField(null=True, editable=False)

    capabilities = {
        "view": roles.MEMBERS,
        "add": roles.MEMBERS,
        "change": roles.MEMBERS,
        "delete": roles.MEMBERS,
    }

    class Meta:
        verbose_name = gettext_lazy("invitation")
        verbose_name_plural = gettext_lazy("invitations")
        constraints = [
            # Inviting again renews the open invitation instead of mailing a second working link.
            models.UniqueConstraint(
                fields=["workspace", "email"],
                condition=OPEN_INVITATION,
                name="invitation_one_open_per_address",
            )
        ]

    def __str__(self) -> str:
        return self.email

    STATES = ("pending", "accepted", "revoked", "expired")

    @staticmethod
    def in_state(state: str, now: datetime) -> Q:
        """The condition of one of STATES, as `state` decides it."""
        conditions = {
            "pending": OPEN_INVITATION & Q(expires_at__gt=now),
            "accepted": Q(accepted_at__isnull=False),
            "revoked": Q(accepted_at=None, revoked_at__isnull=False),
            "expired": OPEN_INVITATION & Q(expires_at__lte=now),
        }
        return conditions[state]

    def state(self, now: datetime) -> str:
        """ "Pending", "Accepted", "Revoked" or "Expired"."""
        if self.accepted_at:
            return "Accepted"
        if self.revoked_at:
            return "Revoked"
        if now < self.expires_at:
            return "Pending"
        return "Expired"
