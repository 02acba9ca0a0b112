"""The operators' site around its pages: the sidebar, the home page, the way to one's own
workspaces."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django_q.models import Failure

import delivery.health
from campaigns.models import Run
from pushpilot import health
from pushpilot.lib.display import format_number, how_long
from pushpilot.lib.health import Status
from pushpilot.navigation import Page, drawn
from reports import across
from tenants.models import User, Workspace
from tenants.scope import every_workspace

MOST_WORKERS = 20


GROUPS: dict[str, tuple[Page, ...]] = {
    "Platform": (
        Page("Home", "monitor_heart", url="index"),
        Page("Users", "group", "tenants.user"),
        Page("Workspaces", "domain", "tenants.workspace"),
        Page("History", "history", "admin.logentry"),
    ),
    "Sign-in": (
        Page("Sessions", "devices", "usersessions.usersession"),
        Page("E-mail addresses", "mail", "account.emailaddress"),
        Page("Second steps", "shield_lock", "mfa.authenticator"),
        Page("Linked accounts", "link", "socialaccount.socialaccount"),
    ),
    "Queue": (
        Page("Workers", "manufacturing", "delivery.heartbeat"),
        Page("Waiting tasks", "hourglass_empty", "django_q.ormq"),
        Page("Failed tasks", "error", "django_q.failure"),
        Page("Finished tasks", "task_alt", "django_q.success"),
        Page("Recurring jobs", "event_repeat", "django_q.schedule"),
    ),
}


def link_of(page: Page) -> str:
    name = f"{page.model.replace('.', '_')}_changelist" if page.model else page.url
    return reverse(f"platform:{name}")


def pages() -> list[tuple[str, Page, str]]:
    """(group, page, link) in the order of the sidebar."""
    return [(group, page, link_of(page)) for group, listed in GROUPS.items() for page in listed]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    home = reverse("platform:index")
    failed = Failure.objects.filter(stopped__gte=timezone.now() - timedelta(days=1)).count()
    for group, page, link in pages():
        is_here = request.path == link if link == home else request.path.startswith(link)
        item: dict[str, Any] = {
            "title": page.title,
            "icon": page.icon,
            "link": link,
            "active": is_here,
        }
        if page.model == "django_q.failure" and failed:
            item |= {"badge": failed, "badge_variant": "danger"}
        groups.setdefault(group, []).append(item)
    return drawn(groups)


def stylesheet(request: HttpRequest) -> str:
    return static("tenants/platform.css")


def environment(request: HttpRequest) -> list[str]:
    """The chip that says where one is."""
    return ["Operators", "info"]


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    """An operator without a workspace has no console to go back to."""
    own = [{"title": "My workspaces", "link": "/"}] if request.user.workspaces() else []  # type: ignore[union-attr]
    return [
        *own,
        {"title": "Your profile", "link": "/accounts/profile/"},
        {"title": "Password and security", "link": "/accounts/2fa/"},
    ]


# --- home -----------------------------------------------------------------------------------------
def home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What an operator needs at a glance. Called by Unfold for the index page."""
    now = timezone.now()
    lines = health.report(now)
    worries = [line for line in lines.values() if line.status != Status.OK]
    return {
        **context,
        "lines": sorted(
            lines.values(), key=lambda line: list(Status).index(line.status), reverse=True
        ),
        "verdict": verdict(len(worries), health.worst(worries)),
        "figures": figures(now),
        "workers": [
            {
                "name": worker.name,
                "is_alive": worker.is_alive,
                "heard": f"{how_long(worker.age)} ago",
            }
            for worker in delivery.health.workers_seen(now)[:MOST_WORKERS]
        ],
        "version": health.version(),
    }


def verdict(worries: int, worst: Status) -> tuple[str, str]:
    """(tone, sentence)"""
    if not worries:
        return "ok", "Everything works."
    noun = "thing needs" if worries == 1 else "things need"
    return str(
        worst
    ), f"{worries} {noun} you." if worst == Status.BROKEN else f"It works; {worries} {noun} a look."


def figures(now: datetime) -> list[dict[str, str]]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    with every_workspace():
        active = Run.objects.filter(state__in=Run.ACTIVE_STATES).count()
        ahead = Run.objects.filter(
            state=Run.State.PLANNED, intended_at__lte=now + timedelta(days=1)
        ).count()
    seen = User.objects.filter(last_login__gte=now - across.RECENT, is_active=True).count()
    sent = across.messages_since(now - timedelta(days=7)).total()
    return [
        {
            "label": "Workspaces",
            "icon": "domain",
            "value": format_number(Workspace.objects.count()),
            "note": f"{format_number(across.sending_workspaces(now - across.RECENT))} sent in the "
            "last 30 days",
            "link": reverse("platform:tenants_workspace_changelist"),
        },
        {
            "label": "Users",
            "icon": "group",
            "value": format_number(User.objects.count()),
            "note": f"{format_number(seen)} signed in in the last 30 days",
            "link": reverse("platform:tenants_user_changelist"),
        },
        {
            "label": "Messages today",
            "icon": "send",
            "value": format_number(across.messages_since(midnight).total()),
            "note": f"{format_number(sent)} in 7 days (UTC)",
        },
        {
            "label": "Runs under way",
            "icon": "rocket_launch",
            "value": format_number(active),
            "note": f"{format_number(ahead)} planned in the next 24 h",
        },
    ]
