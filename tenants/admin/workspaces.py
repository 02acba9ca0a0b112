"""The settings of the workspace itself: one form, no list; handing it over and deleting it."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from functools import lru_cache
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminColorInputWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from tenants import brand, roles
from tenants.admin.base import WorkspaceAdmin, after_dialog, answer, moment, require, workspace_of
from tenants.models import Logo, Membership, User, Workspace
from tenants.workspaces import (
    ask_deletion,
    change_settings,
    check_slug,
    planned_sends,
    transfer_ownership,
)

SENDS_SHOWN = 200  # one by one; the rest is answered as a whole


def time_zone_choices(now: datetime) -> list[tuple[str, str]]:
    """(name, "Asia/Kolkata (UTC+05:30)") of every place with a clock, by name."""
    quarter = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    return list(_choices_of_the_quarter(quarter))


@lru_cache(maxsize=2)
def _choices_of_the_quarter(begins: datetime) -> tuple[tuple[str, str], ...]:
    """Measured: the names from the disk and the offsets of 420 clocks take 20 ms, more than the
    rest of the form. A clock is put forward or back at a quarter of an hour of UTC."""
    names = sorted(
        n
        for n in zoneinfo.available_timezones()
        if "/" in n and not n.startswith(("Etc/", "posix", "right"))
    )
    return tuple(
        (name, f"{name.replace('_', ' ')} (UTC{_offset(name, begins)})") for name in ["UTC", *names]
    )


def _offset(name: str, now: datetime) -> str:
    shift = f"{now.astimezone(zoneinfo.ZoneInfo(name)):%z}"
    return f"{shift[:3]}:{shift[3:]}"


def _chosen(request: HttpRequest) -> list[int] | None:
    """The sends that move with the time zone; None: all."""
    everything = request.POST.get("all", "keep")
    if everything == "move":
        return None
    sends = {
        name.removeprefix("send-"): value
        for name, value in request.POST.items()
        if name.startswith("send-")
    }
    moved = [
        pk for pk, value in sends.items() if value == "move" and pk.isdecimal() and len(pk) < 18
    ]
    if everything == "each":
        return [int(pk) for pk in moved]
    return []


class WorkspaceForm(forms.ModelForm):
    has_colour = forms.BooleanField(
        label=gettext_lazy("Use our own colour"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=gettext_lazy("For buttons and links in this console. Off: PushPilot's blue."),
    )
    new_logo = forms.FileField(
        label=gettext_lazy("Logo"),
        required=False,
        widget=UnfoldAdminFileFieldWidget({"accept": "image/png,image/jpeg,image/gif,image/webp"}),
        help_text=gettext_lazy(
            "PNG, JPEG, GIF or WebP, at most 256 kB, best square. Shown at the top of the sidebar."
        ),
    )
    remove_logo = forms.BooleanField(
        label=gettext_lazy("Remove the logo"), required=False, widget=UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = Workspace
        fields = ("name", "slug", "time_zone", "default_language", "brand_colour")
        labels = {
            "name": gettext_lazy("Name"),
            "slug": gettext_lazy("Web address"),
            "time_zone": gettext_lazy("Time zone"),
            "default_language": gettext_lazy("Default language"),
            "brand_colour": gettext_lazy("Colour"),
        }
        help_texts = {
            "slug": gettext_lazy(
                "The part after /w/ in the address of this console. Links to the old address stop "
                "working."
            ),
            "time_zone": gettext_lazy("Send times use this time zone."),
            "default_language": gettext_lazy(
                "The language of new messages and templates, e.g. en, hi or pt-BR."
            ),
        }
        error_messages = {
            "slug": {
                "unique": gettext_lazy("Another workspace has this address. Choose another one.")
            }
        }
        widgets = {"brand_colour": UnfoldAdminColorInputWidget}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "time_zone" in self.fields:
            choices = time_zone_choices(timezone.now())
            if self.instance.time_zone not in dict(choices):
                choices.insert(0, (self.instance.time_zone, self.instance.time_zone))
            self.fields["time_zone"] = forms.ChoiceField(
                choices=choices,
                widget=UnfoldAdminSelect2Widget,
                label=self.fields["time_zone"].label,
                help_text=self.fields["time_zone"].help_text,
            )
        self.initial["has_colour"] = bool(self.instance.brand_colour)
        if not self.instance.logo_version:
            self.fields.pop("remove_logo", None)

    def clean_new_logo(self) -> bytes | None:
        upload = self.cleaned_data["new_logo"]
        if not upload:
            return None
        content: bytes = upload.read(brand.LOGO_LIMIT_BYTES + 1)
        brand.check_logo(content)
        return content

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "slug" in self.changed_data and "slug" in cleaned:
            check_slug(Workspace(pk=self.instance.pk, slug=cleaned["slug"]))
        if not cleaned.get("has_colour"):  # a colour input always posts one
            cleaned["brand_colour"] = ""
        return cleaned


class TransferForm(BaseDialogForm):
    to = forms.ModelChoiceField(
        User.objects.none(),
        label=gettext_lazy("New owner"),
        empty_label=gettext_lazy("Choose a member"),
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = Membership.objects.exclude(user=self.request.user.pk)
        self.fields["to"].queryset = User.objects.filter(
            pk__in=others.values("user"), is_active=True
        )


class DeleteForm(BaseDialogForm):
    typed = forms.CharField(
        label=gettext_lazy("Type the workspace's name to confirm"),
        widget=UnfoldAdminTextInputWidget,
    )

    def clean_typed(self) -> str:
        typed: str = self.cleaned_data["typed"]
        if typed.strip() != self.request.workspace.name:
            raise ValidationError(
                _("The name does not match. Type “%(name)s” exactly.")
                % {"name": self.request.workspace.name}
            )
        return typed


class WorkspaceSettingsAdmin(WorkspaceAdmin):
    """The only row is the workspace of the console."""

    form = WorkspaceForm
    fieldsets = (
        (None, {"fields": ("name", "slug", "time_zone", "default_language")}),
        (
            gettext_lazy("Branding"),
            {"fields": ("has_colour", "brand_colour", "new_logo", "remove_logo")},
        ),
    )
    conditional_fields = {"brand_colour": "has_colour == true"}
    actions = None
    actions_detail = ("transfer", "delete_workspace")
    show_add_link = False

    def owns(self, workspace: Workspace, obj: models.Model, action: str) -> bool:
        return bool(obj.pk == workspace.pk)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deleting has a dialog and a week to undo it."""
        return False

    def has_end_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return roles.can(request.user, roles.DELETE_WORKSPACE, workspace_of(request))

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Workspace]:
        queryset: models.QuerySet[Workspace] = ModelAdmin.get_queryset(self, request).filter(
            pk=workspace_of(request).pk
        )
        return queryset

    # --- the form ---------------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        logo = path(
            "logo/", self.admin_site.admin_view(self.logo_view), name="tenants_workspace_logo"
        )
        zone = path(
            "time-zone/",
            self.admin_site.admin_view(self.zone_view),
            name="tenants_workspace_time_zone",
        )
        return [logo, zone, *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and obj.logo_version:
            return self.fieldsets
        general, (title, options) = self.fieldsets
        return general, (
            title,
            {"fields": [name for name in options["fields"] if name != "remove_logo"]},
        )

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("admin:tenants_workspace_change", require(request, roles.MEMBERS).pk)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A time zone that would read planned sends on another clock waits for an answer to what
        happens to them."""
        user: Any = request.user
        was, zone = form.initial["time_zone"], obj.time_zone
        if zone != was and planned_sends(obj, zone, timezone.now()):
            request._asks_zone, obj.time_zone = zone, was  # type: ignore[attr-defined]
        obj.save(
            update_fields=[
                "name",
                "slug",
                "time_zone",
                "default_language",
                "brand_colour",
                "updated_at",
            ]
        )
        if form.cleaned_data.get("new_logo"):
            brand.set_logo(obj, form.cleaned_data["new_logo"], by=user)
        elif form.cleaned_data.get("remove_logo"):
            brand.remove_logo(obj, by=user)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        extra = {
            "title": _("Workspace settings"),
            "show_back_button": False,
            **(extra_context or {}),
        }
        try:
            return super().changeform_view(request, object_id, form_url, extra)
        # the form asked whether the web address is free, and somebody was faster
        except IntegrityError:
            messages.error(
                request,
                _(
                    "Another workspace has just taken this web address. Nothing was saved; "
                    "try another."
                ),
            )
            return redirect("admin:tenants_workspace_change", workspace_of(request).pk)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        if hasattr(request, "_asks_zone"):
            message.pop("time_zone", None)
        super().log_change(request, obj, message)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        if not hasattr(request, "_asks_zone"):
            response: HttpResponse = super().response_change(request, obj)
            return response
        messages.info(request, _("Everything else is saved."))
        return redirect(f"{self._path(obj, 'time_zone')}?{urlencode({'to': request._asks_zone})}")

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return redirect(self._path(obj, "change", obj.pk))

    def _path(self, workspace: Workspace, page: str, *args: object) -> str:
        """The full path: the address that the request came in by may be the old one."""
        inside = reverse(f"admin:tenants_workspace_{page}", args=args).partition("/admin/")[2]
        return f"{workspace.console_path}{inside}"

    def zone_view(self, request: HttpRequest) -> HttpResponse:
        """What happens to each planned send and series when the time zone becomes `to`; POST
        changes it."""
        workspace = require(request, roles.MEMBERS)
        settings = reverse("admin:tenants_workspace_change", args=[workspace.pk])
        to = (request.POST if request.method == "POST" else request.GET).get("to", "")
        if to not in zoneinfo.available_timezones() or to == workspace.time_zone:
            return redirect(settings)
        if request.method == "POST":
            user: Any = request.user
            change_settings(workspace, {"time_zone": to}, by=user, moved=_chosen(request))
            messages.success(request, _("The time zone is now %(zone)s.") % {"zone": to})
            return redirect(settings)
        sends = planned_sends(workspace, to, timezone.now())
        hidden = max(0, len(sends) - SENDS_SHOWN)
        context = {
            "workspace": workspace,
            "to": to,
            "sends": sends[:SENDS_SHOWN],
            "hidden": hidden,
            "back": settings,
        }
        return self.page(
            request,
            "tenants/zone_change.html",
            _("Change the time zone to %(zone)s?") % {"zone": to},
            **context,
        )

    def logo_view(self, request: HttpRequest) -> HttpResponse:
        """The picture itself; its address changes with it (?v=), so browsers may keep it."""
        workspace = require(request, roles.VIEW)
        logo = Logo.objects.filter(workspace=workspace).first()
        if logo is None:
            raise Http404("no logo")
        headers = {
            "Cache-Control": "private, max-age=31536000",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'",
        }
        return HttpResponse(bytes(logo.content), content_type=logo.media_type, headers=headers)

    # --- handing over, deleting -------------------------------------------------------------------
    @action(
        description=gettext_lazy("Hand over"),
        icon="swap_horiz",
        permissions=["end"],
        dialog={
            "title": gettext_lazy("Hand this workspace over?"),
            "description": gettext_lazy(
                "The member you choose becomes its owner, with the right to delete it. You become "
                "an admin."
            ),
            "form_class": TransferForm,
            "form_submit_text": gettext_lazy("Hand over"),
        },
    )
    def transfer(self, request: HttpRequest, form: TransferForm, object_id: str) -> HttpResponse:
        workspace = require(request, roles.DELETE_WORKSPACE)
        to: User = form.cleaned_data["to"]
        return answer(
            request,
            lambda: transfer_ownership(workspace, to, by=request.user),  # type: ignore[arg-type]
            _("%(person)s owns this workspace now. You are an admin.") % {"person": to},
            reverse("admin:tenants_membership_changelist"),
        )

    @action(
        description=gettext_lazy("Delete workspace"),
        icon="delete_forever",
        permissions=["end"],
        dialog={
            "title": gettext_lazy("Delete this workspace?"),
            "description": gettext_lazy(
                "It closes at once: running sends pause, planned sends do not start, nobody can "
                "open it, and its keys stop working. An owner can undo this for 7 days; then "
                "everything in it is deleted for good."
            ),
            "form_class": DeleteForm,
            "form_submit_text": gettext_lazy("Delete workspace"),
        },
    )
    def delete_workspace(
        self, request: HttpRequest, form: DeleteForm, object_id: str
    ) -> HttpResponse:
        workspace = require(request, roles.DELETE_WORKSPACE)
        try:
            due = ask_deletion(workspace, by=request.user, now=timezone.now())  # type: ignore[arg-type]
        except ValidationError as error:  # another owner was faster
            messages.error(request, error.messages[0])
        else:
            messages.warning(
                request,
                _("%(workspace)s is closed and will be deleted on %(moment)s.")
                % {"workspace": workspace, "moment": moment(due, workspace)},
            )
        return after_dialog(request, "/workspaces/deleted/")
