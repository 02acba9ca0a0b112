"""Everybody who can sign in: who they are, where they belong, how they get in; shutting out and
letting in again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldBooleanSwitchWidget

from pushpilot.lib.display import format_number
from tenants import mailing, operators, people
from tenants.account_forms import ResetPasswordForm
from tenants.admin.platform.accounts import SECOND_STEPS
from tenants.admin.platform.base import PlatformAdmin, ago, day
from tenants.models import Membership, User
from tenants.scope import every_workspace
from tenants.sessions import device

RECENT = timedelta(days=30)
MOST_NAMED = 5
STANDING = {"operator": "primary", "active": "success", "deactivated": "danger"}
STANDING_WORDS = {
    "operator": gettext_lazy("Operator"),
    "active": gettext_lazy("Active"),
    "deactivated": gettext_lazy("Deactivated"),
}


class StandingFilter(DropdownFilter):
    title = gettext_lazy("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("active", _("Active")),
            ("deactivated", _("Deactivated")),
            ("operator", _("Operators")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        wanted = {
            "active": Q(is_active=True),
            "deactivated": Q(is_active=False),
            "operator": Q(is_superuser=True),
        }
        return queryset.filter(wanted.get(self.value() or "", Q()))


class AuthProviderFilter(DropdownFilter):
    title = gettext_lazy("signed up with")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in User.AuthProvider.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        if self.value():
            return queryset.filter(auth_provider=self.value())
        return queryset


class LastSignInFilter(DropdownFilter):
    title = gettext_lazy("last sign-in")
    parameter_name = "seen"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("recent", _("In the last 30 days")),
            ("long", _("Longer ago")),
            ("never", _("Never")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        since = timezone.now() - RECENT
        wanted = {
            "recent": Q(last_login__gte=since),
            "long": Q(last_login__lt=since),
            "never": Q(last_login__isnull=True),
        }
        return queryset.filter(wanted.get(self.value() or "", Q()))


def standing(user: User) -> str:
    """A key of STANDING."""
    if not user.is_active:
        return "deactivated"
    if user.is_superuser:
        return "operator"
    return "active"


class DeactivateForm(BaseDialogForm):
    """Asks once more if workspaces would be left without an owner who can sign in."""

    def __init__(
        self, request: HttpRequest, object_id: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        user = User.objects.filter(pk=object_id, is_active=True).first()
        left = []
        if user:
            left = people.left_without(user)
        if left:
            more = max(0, len(left) - MOST_NAMED)
            named = {
                "names": ", ".join(str(workspace) for workspace in left[:MOST_NAMED]),
                "count": format_number(more),
            }
            label = _("Leave without an owner: %(names)s")
            if more:
                label = ngettext(
                    "Leave without an owner: %(names)s and %(count)s more",
                    "Leave without an owner: %(names)s and %(count)s more",
                    more,
                )
            self.fields["ownerless"] = forms.BooleanField(
                label=label % named,
                help_text=_(
                    "Without an owner, nobody can hand over the workspace, delete it or "
                    "undo its deletion."
                ),
                error_messages={
                    "required": _("Confirm this, or make somebody else an owner first.")
                },
                widget=UnfoldBooleanSwitchWidget,
            )


class UserPage(PlatformAdmin):
    list_display = (
        "header",
        "standing_label",
        "workspaces_cell",
        "provider_cell",
        "seen",
        "joined",
    )
    list_filter = (StandingFilter, AuthProviderFilter, LastSignInFilter)
    search_fields = ("email", "full_name")
    search_help_text = gettext_lazy("Search names and e-mail addresses")
    ordering = ("-pk",)
    actions_detail = (
        "send_password_reset",
        "end_sessions",
        "make_operator",
        "remove_operator",
        "deactivate",
        "reactivate",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        queryset: QuerySet[User] = super().get_queryset(request).defer("password")
        return queryset

    # --- the list ---------------------------------------------------------------------------------
    def add_figures(self, rows: list[Any]) -> None:
        with every_workspace():
            memberships = (
                Membership.objects.filter(user__in=[user.pk for user in rows])
                .order_by()
                .values_list("user")
            )
            counts = dict(memberships.annotate(n=Count("pk")))
        for user in rows:
            user.workspace_count = counts.get(user.pk, 0)

    @display(description=gettext_lazy("User"), header=True, ordering="email")
    def header(self, user: User) -> list[str]:
        return [user.get_full_name(), user.email, user.get_full_name()[:1].upper()]

    @display(description=gettext_lazy("Standing"), label=STANDING)
    def standing_label(self, user: User) -> tuple[str, str]:
        return standing(user), str(STANDING_WORDS[standing(user)])

    @display(description=gettext_lazy("Workspaces"))
    def workspaces_cell(self, user: Any) -> str:
        if user.workspace_count:
            return format_number(user.workspace_count)
        return "–"

    @display(description=gettext_lazy("Signed up with"), ordering="auth_provider")
    def provider_cell(self, user: User) -> str:
        return user.get_auth_provider_display()

    @display(description=gettext_lazy("Last sign-in"), ordering="last_login")
    def seen(self, user: User) -> str:
        return ago(user.last_login)

    @display(description=gettext_lazy("Joined"), ordering="created_at")
    def joined(self, user: User) -> str:
        return day(user.created_at)

    # --- one user ---------------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        user = self.found(request, object_id)
        with every_workspace():
            memberships = list(
                Membership.objects.filter(user=user)
                .select_related("workspace")
                .order_by("workspace")
            )
        sessions = UserSession.objects.filter(user=user).order_by("-last_seen_at")
        return self.page(
            request,
            "tenants/platform/user.html",
            user,
            person=user,
            standing=STANDING_WORDS[standing(user)],
            tone=STANDING[standing(user)],
            facts=_facts(user),
            memberships=[(membership, day(membership.joined_at)) for membership in memberships],
            addresses=EmailAddress.objects.filter(user=user).order_by("-primary", "email"),
            sessions=[
                (device(row.user_agent), row.ip, ago(row.created_at), ago(row.last_seen_at))
                for row in sessions
            ],
        )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only what makes sense for this user: nobody makes an operator of an operator."""
        user = self.get_object(request, str(object_id))
        offered = _offered(user, request.user) if user else set()
        return [
            button
            for button in super().get_actions_detail(request, object_id)
            if button.action_name.removeprefix("tenants_user_") in offered
        ]

    # --- actions ----------------------------------------------------------------------------------
    @action(
        description=gettext_lazy("Send reset mail"),
        icon="lock_reset",
        dialog={
            "title": gettext_lazy("Send a mail to choose a new password?"),
            "description": gettext_lazy(
                "It goes to the user's own address. Their password stays until they choose another "
                "one."
            ),
            "form_submit_text": gettext_lazy("Send the mail"),
        },
    )
    def send_password_reset(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)

        def send() -> None:
            if not user.is_active:
                raise ValidationError(
                    _("%(user)s is deactivated. Reactivate them first.") % {"user": user}
                )
            question = ResetPasswordForm({"email": user.email})
            question.full_clean()
            question.save(request)
            if mailing.fate(request) == "refused":
                raise ValidationError(
                    _(
                        "The mail server did not accept the mail to %(email)s. See Platform → "
                        "Health."
                    )
                    % {"email": user.email}
                )

        to = {"email": user.email}
        done = _("The mail is on its way to %(email)s.") % to
        if not mailing.leaves():
            done = (
                _(
                    "EMAIL_URL names no mail server: the mail to %(email)s is in this server's "
                    "log or folder."
                )
                % to
            )
        return self.act(request, user, send, "reset mail sent", done)

    @action(
        description=gettext_lazy("Sign out everywhere"),
        icon="logout",
        dialog={
            "title": gettext_lazy("Sign this user out everywhere?"),
            "description": gettext_lazy("The user has to sign in again in every browser and app."),
            "form_submit_text": gettext_lazy("Sign out everywhere"),
        },
    )
    def end_sessions(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)
        return self.act(
            request,
            user,
            lambda: operators.end_sessions(user),
            "signed out everywhere",
            _("%(user)s is signed out everywhere.") % {"user": user},
        )

    @action(
        description=gettext_lazy("Make operator"),
        icon="shield_person",
        dialog={
            "title": gettext_lazy("Make this user an operator?"),
            "description": gettext_lazy(
                "Operators see every user and workspace of this installation and can deactivate "
                "users."
            ),
            "form_submit_text": gettext_lazy("Make operator"),
        },
    )
    def make_operator(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)
        return self.act(
            request,
            user,
            lambda: operators.make_operator(user, by=request.user),  # type: ignore[arg-type]
            "made operator",
            _("%(user)s is now an operator.") % {"user": user},
        )

    @action(
        description=gettext_lazy("Remove operator"),
        icon="remove_moderator",
        dialog={
            "title": gettext_lazy("Remove this operator?"),
            "description": gettext_lazy(
                "They keep their workspaces and roles, and no longer see this site."
            ),
            "form_submit_text": gettext_lazy("Remove operator"),
        },
    )
    def remove_operator(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)
        return self.act(
            request,
            user,
            lambda: operators.remove_operator(user, by=request.user),  # type: ignore[arg-type]
            "operator removed",
            _("%(user)s is no longer an operator.") % {"user": user},
        )

    @action(
        description=gettext_lazy("Deactivate"),
        icon="block",
        variant=ActionVariant.DANGER,
        dialog={
            "title": gettext_lazy("Deactivate this user?"),
            "description": gettext_lazy(
                "They are signed out at once, in browsers and apps, and cannot sign in again. The "
                "secret keys that they created are refused; write keys in apps continue to work. "
                "Their content stays, and so do their roles."
            ),
            "form_class": DeactivateForm,
            "form_submit_text": gettext_lazy("Deactivate"),
        },
    )
    def deactivate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)
        return self.act(
            request,
            user,
            lambda: operators.deactivate(user, by=request.user),  # type: ignore[arg-type]
            "deactivated",
            _("%(user)s is deactivated and signed out everywhere.") % {"user": user},
        )

    @action(
        description=gettext_lazy("Reactivate"),
        icon="person_check",
        variant=ActionVariant.SUCCESS,
        dialog={
            "title": gettext_lazy("Reactivate this user?"),
            "description": gettext_lazy(
                "They sign in with the password they had and find their workspaces and roles as "
                "they were."
            ),
            "form_submit_text": gettext_lazy("Reactivate"),
        },
    )
    def reactivate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)
        return self.act(
            request,
            user,
            lambda: operators.reactivate(user),
            "reactivated",
            _("%(user)s can sign in again.") % {"user": user},
        )


