"""How people sign in, for operators who help them: addresses, linked accounts, second steps,
sessions. No secrets."""

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
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action, display

from pushpilot.lib.display import Labelled
from tenants.admin.platform.base import PlatformAdmin, ago, day
from tenants.models import User
from tenants.sessions import device

SECOND_STEPS = {
    Authenticator.Type.TOTP: gettext_lazy("authenticator app"),
    Authenticator.Type.WEBAUTHN: gettext_lazy("passkey"),
    Authenticator.Type.RECOVERY_CODES: gettext_lazy("recovery codes"),
}


class AccountPage(PlatformAdmin):
    """Rows that belong to a user."""

    list_select_related = ("user",)
    list_display_links = None
    search_fields: tuple[str, ...] = ("user__email", "user__full_name")
    search_help_text = gettext_lazy("Search names and e-mail addresses")
    ordering = ("-pk",)
    sortable_by = ()

    @display(description=gettext_lazy("User"))
    def person(self, row: Any) -> SafeString:
        user: User = row.user
        link = reverse("platform:tenants_user_change", args=[user.pk])
        return format_html('<a class="pf-link" href="{}">{}</a>', link, user.email)


class VerifiedFilter(DropdownFilter):
    title = gettext_lazy("verified")
    parameter_name = "verified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("Verified")), ("no", _("Not verified"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value():
            return queryset.filter(verified=self.value() == "yes")
        return queryset


class EmailAddressPage(AccountPage):
    list_title = gettext_lazy("E-mail addresses")
    list_display = ("email", "person", "verified_label", "primary_label")
    list_filter = (VerifiedFilter,)
    search_fields = ("email", "user__email", "user__full_name")
    fields = readonly_fields = ("email", "person", "verified_label", "primary_label")
    empty_title = gettext_lazy("No addresses yet")

    @display(description=gettext_lazy("Verified"), label={True: "success", False: "warning"})
    def verified_label(self, row: EmailAddress) -> Labelled:
        return Labelled(row.verified, _("Verified") if row.verified else _("Not verified"))

    @display(description=gettext_lazy("Used for"), label={True: "info", False: "default"})
    def primary_label(self, row: EmailAddress) -> Labelled:
        return Labelled(row.primary, _("Sign-in and mail") if row.primary else _("Sign-in"))


class SocialAccountPage(AccountPage):
    """Without extra_data: what a provider told about a person is nobody's business here."""

    list_title = gettext_lazy("Linked accounts")
    list_display = ("person", "provider_name", "uid", "linked", "used")
    fields = readonly_fields = ("person", "provider_name", "uid", "linked", "used")
    empty_title = gettext_lazy("No linked accounts")
    empty_text = gettext_lazy("They appear when somebody signs in with Google or Apple.")
    empty_icon = "link"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request).defer("extra_data")
        return queryset

    @display(description=gettext_lazy("Provider"))
    def provider_name(self, row: SocialAccount) -> str:
        return str(row.provider).title()

    @display(description=gettext_lazy("Linked"))
    def linked(self, row: SocialAccount) -> str:
        return day(row.date_joined)

    @display(description=gettext_lazy("Last used"))
    def used(self, row: SocialAccount) -> str:
        return ago(row.last_login)


class AuthenticatorPage(AccountPage):
    """Without `data`: the TOTP secret, the recovery codes' seed and the passkeys' public keys."""

    list_title = gettext_lazy("Second steps")
    list_display = ("person", "type_label", "added", "used")
    fields = readonly_fields = ("person", "type_label", "added", "used")
    empty_title = gettext_lazy("Nobody has a second step yet")
    empty_text = gettext_lazy(
        "Users add authenticator apps and passkeys under “Password and security”."
    )
    empty_icon = "shield_lock"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request).defer("data")
        return queryset

    @display(
        description=gettext_lazy("Second step"),
        label={"totp": "success", "webauthn": "primary", "recovery_codes": "default"},
    )
    def type_label(self, row: Authenticator) -> Labelled:
        return Labelled(row.type, capfirst(str(SECOND_STEPS[row.type])))

    @display(description=gettext_lazy("Added"))
    def added(self, row: Authenticator) -> str:
        return day(row.created_at)

    @display(description=gettext_lazy("Last used"))
    def used(self, row: Authenticator) -> str:
        return ago(row.last_used_at)


class SessionPage(AccountPage):
    """Without the session key: who has it is signed in."""

    list_title = gettext_lazy("Sessions")
    list_display = ("person", "device_cell", "address", "since", "seen")
    fields = readonly_fields = ("person", "device_cell", "address", "since", "seen")
    search_fields = ("user__email", "user__full_name", "ip__startswith")
    search_help_text = gettext_lazy("Search names, e-mail addresses and IP addresses")
    ordering = ("-last_seen_at",)
    actions_row = ("end",)
    empty_title = gettext_lazy("Nobody is signed in")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request).defer("data")
        return queryset

    @display(description=gettext_lazy("Device"))
    def device_cell(self, row: UserSession) -> str:
        return device(row.user_agent)

    @display(description=gettext_lazy("Address"))
    def address(self, row: UserSession) -> str:
        return str(row.ip)

    @display(description=gettext_lazy("Signed in"))
    def since(self, row: UserSession) -> str:
        return ago(row.created_at)

    @display(description=gettext_lazy("Last seen"))
    def seen(self, row: UserSession) -> str:
        return ago(row.last_seen_at)

    @action(
        description=gettext_lazy("End session"),
        icon="logout",
        dialog={
            "title": gettext_lazy("End this session?"),
            "description": gettext_lazy(
                "That browser or app has to sign in again. The user's other sessions stay."
            ),
            "form_submit_text": gettext_lazy("End session"),
        },
    )
    def end(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        session = self.found(request, object_id)
        back = reverse("platform:usersessions_usersession_changelist")
        return self.act(
            request,
            session.user,
            session.end,
            "session ended",
            _("The session of %(user)s is ended.") % {"user": session.user},
            back_to=back,
            device=device(session.user_agent),
            ip=session.ip,
        )
