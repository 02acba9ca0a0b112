"""What lists of this layer are filtered, searched and ordered by."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from django.db.models import QuerySet
from django.utils import timezone
from django_filters import ChoiceFilter

from pushpilot.lib.lists import ListFilters, MomentFilter
from tenants.models import Invitation, Membership, Workspace
from tenants.roles import Role


class WorkspaceFilters(ListFilters):
    searched = ("name", "slug")
    ordered = {"name": "name", "created_at": "created_at"}
    default_order = ("name",)

    class Meta:
        model = Workspace
        fields: list[str] = []


class MembershipFilters(ListFilters):
    searched = ("user__full_name", "user__email")
    ordered = {"user__full_name": "full_name", "user__email": "email", "joined_at": "joined_at"}
    default_order = ("user__full_name", "user__email")
    role = ChoiceFilter(choices=Role.choices)

    class Meta:
        model = Membership
        fields: list[str] = []


class InvitationFilters(ListFilters):
    searched = ("email",)
    ordered = {"email": "email", "invited_at": "invited_at", "expires_at": "expires_at"}
    default_order = ("-invited_at",)
    role = ChoiceFilter(choices=Role.choices)
    state = ChoiceFilter(choices=[(key, key) for key in Invitation.STATES], method="in_state")
    invited_after = MomentFilter("invited_at", "gte")
    invited_before = MomentFilter("invited_at", "lt")

    class Meta:
        model = Invitation
        fields: list[str] = []

    def in_state(self, rows: QuerySet[Any], name: str, state: str) -> QuerySet[Any]:
        return rows.filter(Invitation.in_state(state, timezone.now()))


class PasskeyFilters(ListFilters):
    ordered = {"created_at": "created_at", "last_used_at": "last_used_at"}
    default_order = ("created_at",)

    class Meta:
        model = Authenticator
        fields: list[str] = []
