"""People who sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib import auth
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models, transaction
from django.db.models import F, QuerySet
from django.utils.translation import gettext_lazy

from tenants.scope import belongs_to_workspace, every_workspace, tenant_models
from tenants.validators import validate_address, validate_name

if TYPE_CHECKING:
    from tenants.models.workspaces import Workspace


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
        """An operator. Their address counts as verified: who may run commands needs no
        confirmation mail."""
        from allauth.account.models import EmailAddress

        with transaction.atomic(using=self._db):
            user = self.create_user(email, password, is_superuser=True, is_staff=True, **fields)
            EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    class AuthProvider(models.TextChoices):
        EMAIL = "email", gettext_lazy("E-mail")
        GOOGLE = "google", gettext_lazy("Google")
        APPLE = "apple", gettext_lazy("Apple")

    email = models.EmailField(unique=True, validators=[validate_address])
    full_name = models.CharField(max_length=150, blank=True, validators=[validate_name])
    auth_provider = models.CharField(
        max_length=16, choices=AuthProvider.choices, default=AuthProvider.EMAIL
    )
    is_active = models.BooleanField(default=True)
    # secure_admin_login and the command palette ask for is_staff; rights come from workspace grants
    # alone.
    is_staff = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = gettext_lazy("user")
        verbose_name_plural = gettext_lazy("users")

    def __str__(self) -> str:
        return self.full_name or self.email

    def get_full_name(self) -> str:
        return self.full_name or self.email

    def get_short_name(self) -> str:
        if self.full_name:
            return self.full_name.split(" ")[0]
        return self.email.split("@")[0]

    # --- an operator's rights end where workspaces begin: there membership alone answers ----------
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
        """The workspaces that the user is a member of, by name; without those that are being
        deleted."""
        with every_workspace():
            return list(self.workspace_rows().order_by("name"))

    def workspace_rows(self) -> QuerySet[Workspace]:
        """The same as a query, to be evaluated within `every_workspace`, each with its `role`."""
        from tenants.models.workspaces import Workspace

        return Workspace.objects.filter(memberships__user=self, deletion_due_at=None).annotate(
            role=F("memberships__role")
        )


def _apps_of_workspaces() -> set[str]:
    return {model._meta.app_label for model in tenant_models()}


def _is_outside_of_workspaces(perm: str, obj: Any) -> bool:
    """Whether a permission is about nothing of a workspace. One of our apps that names no model
    there is about all."""
    if obj is not None and belongs_to_workspace(type(obj)):
        return False
    label, _, codename = perm.partition(".")
    if label not in _apps_of_workspaces():
        return True
    try:
        return not belongs_to_workspace(apps.get_model(label, codename.partition("_")[2]))
    except LookupError:
        return False
