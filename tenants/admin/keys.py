"""API keys: made (the secret is shown once), revoked, never edited."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from unfold.decorators import action, display

from tenants import roles, secrets
from tenants.admin.base import WorkspaceAdmin, after_dialog, moment, require, workspace_of
from tenants.models import ApiKey
from tenants.scope import current_workspace

_SESSION_KEY = "new_api_key"


class ApiKeyAdmin(WorkspaceAdmin):
    """A key is a name and a kind; changing either would say nothing true about who holds it."""

    fields = ("name", "kind")
    list_display = ("header", "kind_label", "state_label", "made", "last_used")
    list_select_related = ("created_by",)
    search_fields = ("name", "prefix")
    search_help_text = "Search by name or the first letters of a key"
    ordering = ("-id",)
    actions = None
    actions_row = ("revoke",)
    actions_detail = ("revoke",)
    empty_title = "Connect your app"
    empty_text = (
        "A write key lets the SDK in your app or website report what people open and click. It can do nothing else."
    )
    empty_icon = "key"

    # --- rights -------------------------------------------------------------------------------------------
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A revoked key stays: events point at it."""
        return False

    def has_revoke_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self.allows(request, "delete")

    # --- the list -----------------------------------------------------------------------------------------
    @display(description="Key", header=True, ordering="name")
    def header(self, key: ApiKey) -> list[str]:
        return [key.name, f"{key.prefix}…"]

    @display(description="Kind")
    def kind_label(self, key: ApiKey) -> str:
        return "Write key" if key.kind == ApiKey.Kind.WRITE else key.get_kind_display()

    @display(description="State", label={"Active": "success", "Revoked": "danger"}, ordering="revoked_at")
    def state_label(self, key: ApiKey) -> str:
        return "Revoked" if key.revoked_at else "Active"

    @display(description="Made", ordering="created_at")
    def made(self, key: ApiKey) -> str:
        return moment(key.created_at, current_workspace())

    @display(description="Last used", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> str:
        return moment(key.last_used_at, current_workspace())

    @display(description="Revoked")
    def revoked(self, key: ApiKey) -> str:
        return moment(key.revoked_at, current_workspace())

    # --- making one ---------------------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        created = path("created/", self.admin_site.admin_view(self.created_view), name="tenants_apikey_created")
        return [created, *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.fields
        return ("name", "kind", "state_label", "prefix", "created_by", "made", "last_used", "revoked")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.get_fields(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The secret waits, encrypted, in the session of the person who made the key, for one view of one page."""
        obj.created_by = request.user
        secret = obj.mint()
        super().save_model(request, obj, form, change)
        sealed = secrets.seal(secret, workspace_id=workspace_of(request).pk, field=_SESSION_KEY)
        request.session[_SESSION_KEY] = secrets.encrypt(sealed)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return redirect("admin:tenants_apikey_created")

    def created_view(self, request: HttpRequest) -> HttpResponse:
        workspace = require(request, roles.CONNECTIONS)
        sealed = request.session.pop(_SESSION_KEY, None)
        if sealed is None:
            messages.info(request, "A key is shown once, right after it is made. Make a new one if you lost it.")
            return redirect("admin:tenants_apikey_changelist")
        secret = secrets.unseal(secrets.decrypt(sealed), workspace_id=workspace.pk, field=_SESSION_KEY)
        events_url = f"{settings.PUBLIC_URL}/api/v1/events"
        return self.page(request, "tenants/key_created.html", "Your new key", secret=secret, events_url=events_url)

    # --- revoking -----------------------------------------------------------------------------------------
    @action(
        description="Revoke",
        icon="block",
        permissions=["revoke"],
        dialog={
            "title": "Revoke this key?",
            "description": "Apps that still use it can report nothing from now on. This cannot be undone.",
            "form_submit_text": "Revoke",
        },
    )
    def revoke(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        require(request, roles.CONNECTIONS)
        key = self.get_object(request, object_id)
        if key is None:
            raise Http404("no such key")
        if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
            self.audit(request, "API key revoked", key, prefix=key.prefix)
            messages.success(request, f"The key “{key}” is revoked.")
        return after_dialog(request, reverse("admin:tenants_apikey_changelist"))
