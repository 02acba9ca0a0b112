"""What the console's frame shows: navigation, switcher, palette, dashboard. Called by Unfold for every request."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static

from tenants.models import Workspace


def _workspace(request: HttpRequest) -> Workspace | None:
    return getattr(request, "workspace", None)


def site_header(request: HttpRequest) -> str:
    workspace = _workspace(request)
    return workspace.name if workspace else "PushPilot"


def site_subheader(request: HttpRequest) -> str:
    workspace = _workspace(request)
    return workspace.get_plan_display() if workspace else "Campaigns you can prove"


def workspace_switcher(request: HttpRequest) -> list[dict[str, Any]]:
    if not request.user.is_authenticated:
        return []
    own = request.user.workspaces()
    return [
        *({"icon": "rocket_launch", "title": w.name, "link": w.console_path} for w in own),
        {"icon": "add", "title": "New workspace", "link": "/?new"},
    ]


def environment(request: HttpRequest) -> list[str] | None:
    return None


def stylesheet(request: HttpRequest) -> str:
    return static("pushpilot/app.css")


def script(request: HttpRequest) -> str:
    return static("pushpilot/app.js")


def palette(request: HttpRequest, term: str) -> list[Any]:
    return []


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    return []


def tabs(request: HttpRequest) -> list[dict[str, Any]]:
    return []


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    return []


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    return context
