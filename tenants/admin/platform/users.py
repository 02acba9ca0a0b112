"""Everybody who can sign in: who they are, where they belong, how they get in; shutting out and letting in again."""

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
STANDING = {"Operator": "primary", "Active": "success", "Deactivated": "danger"}


class StandingFilter(DropdownFilter):
    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "Active"), ("deactivated", "Deactivated"), ("operator", "Operators")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        wanted = {"active": Q(is_active=True), "deactivated": Q(is_active=False), "operator": Q(is_superuser=True)}
        return queryset.filter(wanted.get(self.value() or "", Q()))


class AuthProviderFilter(DropdownFilter):
    title = "signed up with"
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in User.AuthProvider.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        return queryset.filter(auth_provider=self.value()) if self.value() else queryset


class LastSignInFilter(DropdownFilter):
    title = "last sign-in"
    parameter_name = "seen"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("recent", "In the last 30 days"), ("long", "Longer ago"), ("never", "Never")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        since = timezone.now() - RECENT
        wanted = {
            "recent": Q(last_login__gte=since),
            "long": Q(last_login__lt=since),
            "never": Q(last_login__isnull=True),
        }
        return queryset.filter(wanted.get(self.value() or "", Q()))


def standing(user: User) -> str:
    if not user.is_active:
        return "Deactivated"
    return "Operator" if user.is_superuser else "Active"


