"""The operators' pages of this layer: users, workspaces, how people sign in, and what operators
did. They show figures and people, never what a workspace holds: no contact, message or campaign
text."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import models

from tenants.admin.platform.accounts import (
    AuthenticatorPage,
    EmailAddressPage,
    SessionPage,
    SocialAccountPage,
)
from tenants.admin.platform.base import PlatformAdmin
from tenants.admin.platform.history import HistoryPage
from tenants.admin.platform.users import UserPage
from tenants.admin.platform.workspaces import FIGURES, Figure, WorkspacePage
from tenants.models import User, Workspace

__all__ = ["FIGURES", "PLATFORM_PAGES", "WITHOUT_PAGE", "Figure"]

PLATFORM_PAGES: dict[type[models.Model], type[PlatformAdmin]] = {
    User: UserPage,
    Workspace: WorkspacePage,
    EmailAddress: EmailAddressPage,
    SocialAccount: SocialAccountPage,
    Authenticator: AuthenticatorPage,
    UserSession: SessionPage,
    LogEntry: HistoryPage,
}

# Third-party pages that nobody gets, and why.
WITHOUT_PAGE: dict[Any, str] = {
    Group: "rights come from a workspace's roles alone; a group would grant nothing",
    SocialApp: "providers are configured by environment variables; the page shows their secrets",
    SocialToken: "nothing but tokens",
}
