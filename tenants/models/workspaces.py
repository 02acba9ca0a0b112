"""Workspaces, who may do what in them, and what they look like."""

from __future__ import annotations

import zoneinfo

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy
from guardian.models import UserObjectPermissionBase

from pushpilot.lib.languages import LanguageField
from tenants import roles
from tenants.models.users import User
from tenants.scope import TenantModel
from tenants.validators import validate_name, validate_time_zone

COLOUR_WANTED = gettext_lazy("Write a colour such as #155dfc.")


class Workspace(models.Model):
    class Plan(models.TextChoices):
        FREE = "free", gettext_lazy("Free plan")
        PRO = "pro", gettext_lazy("Pro plan")
        ENTERPRISE = "enterprise", gettext_lazy("Enterprise plan")

    name = models.CharField(max_length=100, validators=[validate_name])
    slug = models.SlugField(max_length=60, unique=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="owned_workspaces")
    plan = models.CharField(max_length=16, choices=Plan.choices, default=Plan.FREE)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    default_language = LanguageField(default="en")
    brand_colour = models.CharField(
        max_length=7,
        blank=True,
        validators=[RegexValidator(r"^#[0-9a-fA-F]{6}\Z", COLOUR_WANTED)],
    )
    logo_version = models.CharField(max_length=16, blank=True, editable=False)  # "" without a Logo
    # From here on nobody can open it and nothing is sent; when the day has come, its rows are
    # deleted.
    deletion_due_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    capabilities = {"view": roles.MEMBERS, "change": roles.MEMBERS}

    class Meta:
        verbose_name = gettext_lazy("workspace")
        verbose_name_plural = gettext_lazy("workspaces")
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
    """Guardian's rows with a direct foreign key: 2,750 of them instead of 330,000 at 10,000
    campaigns."""

    content_object = models.ForeignKey(Workspace, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        abstract = False
        # One query per request: which permissions has this user on this workspace?
        unique_together = (("user", "content_object", "permission"),)


class Logo(TenantModel):
    """The workspace's logo, in the database: every web server has it, a backup contains it. At
    most 256 kB."""

    workspace = models.OneToOneField(
        Workspace, on_delete=models.CASCADE, related_name="logo", editable=False
    )
    content = models.BinaryField()
    media_type = models.CharField(max_length=32)

    capabilities = {"view": roles.VIEW, "change": roles.MEMBERS}

    def __str__(self) -> str:
        return f"logo of {self.workspace}"
