"""Users, workspaces, memberships, API keys, provider connections and the audit trail."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib import auth
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from guardian.models import UserObjectPermissionBase

from pushpilot.lib.languages import LanguageField
from tenants import roles, secrets
from tenants.roles import Role
from tenants.scope import TenantManager, TenantModel, belongs_to_workspace, every_workspace, tenant_models
from tenants.validators import validate_address, validate_name, validate_time_zone

__all__ = [
    "ApiKey", "AuditEntry", "Connection", "IdentitySecret", "Invitation", "Logo", "Membership", "User", "Workspace",
    "WorkspaceUserObjectPermission",
]  # fmt: skip


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Raises ValidationError for an address that nobody can mail."""
        email = email.strip()
        validate_address(email)
        user = self.model(email=email.lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """An operator. Their address counts as verified: who may run commands needs no confirmation mail."""
        from allauth.account.models import EmailAddress

        with transaction.atomic(using=self._db):
            user = self.create_user(email, password, is_superuser=True, is_staff=True, **fields)
            EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    class Provider(models.TextChoices):
        EMAIL = "email", "E-mail"
        GOOGLE = "google", "Google"
        APPLE = "apple", "Apple"

    email = models.EmailField(unique=True, validators=[validate_address])
    full_name = models.CharField(max_length=150, blank=True, validators=[validate_name])
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

    # --- an operator's rights end where workspaces begin: there membership alone answers ---------------------------
    def has_perm(self, perm: str, obj: Any = None) -> bool:
        if not self.is_superuser or not self.is_active or _is_outside_of_workspaces(perm, obj):
            return super().has_perm(perm, obj)
        return any(backend.has_perm(self, perm, obj) for backend in auth.get_backends())

    async def ahas_perm(self, perm: str, obj: Any = None) -> bool:
        return await sync_to_async(self.has_perm)(perm, obj)

    def has_module_perms(self, app_label: str) -> bool:
        if not self.is_superuser or not self.is_active or app_label not in _apps_of_workspaces():
            return super().has_module_perms(app_label)
        return any(backend.has_module_perms(self, app_label) for backend in auth.get_backends())  # type: ignore[attr-defined]

    async def ahas_module_perms(self, app_label: str) -> bool:
        return await sync_to_async(self.has_module_perms)(app_label)

    def workspaces(self) -> list[Workspace]:
        """The workspaces that the user is a member of, by name; without those that are being deleted."""
        with every_workspace():
            return list(Workspace.objects.filter(memberships__user=self, deletion_due_at=None).order_by("name"))


def _apps_of_workspaces() -> set[str]:
    return {model._meta.app_label for model in tenant_models()}


def _is_outside_of_workspaces(perm: str, obj: Any) -> bool:
    """Whether a permission is about nothing of a workspace. One of our apps that names no model there is about all."""
    if obj is not None and belongs_to_workspace(type(obj)):
        return False
    label, _, codename = perm.partition(".")
    if label not in _apps_of_workspaces():
        return True
    try:
        return not belongs_to_workspace(apps.get_model(label, codename.partition("_")[2]))
    except LookupError:
        return False


class Workspace(models.Model):
    class Plan(models.TextChoices):
        FREE = "free", "Free plan"
        PRO = "pro", "Pro plan"
        ENTERPRISE = "enterprise", "Enterprise plan"

    name = models.CharField(max_length=100, validators=[validate_name])
    slug = models.SlugField(max_length=60, unique=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="owned_workspaces")
    plan = models.CharField(max_length=16, choices=Plan.choices, default=Plan.FREE)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    default_language = LanguageField(default="en")
    brand_colour = models.CharField(
        max_length=7, blank=True, validators=[RegexValidator(r"^#[0-9a-fA-F]{6}\Z", "Write a colour such as #155dfc.")]
    )
    logo_version = models.CharField(max_length=16, blank=True, editable=False)  # "" without a Logo
    # From here on nobody can open it and nothing is sent; when the day has come, its rows are deleted.
    deletion_due_at = models.DateTimeField(null=True, editable=False)
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


class Logo(TenantModel):
    """The workspace's logo, in the database: every web server has it, a backup contains it. At most 256 kB."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, related_name="logo", editable=False)
    content = models.BinaryField()
    media_type = models.CharField(max_length=32)

    capabilities = {"view": roles.VIEW, "change": roles.MEMBERS}

    def __str__(self) -> str:
        return f"logo of {self.workspace}"


class Membership(TenantModel):
    """A person is in a workspace, with a role. Somebody who has not accepted yet is an Invitation."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships", editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)
    invited_at = models.DateTimeField(null=True, editable=False)  # None: created the workspace
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    capabilities = {"view": roles.VIEW, "add": roles.MEMBERS, "change": roles.MEMBERS, "delete": roles.MEMBERS}

    class Meta:
        verbose_name = "member"
        constraints = [models.UniqueConstraint(fields=["workspace", "user"], name="membership_once_per_workspace")]

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
    digest = models.CharField(max_length=64, unique=True, editable=False)  # looked up by who opens the link
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    invited_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    capabilities = {"view": roles.MEMBERS, "add": roles.MEMBERS, "change": roles.MEMBERS, "delete": roles.MEMBERS}

    class Meta:
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

    def state(self, now: datetime) -> str:
        """ "Pending", "Accepted", "Revoked" or "Expired"."""
        if self.accepted_at:
            return "Accepted"
        if self.revoked_at:
            return "Revoked"
        return "Pending" if now < self.expires_at else "Expired"


