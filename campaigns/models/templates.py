"""Reusable messages: a workspace's own and the global library."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy
from django_scopes import get_scope

from campaigns.content.written import NameKeyField, Written
from tenants import roles
from tenants.models import Workspace


class Tone(models.TextChoices):
    CHEERFUL = "cheerful", gettext_lazy("Cheerful")
    FESTIVE = "festive", gettext_lazy("Festive")
    FORMAL = "formal", gettext_lazy("Formal")
    FRIENDLY = "friendly", gettext_lazy("Friendly")
    URGENT = "urgent", gettext_lazy("Urgent")
    INFORMATIVE = "informative", gettext_lazy("Informative")


class _TemplateManager(models.Manager["Template"]):
    """Own templates and the global library; like every scoped manager it refuses to work outside
    a scope."""

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
    """A reusable message. Without a workspace it belongs to the global library, read-only in
    workspaces."""

    class Category(models.TextChoices):
        FESTIVE = "festive", gettext_lazy("Festive")
        WEEKEND = "weekend", gettext_lazy("Weekend")
        RETENTION = "retention", gettext_lazy("Retention")
        PHARMA = "pharma", gettext_lazy("Pharma")
        WELCOME = "welcome", gettext_lazy("Welcome")
        OFFER = "offer", gettext_lazy("Offer")
        REMINDER = "reminder", gettext_lazy("Reminder")
        NEWS = "news", gettext_lazy("News")

    workspace = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.CASCADE, related_name="+", editable=False
    )
    name = models.CharField(max_length=100)
    # folding case may make a name three times as long
    name_key = NameKeyField(max_length=300, editable=False)
    category = models.CharField(max_length=32, choices=Category.choices)
    tone = models.CharField(max_length=32, choices=Tone.choices, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = _TemplateManager()
    capabilities = roles.CONTENT

    class Meta:
        verbose_name = gettext_lazy("template")
        verbose_name_plural = gettext_lazy("templates")
        ordering = ["name", "language"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name_key", "language", "channel"],
                name="template_key",
                violation_error_message=gettext_lazy(
                    "This workspace has a template with this name, language and channel."
                ),
            ),
            models.UniqueConstraint(
                fields=["name_key", "language", "channel"],
                condition=Q(workspace__isnull=True),
                name="template_key_global",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_global(self) -> bool:
        return self.workspace_id is None
