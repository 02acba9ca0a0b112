"""How people get in: allauth's adapter, and the backends that answer `has_perm` from workspace grants."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from django import forms
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from pushpilot.lib.clients import client_address
from tenants import roles
from tenants.models import User
from tenants.scope import TenantModel, current_workspace


class EmailBackend(AuthenticationBackend):
    """Allauth's e-mail sign-in. It grants nothing: rights come from WorkspaceBackend."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return False

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return False


class WorkspaceBackend:
    """`user.has_perm("campaigns.change_campaign", row)`, answered from the capabilities on the row's workspace.

    Without a row the workspace of the active scope counts; outside of any scope the answer is no.
    """

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        return None

    def has_perm(self, user_obj: User | AnonymousUser, perm: str, obj: Any = None) -> bool:
        from django.apps import apps

        from tenants.models import Workspace

        label, _, codename = perm.partition(".")
        workspace = obj if isinstance(obj, Workspace) else getattr(obj, "workspace", None) or current_workspace()
        if workspace is None:
            return False
        if label == "tenants" and codename in roles.CAPABILITIES:
            return roles.can(user_obj, codename, workspace)
        action, _, model_name = codename.partition("_")
        try:
            model = type(obj) if isinstance(obj, TenantModel) else apps.get_model(label, model_name)
        except LookupError:
            return False
        capability = getattr(model, "capabilities", {}).get(action)
        return capability is not None and roles.can(user_obj, capability, workspace)

    def has_module_perms(self, user_obj: User | AnonymousUser, app_label: str) -> bool:
        workspace = current_workspace()
        return workspace is not None and roles.can(user_obj, roles.VIEW, workspace)


class AccountAdapter(DefaultAccountAdapter):
    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or "0.0.0.0"  # noqa: S104 - a label for rate limits, nothing is bound


class SignupForm(forms.Form):
    """What sign-up asks beside e-mail and password."""

    full_name = forms.CharField(
        max_length=150, label="Your name", widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    field_order = ("full_name", "email", "password1")

    def signup(self, request: HttpRequest, user: User) -> None:
        user.full_name = self.cleaned_data["full_name"]
        user.save(update_fields=["full_name"])