class ApiKey(TenantModel):
    """A key of a program. Its secret is shown once; only its SHA-256 is kept. tenants.keys has its verbs."""

    class Kind(models.TextChoices):
        WRITE = "write", "Public write key: for apps and websites; may write events, nothing else"
        SECRET = "secret", "Secret key: for your servers; may do what you tick"

    class Mode(models.TextChoices):
        LIVE = "live", "Live"
        TEST = "test", "Test: reaches only what went through the sandbox"

    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.WRITE)
    mode = models.CharField(max_length=8, choices=Mode.choices, default=Mode.LIVE)
    scopes = models.JSONField(default=list)  # keys of tenants.keys.SCOPES
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)  # looked up by every API request
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)
    # The key that takes this one's place; both work until this one expires.
    replaced_by = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+", editable=False)

    capabilities = {
        "view": roles.CONNECTIONS, "add": roles.CONNECTIONS, "change": roles.CONNECTIONS, "delete": roles.CONNECTIONS,
    }  # fmt: skip

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name

    def state(self, now: datetime) -> str:
        """ "Active", "Revoked" or "Expired"."""
        if self.revoked_at:
            return "Revoked"
        return "Expired" if self.expires_at and self.expires_at <= now else "Active"


class IdentitySecret(TenantModel):
    """The workspace's secret of identity verification, two during a rotation. tenants.identity has its verbs."""

    sealed: models.Field[str, str] = secrets.SealedTextField(editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)

    capabilities = {"view": roles.CONNECTIONS, "add": roles.CONNECTIONS, "change": roles.CONNECTIONS}

    def __str__(self) -> str:
        return f"identity secret {self.pk}"


SANDBOX = "_sandbox"


class ConnectionManager(TenantManager["Connection"]):
    """Leaves the credentials out of every list: they are read, and decrypted, only where they are used."""

    def get_queryset(self) -> models.QuerySet[Connection]:
        return super().get_queryset().defer("sealed")


class Connection(TenantModel):
    """A provider account of a workspace. Credentials are encrypted at rest; `settings` may be shown.

    `service` and `provider` are keys of registries in layers above: which kind of messages, and who carries them.
    """

    name = models.CharField(max_length=100)
    service = models.CharField(max_length=16, default="push", editable=False)
    provider = models.CharField(max_length=32, editable=False)
    settings = models.JSONField(default=dict, editable=False)  # of the account: whose it is, never a secret
    sealed: models.Field[str, str] = secrets.SealedTextField(blank=True, default="", editable=False)
    is_active = models.BooleanField("active", default=True)
    per_second = models.PositiveIntegerField(
        "messages per second", default=10_000, help_text="All campaigns together send no faster than this."
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
        """Nothing leaves this installation. A sandbox's key ends so (delivery.providers.base)."""
        return self.provider.endswith(SANDBOX)

    @property
    def credentials(self) -> str:
        """The service-account JSON. Raises SecretUnreadable under a wrong key or for a ciphertext moved here."""
        return secrets.unseal(self.sealed or "", workspace_id=self.workspace_id, field="credentials")

    @credentials.setter
    def credentials(self, secret: str) -> None:
        self.sealed = secrets.seal(secret, workspace_id=self.workspace_id, field="credentials")


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
        CONSOLE = "console", "Console"
        API = "api", "API"
        PLATFORM = "platform", "Platform"  # by an operator, who is no member
        ENGINE = "engine", "PushPilot"

    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_label = models.CharField(max_length=254)  # what they called themselves then
    actor_email = models.EmailField(blank=True, default="")  # "" for PushPilot itself and for nobody else
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
        verbose_name_plural = "audit trail"
        # The page shows the newest of a filter's rows and the export walks all of them, among millions: every filter
        # has an index that ends in this order.
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
        """The name with the address that no other account has: everybody may call themselves what they like."""
        return f"{self.actor_label} ({self.actor_email})" if self.actor_email else self.actor_label

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("The audit trail is append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("The audit trail is append-only.")
