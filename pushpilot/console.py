"""What the console's frame shows: navigation, switcher, palette, dashboard. Called by Unfold for
every request."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _

import reports.dashboard
from campaigns.admin.campaign.list import status_tabs
from pushpilot.lib import words
from pushpilot.navigation import sidebar
from pushpilot.sites import console
from tenants.admin.people.members import people_tabs
from tenants.models import SANDBOX, Connection, Workspace


def _workspace(request: HttpRequest) -> Workspace | None:
    return getattr(request, "workspace", None)


def site_header(request: HttpRequest) -> str:
    workspace = _workspace(request)
    if workspace:
        return workspace.name
    return "PushPilot"


def site_subheader(request: HttpRequest) -> str:
    workspace = _workspace(request)
    if workspace:
        return "PushPilot"
    return _("Campaigns you can prove")


def workspace_switcher(request: HttpRequest) -> list[dict[str, Any]]:
    if not request.user.is_authenticated:
        return []
    here = _workspace(request)
    return [
        *(
            {
                "icon": "check" if own == here else "domain",
                "title": own.name,
                "link": own.console_path,
            }
            for own in request.user.workspaces()
        ),
        {"icon": "add", "title": _("New workspace"), "link": "/?new"},
    ]


def environment(request: HttpRequest) -> list[str] | None:
    """The chip that says that nothing reaches real phones: the active connection is a sandbox."""
    workspace = _workspace(request)
    if workspace is None:
        return None
    active = Connection.objects.filter(
        workspace=workspace, is_active=True, provider__endswith=SANDBOX
    )
    if active.exists():
        return [_("Sandbox"), "warning"]
    return None


def stylesheet(request: HttpRequest) -> str:
    return static("pushpilot/app.css")


def words_script(request: HttpRequest) -> str:
    return words.address()


def script(request: HttpRequest) -> str:
    return static("pushpilot/app.js")


def icon(request: HttpRequest) -> str:
    workspace = _workspace(request)
    if workspace is None or not workspace.logo_version:
        return static("pushpilot/logo.svg")
    return f"{reverse('admin:tenants_workspace_logo')}?v={workspace.logo_version}"


def favicon(request: HttpRequest) -> str:
    return static("pushpilot/favicon.svg")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    return sidebar(request, console)


def tabs(request: HttpRequest) -> list[dict[str, Any]]:
    return [*status_tabs(request), *people_tabs(request)]


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    links = [
        {"title": _("Your profile"), "link": "/accounts/profile/"},
        {"title": _("Password and security"), "link": "/accounts/2fa/"},
    ]
    if request.user.is_authenticated and request.user.is_superuser:
        links.append({"title": _("Platform"), "link": "/platform/"})
    return links


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    return {**context, "dashboard": reports.dashboard.build(request)}
