"""API keys: made (the secret is shown once), rotated, revoked, never edited."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
)

from pushpilot.lib.display import Labelled
from tenants import keys, roles
from tenants.admin import one_time_secret
from tenants.admin.base import (
    WorkspaceAdmin,
    after_dialog,
    moment,
    reads_only,
    require,
    workspace_of,
)
from tenants.admin.keys import identity
from tenants.models import ApiKey, Workspace
from tenants.scope import current_workspace

_SLOT = "new_api_key"
LIFETIMES = {
    "": gettext_lazy("Never"),
    "30": gettext_lazy("In 30 days"),
    "90": gettext_lazy("In 90 days"),
    "365": gettext_lazy("In a year"),
}
OVERLAPS = {
    "0": gettext_lazy("Now"),
    "1": gettext_lazy("In an hour"),
    "24": gettext_lazy("In a day"),
    "168": gettext_lazy("In a week"),
}
STATE_WORDS = {
    "Active": gettext_lazy("Active"),
    "Revoked": gettext_lazy("Revoked"),
    "Expired": gettext_lazy("Expired"),
}
STATE_COLOURS = {"Active": "success", "Revoked": "danger", "Expired": "default"}
KINDS = {
    ApiKey.Kind.WRITE: gettext_lazy("Write key: for your app or website; may only report events"),
    ApiKey.Kind.SECRET: gettext_lazy("Secret key: for your servers; may do what you select below"),
}
MODES = {
    ApiKey.Mode.LIVE: gettext_lazy("Live"),
    ApiKey.Mode.TEST: gettext_lazy("Test: only messages of the sandbox; your figures stay clean"),
}


# What an upper layer warns of above the list of keys, "" for nothing; the root wiring appends to
# it.
NOTICES: list[Callable[[Workspace], str]] = []


class KeyForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("A secret key may"),
        choices=list(keys.SCOPES.items()),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    lifetime = forms.ChoiceField(
        label=gettext_lazy("Expires"),
        choices=list(LIFETIMES.items()),
        required=False,
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = ApiKey
        fields = ("name", "kind", "mode", "scopes")
        labels = {
            "name": gettext_lazy("Name"),
            "kind": gettext_lazy("Kind"),
            "mode": gettext_lazy("Mode"),
        }
        help_texts = {"name": gettext_lazy("What uses it, e.g. Android app or Shop backend.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, words in (("kind", KINDS), ("mode", MODES)):
            if name in self.fields:
                self.fields[name].widget = UnfoldAdminRadioSelectWidget(
                    radio_style=2, choices=list(words.items())
                )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("kind") == ApiKey.Kind.SECRET and "scopes" not in self.errors:
            if not cleaned["scopes"]:
                raise ValidationError(
                    {"scopes": _("Select at least one thing that the secret key may do.")}
                )
            if cleaned.get("mode") == ApiKey.Mode.TEST and keys.LIVE_ONLY.intersection(
                cleaned["scopes"]
            ):
                raise ValidationError({"scopes": keys.NOT_FOR_TEST})
        if cleaned.get("lifetime"):
            self.instance.expires_at = timezone.now() + timedelta(days=int(cleaned["lifetime"]))
        return cleaned


class RotateForm(BaseDialogForm):
    hours = forms.ChoiceField(
        label=gettext_lazy("When does the old key stop working?"),
        choices=list(OVERLAPS.items()),
        initial="24",
        widget=UnfoldAdminSelectWidget,
    )


def _to_show(key: ApiKey, secret: str) -> dict[str, Any]:
    return {
        "secret": secret,
        "may_report": keys.EVENTS_WRITE in key.scopes,
        "is_test": key.mode == ApiKey.Mode.TEST,
    }


class ApiKeyAdmin(WorkspaceAdmin):
    """A key is made once; changing it would say nothing true about who holds it."""

    form = KeyForm
    fields = ("name", "kind", "mode", "scopes", "lifetime")
    list_display = (
        "header",
        "kind_label",
        "mode_label",
        "state_label",
        "made",
        "last_used",
        "expires",
    )
    list_select_related = ("created_by",)
    search_fields = ("name", "prefix")
    search_help_text = gettext_lazy("Search by name or the first letters of a key")
    ordering = ("-id",)
    actions = None
    actions_list = ("verify_identity",)
    actions_row = ("rotate", "revoke")
    actions_detail = ("rotate", "revoke")
    add_title = gettext_lazy("New API key")
    empty_title = gettext_lazy("Connect your app")
    empty_text = gettext_lazy(
        "A write key lets the SDK in your app or website report what people open and click. It can "
        "do nothing else."
    )
    empty_icon = "key"

    # --- rights -----------------------------------------------------------------------------------
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A revoked key stays: events point at it."""
        return False

    def has_rotate_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self.allows(request, "add")

    def has_revoke_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self.allows(request, "delete")

    # --- the list ---------------------------------------------------------------------------------
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        for notice in filter(None, (ask(workspace_of(request)) for ask in NOTICES)):
            messages.warning(request, notice)
        return super().changelist_view(request, extra_context)

    @display(description=gettext_lazy("Key"), header=True, ordering="name")
    def header(self, key: ApiKey) -> list[str]:
        return [key.name, f"{key.prefix}…"]

    @display(description=gettext_lazy("Kind"))
    def kind_label(self, key: ApiKey) -> str:
        if key.kind == ApiKey.Kind.WRITE:
            return _("Write key")
        return _("Secret key")

    @display(
        description=gettext_lazy("Mode"), label={"live": "info", "test": "warning"}, ordering="mode"
    )
    def mode_label(self, key: ApiKey) -> Labelled:
        return Labelled(key.mode, _("Test") if key.mode == ApiKey.Mode.TEST else _("Live"))

    @display(description=gettext_lazy("State"), label=STATE_COLOURS)
    def state_label(self, key: ApiKey) -> Labelled:
        state = key.state(timezone.now())
        return Labelled(state, str(STATE_WORDS[state]))

    @display(description=gettext_lazy("May"))
    def scope_words(self, key: ApiKey) -> str:
        return ", ".join(str(keys.SCOPES.get(scope, scope)) for scope in key.scopes)

    @display(description=gettext_lazy("Expires"), ordering="expires_at")
    def expires(self, key: ApiKey) -> str:
        if key.expires_at:
            return moment(key.expires_at, current_workspace())
        return _("Never")

    @display(description=gettext_lazy("Created"), ordering="created_at")
    def made(self, key: ApiKey) -> str:
        return moment(key.created_at, current_workspace())

    @display(description=gettext_lazy("Last used"), ordering="last_used_at")
    def last_used(self, key: ApiKey) -> str:
        return moment(key.last_used_at, current_workspace())

    @display(description=gettext_lazy("Revoked"))
    def revoked(self, key: ApiKey) -> str:
        return moment(key.revoked_at, current_workspace())

    # --- making one -------------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        guarded = self.admin_site.admin_view
        own = [
            path("created/", guarded(self.created_view), name="tenants_apikey_created"),
            path(
                "identity/", guarded(partial(identity.page, self)), name="tenants_apikey_identity"
            ),
        ]
        return [*own, *super().get_urls()]

    @reads_only
    @action(
        description=gettext_lazy("Identity verification"),
        icon="verified_user",
        permissions=["view"],
    )
    def verify_identity(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:tenants_apikey_identity")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.fields
        return (
            "name",
            "kind_label",
            "mode_label",
            "state_label",
            "scope_words",
            "prefix",
            "created_by",
            "made",
            "last_used",
            "expires",
            "revoked",
            "replaced_by",
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        return self.get_fields(request, obj)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        return super().add_view(
            request, form_url, {"save_words": _("Create key"), **(extra_context or {})}
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        user: Any = request.user
        one_time_secret.keep(request, _SLOT, _to_show(obj, keys.create(obj, by=user)))

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """tenants.keys has done it."""

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return redirect("admin:tenants_apikey_created")

    def created_view(self, request: HttpRequest) -> HttpResponse:
        require(request, roles.CONNECTIONS)
        shown = one_time_secret.take(request, _SLOT)
        if shown is None:
            messages.info(
                request,
                _(
                    "A key is shown only once, right after it is created. Create a new one "
                    "if you lost it."
                ),
            )
            return redirect("admin:tenants_apikey_changelist")
        api_url = f"{settings.PUBLIC_URL}/api/v1"
        return self.page(
            request, "tenants/key_created.html", _("Your new key"), **shown, api_url=api_url
        )

    # --- rotating and revoking --------------------------------------------------------------------
    @action(
        description=gettext_lazy("Rotate"),
        icon="sync",
        permissions=["rotate"],
        dialog={
            "title": gettext_lazy("Rotate this key?"),
            "description": gettext_lazy(
                "You get a new key with the same name and rights. The old key continues to work "
                "for the time that you choose."
            ),
            "form_class": RotateForm,
            "form_submit_text": gettext_lazy("Create new key"),
        },
    )
    def rotate(self, request: HttpRequest, form: RotateForm, object_id: str) -> HttpResponse:
        require(request, roles.CONNECTIONS)
        overlap = timedelta(hours=int(form.cleaned_data["hours"]))
        user: Any = request.user
        try:
            fresh, secret = keys.rotate(
                self.found(request, object_id), by=user, overlap=overlap, now=timezone.now()
            )
        except ValueError as error:
            messages.error(request, str(error))
            return after_dialog(request, reverse("admin:tenants_apikey_changelist"))
        one_time_secret.keep(request, _SLOT, _to_show(fresh, secret))
        return after_dialog(request, reverse("admin:tenants_apikey_created"))

    @action(
        description=gettext_lazy("Revoke"),
        icon="block",
        permissions=["revoke"],
        dialog={
            "title": gettext_lazy("Revoke this key?"),
            "description": gettext_lazy(
                "Apps that still use it can no longer send anything. This cannot be undone."
            ),
            "form_submit_text": gettext_lazy("Revoke"),
        },
    )
    def revoke(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        require(request, roles.CONNECTIONS)
        key = self.found(request, object_id)
        if keys.revoke([key], by=request.user):  # type: ignore[arg-type]
            messages.success(request, _("The key “%(key)s” is revoked.") % {"key": key})
        return after_dialog(request, reverse("admin:tenants_apikey_changelist"))
