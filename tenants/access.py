"""How people get in: allauth's adapter, and the backends that answer `has_perm` from workspace grants."""

from __future__ import annotations

from typing import Any

import allauth.core.context
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.models import EmailAddress
from allauth.core.internal.httpkit import is_headless_request
from django import forms
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from pushpilot.lib.clients import client_address
from tenants import mailing, roles
from tenants.models import User
from tenants.scope import belongs_to_workspace, current_workspace
from tenants.validators import validate_address, validate_name


class EmailBackend(AuthenticationBackend):
    """Allauth's e-mail sign-in. It grants nothing: rights come from WorkspaceBackend."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return False

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """None, of a superuser neither: Django's would list every permission there is."""
        return set()

    get_user_permissions = get_group_permissions = get_all_permissions

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return False


class WorkspaceBackend:
    """`user.has_perm("campaigns.change_campaign", row)`, answered from the capabilities on the row's workspace.

    Without a row the workspace of the active scope counts; outside of any scope the answer is no. What belongs to no
    workspace, such as a template of the global library, can be viewed in every one and changed in none.
    """

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        return None

    def has_perm(self, user_obj: User | AnonymousUser, perm: str, obj: Any = None) -> bool:
        from django.apps import apps

        from tenants.models import Workspace

        label, _, codename = perm.partition(".")
        workspace = obj if isinstance(obj, Workspace) else getattr(obj, "workspace", None) or current_workspace()
        if workspace is None or (obj is not None and not belongs_to_workspace(type(obj))):
            return False
        if label == "tenants" and codename in roles.CAPABILITIES:
            return roles.can(user_obj, codename, workspace)
        action, _, model_name = codename.partition("_")
        if obj is not None and getattr(obj, "workspace", workspace) is None and action != "view":
            return False
        try:
            model = apps.get_model(label, model_name) if obj is None else type(obj)
        except LookupError:
            return False
        capability = getattr(model, "capabilities", {}).get(action)
        return capability is not None and roles.can(user_obj, capability, workspace)

    def has_module_perms(self, user_obj: User | AnonymousUser, app_label: str) -> bool:
        workspace = current_workspace()
        return workspace is not None and roles.can(user_obj, roles.VIEW, workspace)


def drop_claims(emails: list[str]) -> None:
    """Forget that accounts with a confirmed address also wrote these down without ever confirming them.

    Such a claim reserves nothing. Left standing, it would send the owner of the address, who signs up, resets a
    password or comes by Google, into the account of whoever made it.
    """
    claims = EmailAddress.objects.filter(email__in=emails, verified=False, user__emailaddress__verified=True)
    EmailAddress.objects.filter(pk__in=claims.values("pk")).delete()


class AccountAdapter(DefaultAccountAdapter):
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "E-mail address or password are not right.",
        "incorrect_password": "That is not your password.",
        "enter_current_password": "That is not your current password.",
        "too_many_login_attempts": "Too many attempts. Please wait five minutes and try again.",
        "rate_limited": "Too many attempts. Please wait a minute and try again.",
        "duplicate_email": "This address is already yours.",
        "max_email_addresses": "An account has at most %d addresses. Remove one first.",
    }

    def clean_email(self, email: str) -> str:
        """Every form in which somebody writes an address as theirs comes by here. Raises ValidationError."""
        validate_address(email)
        drop_claims([email.lower()])
        return email

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """In the browser, a mail server that is away ends no request half-way: the next page says so. Over the API its
        error is raised (tenants.api.tokens answers 503)."""
        request = allauth.core.context.request
        whole = {"request": request, "email": email, "public_url": settings.PUBLIC_URL, **context}
        message = self.render_mail(template_prefix, email, whole)
        if is_headless_request(request):
            message.send()
            return
        mailing.remember(request, mailing.send(message, f"an account mail ({template_prefix})"))

    def get_reauthentication_methods(self, user: User | AnonymousUser) -> list[dict[str, Any]]:
        words = {
            "reauthenticate": "Use your password",
            "mfa_reauthenticate": "Use a code",
            "mfa_reauthenticate:webauthn": "Use a passkey",
        }
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        return [{**method, "description": words[method["id"]]} for method in methods]

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or "0.0.0.0"  # noqa: S104 - a label for rate limits, nothing is bound


class SignupForm(forms.Form):
    """What sign-up asks beside e-mail and password."""

    full_name = forms.CharField(
        max_length=150,
        validators=[validate_name],
        label="Your name",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    field_order = ("full_name", "email", "password1")

    def signup(self, request: HttpRequest, user: User) -> None:
        user.full_name = self.cleaned_data["full_name"]
        user.save(update_fields=["full_name"])