class DeactivateForm(BaseDialogForm):
    """Asks once more if workspaces would be left without an owner who can sign in."""

    def __init__(self, request: HttpRequest, object_id: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        user = User.objects.filter(pk=object_id, is_active=True).first()
        left = people.left_without(user) if user else []
        if left:
            names = ", ".join(str(workspace) for workspace in left[:MOST_NAMED])
            more = f" and {format_number(len(left) - MOST_NAMED)} more" if len(left) > MOST_NAMED else ""
            self.fields["ownerless"] = forms.BooleanField(
                label=f"Leave without an owner: {names}{more}",
                help_text="Nobody else owns this: nobody could hand it over, delete it or undo its deletion.",
                error_messages={"required": "Tick this, or let somebody else be made an owner first."},
                widget=UnfoldBooleanSwitchWidget,
            )


class UserPage(PlatformAdmin):
    list_display = ("header", "standing_label", "workspaces_cell", "provider_cell", "seen", "joined")
    list_filter = (StandingFilter, AuthProviderFilter, LastSignInFilter)
    search_fields = ("email", "full_name")
    search_help_text = "Search names and e-mail addresses"
    ordering = ("-pk",)
    actions_detail = (
        "send_password_reset", "end_sessions", "make_operator", "remove_operator", "deactivate", "reactivate",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        queryset: QuerySet[User] = super().get_queryset(request).defer("password")
        return queryset

    # --- the list -----------------------------------------------------------------------------------------
    def add_figures(self, rows: list[Any]) -> None:
        with every_workspace():
            memberships = Membership.objects.filter(user__in=[user.pk for user in rows]).order_by().values_list("user")
            counts = dict(memberships.annotate(n=Count("pk")))
        for user in rows:
            user.workspace_count = counts.get(user.pk, 0)

    @display(description="User", header=True, ordering="email")
    def header(self, user: User) -> list[str]:
        return [user.get_full_name(), user.email, user.get_full_name()[:1].upper()]

    @display(description="Standing", label=STANDING)
    def standing_label(self, user: User) -> str:
        return standing(user)

    @display(description="Workspaces")
    def workspaces_cell(self, user: Any) -> str:
        return format_number(user.workspace_count) if user.workspace_count else "–"

    @display(description="Signed up with", ordering="auth_provider")
    def provider_cell(self, user: User) -> str:
        return user.get_auth_provider_display()

    @display(description="Last sign-in", ordering="last_login")
    def seen(self, user: User) -> str:
        return ago(user.last_login)

    @display(description="Joined", ordering="created_at")
    def joined(self, user: User) -> str:
        return day(user.created_at)

    # --- one user -----------------------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        user = self.found(request, object_id)
        with every_workspace():
            memberships = list(Membership.objects.filter(user=user).select_related("workspace").order_by("workspace"))
        sessions = UserSession.objects.filter(user=user).order_by("-last_seen_at")
        return self.page(
            request,
            "tenants/platform/user.html",
            user,
            person=user,
            standing=standing(user),
            tone=STANDING[standing(user)],
            facts=_facts(user),
            memberships=[(membership, day(membership.joined_at)) for membership in memberships],
            addresses=EmailAddress.objects.filter(user=user).order_by("-primary", "email"),
            sessions=[(device(row.user_agent), row.ip, ago(row.created_at), ago(row.last_seen_at)) for row in sessions],
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

    # --- actions ------------------------------------------------------------------------------------------
    @action(
        description="Send reset mail",
        icon="lock_reset",
        dialog={
            "title": "Send a mail to choose a new password?",
            "description": "It goes to the user's own address. Their password stays until they choose another one.",
            "form_submit_text": "Send the mail",
        },
    )
    def send_password_reset(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)

        def send() -> None:
            if not user.is_active:
                raise ValidationError(f"{user} is deactivated. Reactivate them first.")
            question = ResetPasswordForm({"email": user.email})
            question.full_clean()
            question.save(request)
            if mailing.fate(request) == "refused":
                raise ValidationError(f"The mail server did not take the mail to {user.email}. See Platform → Health.")

        done = f"The mail is on its way to {user.email}."
        if not mailing.leaves():
            done = f"EMAIL_URL names no mail server: the mail to {user.email} is kept in this server's log or folder."
        return self.act(request, user, send, "reset mail sent", done)

    @action(
        description="Sign out everywhere",
        icon="logout",
        dialog={
            "title": "Sign this user out everywhere?",
            "description": "Every browser and every app of theirs has to sign in again.",
            "form_submit_text": "Sign out everywhere",
        },
    )
    def end_sessions(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)
        return self.act(
            request, user, lambda: operators.end_sessions(user), "signed out everywhere",
            f"{user} is signed out everywhere.",
        )  # fmt: skip

    @action(
        description="Make operator",
        icon="shield_person",
        dialog={
            "title": "Make this user an operator?",
            "description": "Operators see every user and workspace of this installation and can shut people out.",
            "form_submit_text": "Make operator",
        },
    )
    def make_operator(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)
        return self.act(
            request, user, lambda: operators.make_operator(user, by=request.user), "made operator",  # type: ignore[arg-type]
            f"{user} is now an operator.",
        )  # fmt: skip

    @action(
        description="Remove operator",
        icon="remove_moderator",
        dialog={
            "title": "Take the platform from this operator?",
            "description": "They keep their workspaces and roles, and no longer see this site.",
            "form_submit_text": "Remove operator",
        },
    )
    def remove_operator(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)
        return self.act(
            request, user, lambda: operators.remove_operator(user, by=request.user), "operator removed",  # type: ignore[arg-type]
            f"{user} is no operator any more.",
        )  # fmt: skip

    @action(
        description="Deactivate",
        icon="block",
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Deactivate this user?",
            "description": "They are signed out at once, in browsers and apps, and cannot sign in again. The secret "
            "keys they made are refused; write keys in apps go on working. What they wrote and sent stays, and so do "
            "their roles: reactivating brings everything back.",
            "form_class": DeactivateForm,
            "form_submit_text": "Deactivate",
        },
    )
    def deactivate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)
        return self.act(
            request, user, lambda: operators.deactivate(user, by=request.user), "deactivated",  # type: ignore[arg-type]
            f"{user} is deactivated and signed out everywhere.",
        )  # fmt: skip

    @action(
        description="Reactivate",
        icon="person_check",
        variant=ActionVariant.SUCCESS,
        dialog={
            "title": "Let this user in again?",
            "description": "They sign in with the password they had and find their workspaces and roles as they were.",
            "form_submit_text": "Reactivate",
        },
    )
    def reactivate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        user = self.found(request, object_id)
        return self.act(request, user, lambda: operators.reactivate(user), "reactivated", f"{user} can sign in again.")


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
    providers = SocialAccount.objects.filter(user=user).order_by("provider").values_list("provider", flat=True)
    ways = ["Password"] * has_password + [provider.title() for provider in providers]
    second = Authenticator.objects.filter(user=user).order_by("type").values_list("type").annotate(n=Count("pk"))
    steps = [f"{n} passkeys" if n > 1 and kind == "webauthn" else SECOND_STEPS[kind] for kind, n in second]
    return [
        ("Signs in with", ", ".join(ways) or ("Passkey only" if steps else "Nothing yet")),
        ("Second step", ", ".join(steps).capitalize() if steps else "Off"),
        ("Last sign-in", ago(user.last_login)),
        ("Joined", day(user.created_at)),
    ]