def _offered(user: User, asking: Any) -> set[str]:
    if not user.is_active:
        return {"reactivate"}
    buttons = {"send_password_reset", "end_sessions"}
    if user.pk != asking.pk:
        buttons |= {"deactivate", "remove_operator" if user.is_superuser else "make_operator"}
    return buttons


def _facts(user: User) -> list[tuple[str, str]]:
    # Only whether there is a password; the hash is never read into a page.
    has_password = User.objects.get(pk=user.pk).has_usable_password()
    providers = (
        SocialAccount.objects.filter(user=user)
        .order_by("provider")
        .values_list("provider", flat=True)
    )
    ways = [_("Password")] * has_password + [provider.title() for provider in providers]
    second = (
        Authenticator.objects.filter(user=user)
        .order_by("type")
        .values_list("type")
        .annotate(n=Count("pk"))
    )
    steps = [_step(kind, count) for kind, count in second]
    alone, steps_words = _("Nothing yet"), _("Off")
    if steps:
        alone, steps_words = _("Passkey only"), capfirst(", ".join(steps))
    return [
        (_("Signs in with"), ", ".join(ways) or alone),
        (_("Second step"), steps_words),
        (_("Last sign-in"), ago(user.last_login)),
        (_("Joined"), day(user.created_at)),
    ]


def _step(kind: str, count: int) -> str:
    if kind == Authenticator.Type.WEBAUTHN and count > 1:
        return ngettext("%(count)s passkey", "%(count)s passkeys", count) % {
            "count": format_number(count)
        }
    return str(SECOND_STEPS[kind])
