"""How people sign in, for operators who help them: addresses, linked accounts, second steps, sessions. No secrets."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action, display

from tenants.admin.platform.base import PlatformAdmin, ago, day
from tenants.models import User
from tenants.sessions import device

SECOND_STEPS = {
    Authenticator.Type.TOTP: "authenticator app",
    Authenticator.Type.WEBAUTHN: "passkey",
    Authenticator.Type.RECOVERY_CODES: "recovery codes",
}


class AccountPage(PlatformAdmin):
    """Rows that belong to a user."""

    list_select_related = ("user",)
    list_display_links = None
    search_fields: tuple[str, ...] = ("user__email", "user__full_name")
    search_help_text = "Search names and e-mail addresses"
    ordering = ("-pk",)
    sortable_by = ()

    @display(description="User")
    def person(self, row: Any) -> SafeString:
        user: User = row.user
        link = reverse("platform:tenants_user_change", args=[user.pk])
        return format_html('<a class="pf-link" href="{}">{}</a>', link, user.email)


class VerifiedFilter(DropdownFilter):
    title = "verified"
    parameter_name = "verified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Verified"), ("no", "Not verified")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(verified=self.value() == "yes") if self.value() else queryset


class EmailAddressPage(AccountPage):
    list_title = "E-mail addresses"
    list_display = ("email", "person", "verified_label", "primary_label")
    list_filter = (VerifiedFilter,)
    search_fields = ("email", "user__email", "user__full_name")
    fields = readonly_fields = ("email", "person", "verified_label", "primary_label")
    empty_title = "No addresses yet"

    @display(description="Verified", label={"Verified": "success", "Not verified": "warning"})
    def verified_label(self, row: EmailAddress) -> str:
        return "Verified" if row.verified else "Not verified"

    @display(description="Used for", label={"Sign-in and mail": "info", "Sign-in": "default"})
    def primary_label(self, row: EmailAddress) -> str:
        return "Sign-in and mail" if row.primary else "Sign-in"


class SocialAccountPage(AccountPage):
    """Without extra_data: what a provider told about a person is nobody's business here."""

    list_title = "Linked accounts"
    list_display = ("person", "provider_name", "uid", "linked", "used")
    fields = readonly_fields = ("person", "provider_name", "uid", "linked", "used")
    empty_title = "No linked accounts"
    empty_text = "They appear when somebody signs in with Google or Apple."
    empty_icon = "link"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request).defer("extra_data")
        return queryset

    @display(description="Provider")
    def provider_name(self, row: SocialAccount) -> str:
        return str(row.provider).title()

    @display(description="Linked")
    def linked(self, row: SocialAccount) -> str:
        return day(row.date_joined)

    @display(description="Last used")
    def used(self, row: SocialAccount) -> str:
        return ago(row.last_login)


class AuthenticatorPage(AccountPage):
    """Without `data`: the TOTP secret, the recovery codes' seed and the passkeys' public keys."""

    list_title = "Second steps"
    list_display = ("person", "type_label", "added", "used")
    fields = readonly_fields = ("person", "type_label", "added", "used")
    empty_title = "Nobody has a second step yet"
    empty_text = "Users add authenticator apps and passkeys under “Password and security”."
    empty_icon = "shield_lock"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request).defer("data")
        return queryset

    @display(
        description="Second step",
        label={"Authenticator app": "success", "Passkey": "primary", "Recovery codes": "default"},
    )
    def type_label(self, row: Authenticator) -> str:
        return capfirst(SECOND_STEPS[row.type])

    @display(description="Added")
    def added(self, row: Authenticator) -> str:
        return day(row.created_at)

    @display(description="Last used")
    def used(self, row: Authenticator) -> str:
        return ago(row.last_used_at)


class SessionPage(AccountPage):
    """Without the session key: who has it is signed in."""

    list_title = "Sessions"
    list_display = ("person", "device_cell", "address", "since", "seen")
    fields = readonly_fields = ("person", "device_cell", "address", "since", "seen")
    search_fields = ("user__email", "user__full_name", "ip__startswith")
    search_help_text = "Search names, e-mail addresses and IP addresses"
    ordering = ("-last_seen_at",)
    actions_row = ("end",)
    empty_title = "Nobody is signed in"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request).defer("data")
        return queryset

    @display(description="Device")
    def device_cell(self, row: UserSession) -> str:
        return device(row.user_agent)

    @display(description="Address")
    def address(self, row: UserSession) -> str:
        return str(row.ip)

    @display(description="Signed in")
    def since(self, row: UserSession) -> str:
        return ago(row.created_at)

    @display(description="Last seen")
    def seen(self, row: UserSession) -> str:
        return ago(row.last_seen_at)

    @action(
        description="End session",
        icon="logout",
        dialog={
            "title": "End this session?",
            "description": "That browser or app has to sign in again. The user's other sessions stay.",
            "form_submit_text": "End session",
        },
    )
    def end(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        session = self.found(request, object_id)
        back = reverse("platform:usersessions_usersession_changelist")
        return self.act(
            request, session.user, session.end, "session ended", f"The session of {session.user} is ended.",
            back_to=back, device=device(session.user_agent), ip=session.ip,
        )  # fmt: skip
