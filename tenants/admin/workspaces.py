"""The settings of the workspace itself: one form, no list."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from typing import Any

from django import forms
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelect2Widget

from tenants import roles
from tenants.admin.base import WorkspaceAdmin, require, workspace_of
from tenants.models import Workspace


def time_zone_choices(now: datetime) -> list[tuple[str, str]]:
    """(name, "Asia/Kolkata (UTC+05:30)") of every place with a clock, by name."""
    names = sorted(
        n for n in zoneinfo.available_timezones() if "/" in n and not n.startswith(("Etc/", "posix", "right"))
    )
    return [(name, f"{name.replace('_', ' ')} (UTC{_offset(name, now)})") for name in ["UTC", *names]]


def _offset(name: str, now: datetime) -> str:
    shift = f"{now.astimezone(zoneinfo.ZoneInfo(name)):%z}"
    return f"{shift[:3]}:{shift[3:]}"


class WorkspaceForm(forms.ModelForm):
    class Meta:
        model = Workspace
        fields = ("name", "time_zone", "default_language")
        help_texts = {
            "time_zone": "Send times and quiet hours are read on this clock.",
            "default_language": "Used where a contact's language has no text of its own, e.g. en, hi or pt-BR.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "time_zone" in self.fields:
            choices = time_zone_choices(timezone.now())
            if self.instance.time_zone not in dict(choices):
                choices.insert(0, (self.instance.time_zone, self.instance.time_zone))
            self.fields["time_zone"] = forms.ChoiceField(
                choices=choices, widget=UnfoldAdminSelect2Widget, help_text=self.fields["time_zone"].help_text
            )


class WorkspaceSettingsAdmin(WorkspaceAdmin):
    """The only row is the workspace of the console."""

    form = WorkspaceForm
    fields = ("name", "time_zone", "default_language")
    actions = None
    show_add_link = False

    def owns(self, workspace: Workspace, obj: models.Model, action: str) -> bool:
        return bool(obj.pk == workspace.pk)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Workspace]:
        queryset: models.QuerySet[Workspace] = ModelAdmin.get_queryset(self, request).filter(
            pk=workspace_of(request).pk
        )
        return queryset

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("admin:tenants_workspace_change", require(request, roles.MEMBERS).pk)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.save(update_fields=[*self.fields, "updated_at"])

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        extra = {"title": "Workspace settings", "show_back_button": False, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, extra)

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return redirect("admin:tenants_workspace_change", obj.pk)
