"""Users, workspaces, memberships, API keys, provider connections and the audit trail."""

from __future__ import annotations

import hashlib
import secrets as random_secrets
import zoneinfo
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from guardian.models import UserObjectPermissionBase

from tenants import roles, secrets
from tenants.roles import Role
from tenants.scope import TenantManager, TenantModel

__all__ = ["ApiKey", "AuditEntry", "Connection", "Membership", "User", "Workspace", "WorkspaceUserObjectPermission"]


def validate_time_zone(value: str) -> None:
    if value not in zoneinfo.available_timezones():
        raise ValidationError(f"“{value}” is no time zone. Write a name such as Asia/Kolkata or Europe/Berlin.")


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_superuser=True, is_staff=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    class Provider(models.TextChoices):
        EMAIL = "email", "E-mail"
        GOOGLE = "google", "Google"
        APPLE = "apple", "Apple"

    email = models.EmailField(unique=True)
    full_name = models.CharField(max_length=150, blank=True)
    auth_provider = models.CharField(max_length=16, choices=Provider.choices, default=Provider.EMAIL)
    is_active = models.BooleanField(default=True)
    # secure_admin_login and the command palette ask for is_staff; rights come from workspace grants alone.
    is_staff = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.full_name or self.email

    def get_full_name(self) -> str:
        return self.full_name or self.email

    def get_short_name(self) -> str:
        return self.full_name.split(" ")[0] if self.full_name else self.email.split("@")[0]

    def workspaces(self) -> models.QuerySet[Workspace]:
        """The workspaces that the user is an active member of, by name."""
        return Workspace.objects.filter(memberships__user=self, memberships__status=Membership.Status.ACTIVE).order_by(
            "name"
        )


class Workspace(models.Model):
    class Plan(models.TextChoices):
        FREE = "free", "Free plan"
        PRO = "pro", "Pro plan"
        ENTERPRISE = "enterprise", "Enterprise plan"

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="owned_workspaces")
    plan = models.CharField(max_length=16, choices=Plan.choices, default=Plan.FREE)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    default_language = models.CharField(max_length=35, default="en")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    capabilities = {"view": roles.MEMBERS, "change": roles.MEMBERS}

    class Meta:
        permissions = list(roles.CAPABILITIES.items())

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)

    @property
    def console_path(self) -> str:
        return f"/w/{self.slug}/admin/"


class WorkspaceUserObjectPermission(UserObjectPermissionBase):
    """Guardian's rows with a direct foreign key: 2,750 of them instead of 330,000 at 10,000 campaigns."""

    content_object = models.ForeignKey(Workspace, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        abstract = False
        # One query per request: which permissions has this user on this workspace?
        unique_together = (("user", "content_object", "permission"),)


class Membership(TenantModel):
    class Status(models.TextChoices):
        INVITED = "invited", "Invited"
        ACTIVE = "active", "Active"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships", editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.ACTIVE)
    invited_at = models.DateTimeField(default=timezone.now)
    joined_at = models.DateTimeField(null=True, blank=True)

    capabilities = {"view": roles.VIEW, "add": roles.MEMBERS, "change": roles.MEMBERS, "delete": roles.MEMBERS}

    class Meta:
        verbose_name = "member"
        constraints = [models.UniqueConstraint(fields=["workspace", "user"], name="membership_once_per_workspace")]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        roles.sync(self)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        self.status = self.Status.INVITED
        roles.sync(self)
        return super().delete(*args, **kwargs)


class ApiKey(TenantModel):
    """A key of a program. Its secret is shown once; only its SHA-256 is kept."""

    class Kind(models.TextChoices):
        WRITE = "write", "Public write key (SDKs: may write events, nothing else)"

    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.WRITE)
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)  # looked up by every API request
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    capabilities = {
        "view": roles.CONNECTIONS, "add": roles.CONNECTIONS, "change": roles.CONNECTIONS, "delete": roles.CONNECTIONS,
    }  # fmt: skip

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name

    def mint(self) -> str:
        """A fresh secret for this unsaved key; the caller saves the row and shows the secret once."""
        secret = f"pp_{self.kind}_{random_secrets.token_urlsafe(24)}"
        self.prefix, self.digest = secret[:14], self.digest_of(secret)
        return secret

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class ConnectionManager(TenantManager["Connection"]):
    """Leaves the credentials out of every list: they are read, and decrypted, only where they are used."""

    def get_queryset(self) -> models.QuerySet[Connection]:
        return super().get_queryset().defer("sealed")


class Connection(TenantModel):
    """A provider account of a workspace: the seeds' firebase_configs. Credentials are encrypted at rest."""

    class Provider(models.TextChoices):
        FCM = "fcm", "Firebase Cloud Messaging"
        FCM_SANDBOX = "fcm_sandbox", "Sandbox (no real phones)"

    class Service(models.TextChoices):
        PUSH = "push", "Push"

    name = models.CharField(max_length=100)
    service = models.CharField(max_length=16, choices=Service.choices, default=Service.PUSH, editable=False)
    provider = models.CharField(max_length=32, choices=Provider.choices, default=Provider.FCM)
    project_id = models.CharField("Firebase project id", max_length=100, blank=True)
    account = models.CharField(max_length=254, blank=True, editable=False)  # the service account's e-mail, shown
    sealed: models.Field[str, str] = secrets.SealedTextField(blank=True, default="", editable=False)
    is_active = models.BooleanField("active", default=True)
    per_second = models.PositiveIntegerField(
        "messages per second", default=10_000, help_text="FCM's default quota is 600,000 messages a minute."
    )
    checked_at = models.DateTimeField(null=True, editable=False)
    check_ok = models.BooleanField(null=True, editable=False)
    check_message = models.CharField(max_length=500, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[ConnectionManager] = ConnectionManager()

    capabilities = {
        "view": roles.CONNECTIONS, "add": roles.CONNECTIONS, "change": roles.CONNECTIONS, "delete": roles.CONNECTIONS,
    }  # fmt: skip

    class Meta:
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
        return self.provider == self.Provider.FCM_SANDBOX

    @property
    def credentials(self) -> str:
        """The service-account JSON. Raises SecretUnreadable under a wrong key or for a ciphertext moved here."""
        return secrets.unseal(self.sealed or "", workspace_id=self.workspace_id, field="credentials")

    @credentials.setter
    def credentials(self, secret: str) -> None:
        self.sealed = secrets.seal(secret, workspace_id=self.workspace_id, field="credentials")


class AuditEntry(TenantModel):
    """Who did what, when, from where. Append-only."""

    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_label = models.CharField(max_length=254)
    action = models.CharField(max_length=64)
    target = models.CharField(max_length=200)
    detail = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField(default=timezone.now)

    capabilities = {"view": roles.MEMBERS}

    class Meta:
        verbose_name_plural = "audit trail"
        indexes = [models.Index(fields=["workspace", "-id"], name="audit_newest_first")]

    def __str__(self) -> str:
        return f"{self.actor_label} {self.action} {self.target}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("The audit trail is append-only.")
        super().save(*args, **kwargs)
