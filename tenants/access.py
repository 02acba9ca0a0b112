"""How people get in: allauth's adapter, and the backends that answer `has_perm` from workspace
grants."""

from __future__ import annotations

from typing import Any

import allauth.core.context
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.internal.userkit import filter_users_by_email
from allauth.account.models import EmailAddress
from allauth.core.internal import ratelimit
from allauth.core.internal.httpkit import is_headless_request
from allauth.core.internal.ratelimit import get_ip
from allauth.usersessions.models import UserSession
from django import forms
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushpilot.lib.clients import client_address
from tenants import mailing, roles
from tenants.models import User
from tenants.scope import belongs_to_workspace, current_workspace, every_workspace
from tenants.validators import unlinked, validate_address, validate_name


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
    """`user.has_perm("campaigns.change_campaign", row)`, answered from the capabilities on the
    row's workspace.

    Without a row the workspace of the active scope counts; outside of any scope the answer is
    no. What belongs to no workspace, such as a template of the global library, can be viewed in
    every one and changed in none.
    """

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        return None

    def has_perm(self, user_obj: User | AnonymousUser, perm: str, obj: Any = None) -> bool:
        from django.apps import apps

        from tenants.models import Workspace

        label, _dot, codename = perm.partition(".")
        workspace = obj
        if not isinstance(obj, Workspace):
            workspace = getattr(obj, "workspace", None) or current_workspace()
        if workspace is None or (obj is not None and not belongs_to_workspace(type(obj))):
            return False
        if label == "tenants" and codename in roles.CAPABILITIES:
            return roles.can(user_obj, codename, workspace)
        action, _line, model_name = codename.partition("_")
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


def claims_on(emails: list[str]) -> QuerySet[EmailAddress]:
    """What accounts with a confirmed address also wrote down and have not confirmed: their
    pending changes.

    Such a claim reserves nothing: else the owner of the address, who signs up, resets a password
    or comes by Google, would end in the account of the person who made it.
    """
    found: QuerySet[EmailAddress] = EmailAddress.objects.filter(
        email__in=emails, verified=False, user__emailaddress__verified=True
    )
    return found


def owners_of(email: str) -> list[User]:
    """The accounts that have the address, without those that only claim it."""
    claimed_by = set(claims_on([email.lower()]).values_list("user_id", flat=True))
    found: list[User] = filter_users_by_email(email, prefer_verified=True)
    return [user for user in found if user.pk not in claimed_by or user.email == email.lower()]


def drop_claims(emails: list[str]) -> None:
    """For addresses whose owner has just proved it: nobody's claim to them stays. A form proves
    nothing."""
    EmailAddress.objects.filter(pk__in=claims_on(emails).values("pk")).delete()


def drop_squatters(email: str, owner: User) -> None:
    """Accounts in the name of an address that `owner` has proved, never confirmed and so never
    opened by anybody."""
    with every_workspace():
        never = User.objects.filter(
            email=email, last_login=None, memberships=None, emailaddress__email=email
        )
        never.exclude(pk=owner.pk).exclude(emailaddress__verified=True).delete()


def _login_of(credentials: dict[str, Any]) -> str:
    return str(credentials.get("email", "")).lower()


class AccountAdapter(DefaultAccountAdapter):
    _is_news = False
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": gettext_lazy("The e-mail address or the password is wrong."),
        "incorrect_password": gettext_lazy("That is not your password."),
        "invalid_or_expired_key": gettext_lazy(
            "This link has expired or was used already. Ask for a new one."
        ),
        "invalid_password_reset": gettext_lazy(
            "This link has expired or was used already. Ask for a new one."
        ),
        "enter_current_password": gettext_lazy("That is not your current password."),
        "too_many_login_attempts": gettext_lazy(
            "Too many attempts. Please wait five minutes and try again."
        ),
        "rate_limited": gettext_lazy("Too many attempts. Please wait a minute and try again."),
        "duplicate_email": gettext_lazy("This address is already yours."),
        "max_email_addresses": gettext_lazy(
            "An account has at most %d addresses. Remove one first."
        ),
    }

    def clean_email(self, email: str) -> str:
        """Every form in which somebody writes an address as theirs comes by here. Raises
        ValidationError."""
        validate_address(email)
        return email

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        with transaction.atomic():
            done: bool = super().confirm_email(request, email_address)
            if done:
                drop_claims([email_address.email])
                drop_squatters(email_address.email, email_address.user)
        return done

    # --- wrong passwords --------------------------------------------------------------------------
    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Of one address and one client: who does not know a password cannot keep its owner out."""
        return f"{_login_of(credentials)} {get_ip(request)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Raises ValidationError after too many wrong passwords of this client, or of all for
        one address. A client from which the account was opened before is not held up by the
        others."""
        super().pre_authenticate(request, **credentials)
        usage, login = self._login_failed_rl_usage, _login_of(credentials)
        anywhere = ratelimit.consume(
            request, app="allauth.account", action="login_failed_anywhere", key=login
        )
        if anywhere:
            usage.usage += anywhere.usage
        elif not UserSession.objects.filter(
            user__email=login, ip=self.get_client_ip(request)
        ).exists():
            usage.rollback()
            raise self.validation_error("too_many_login_attempts")

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **credentials: Any) -> None:
        super()._delete_login_attempts_cached_email(request, **credentials)
        ratelimit.clear(
            request,
            app="allauth.account",
            action="login_failed_anywhere",
            key=_login_of(credentials),
        )

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """In the browser, a mail server that is away ends no request half-way: the next page
        says so. Over the API its error is raised (tenants.api.tokens answers 503) if the mail is
        what was asked for."""
        request = allauth.core.context.request
        whole = {"request": request, "email": email, "public_url": settings.PUBLIC_URL, **context}
        if isinstance(user := context.get("user"), User):
            whole["person"] = f"{unlinked(user.full_name) or user.email} ({user.email})"
        message = self.render_mail(template_prefix, email, whole)
        by_api = is_headless_request(request)
        if by_api and not self._is_news:
            message.send()
            return
        taken = mailing.send(message, f"an account mail ({template_prefix})")
        if not by_api:
            mailing.remember(request, taken)

    def send_notification_mail(self, *args: Any, **options: Any) -> None:
        """What it tells is done already: no mail server undoes it."""
        self._is_news = True
        try:
            super().send_notification_mail(*args, **options)
        finally:
            self._is_news = False

    def get_reauthentication_methods(self, user: User | AnonymousUser) -> list[dict[str, Any]]:
        words = {
            "reauthenticate": _("Use your password"),
            "mfa_reauthenticate": _("Use a code"),
            "mfa_reauthenticate:webauthn": _("Use a passkey"),
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
        label=gettext_lazy("Your name"),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    field_order = ("full_name", "email", "password1")

    def signup(self, request: HttpRequest, user: User) -> None:
        user.full_name = self.cleaned_data["full_name"]
        user.save(update_fields=["full_name"])
