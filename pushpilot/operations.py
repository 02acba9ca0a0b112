"""The operators' site around its pages: the sidebar, the home page, the way to one's own
workspaces."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_q.models import Failure

import delivery.health
from campaigns.models import Run
from pushpilot import health
from pushpilot.lib.display import Words, age, format_number
from pushpilot.lib.health import Status
from pushpilot.navigation import Page, drawn
from reports import across
from tenants.models import User, Workspace
from tenants.scope import every_workspace

MOST_WORKERS = 20


GROUPS: tuple[tuple[Words, tuple[Page, ...]], ...] = (
    (
        gettext_lazy("Platform"),
        (
            Page(gettext_lazy("Home"), "monitor_heart", url="index"),
            Page(gettext_lazy("Users"), "group", "tenants.user"),
            Page(gettext_lazy("Workspaces"), "domain", "tenants.workspace"),
            Page(gettext_lazy("History"), "history", "admin.logentry"),
        ),
    ),
    (
        gettext_lazy("Sign-in"),
        (
            Page(gettext_lazy("Sessions"), "devices", "usersessions.usersession"),
            Page(gettext_lazy("E-mail addresses"), "mail", "account.emailaddress"),
            Page(gettext_lazy("Second steps"), "shield_lock", "mfa.authenticator"),
            Page(gettext_lazy("Linked accounts"), "link", "socialaccount.socialaccount"),
        ),
    ),
    (
        gettext_lazy("Queue"),
        (
            Page(gettext_lazy("Workers"), "manufacturing", "delivery.heartbeat"),
            Page(gettext_lazy("Waiting tasks"), "hourglass_empty", "django_q.ormq"),
            Page(gettext_lazy("Failed tasks"), "error", "django_q.failure"),
            Page(gettext_lazy("Finished tasks"), "task_alt", "django_q.success"),
            Page(gettext_lazy("Recurring jobs"), "event_repeat", "django_q.schedule"),
        ),
    ),
)


def link_of(page: Page) -> str:
    name = f"{page.model.replace('.', '_')}_changelist" if page.model else page.url
    return reverse(f"platform:{name}")


def pages() -> list[tuple[str, Page, str]]:
    """(group, page, link) in the order of the sidebar."""
    return [(str(group), page, link_of(page)) for group, listed in GROUPS for page in listed]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    home = reverse("platform:index")
    failed = Failure.objects.filter(stopped__gte=timezone.now() - timedelta(days=1)).count()
    for group, page, link in pages():
        is_here = request.path == link if link == home else request.path.startswith(link)
        item: dict[str, Any] = {
            "title": str(page.title),
            "icon": page.icon,
            "link": link,
            "active": is_here,
        }
        if page.model == "django_q.failure" and failed:
            item |= {"badge": failed, "badge_variant": "danger"}
        groups.setdefault(group, []).append(item)
    return drawn(groups)


def site_subheader(request: HttpRequest) -> str:
    return _("Platform")


def stylesheet(request: HttpRequest) -> str:
    return static("tenants/platform.css")


def environment(request: HttpRequest) -> list[str]:
    """The chip that says where one is."""
    return [_("Operators"), "info"]


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    """An operator without a workspace has no console to go back to."""
    own = [{"title": _("My workspaces"), "link": "/"}] if request.user.workspaces() else []  # type: ignore[union-attr]
    return [
        *own,
        {"title": _("Your profile"), "link": "/accounts/profile/"},
        {"title": _("Password and security"), "link": "/accounts/2fa/"},
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
                "heard": age(worker.age),
            }
            for worker in delivery.health.workers_seen(now)[:MOST_WORKERS]
        ],
        "version": health.version(),
    }


def verdict(worries: int, worst: Status) -> tuple[str, str]:
    """(tone, sentence)"""
    if not worries:
        return "ok", _("Everything works.")
    if worst == Status.BROKEN:
        words = ngettext("%(count)s thing needs you.", "%(count)s things need you.", worries)
    else:
        words = ngettext(
            "It works; %(count)s thing needs a look.",
            "It works; %(count)s things need a look.",
            worries,
        )
    return str(worst), words % {"count": format_number(worries)}


def figures(now: datetime) -> list[dict[str, str]]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    with every_workspace():
        active = Run.objects.filter(state__in=Run.ACTIVE_STATES).count()
        ahead = Run.objects.filter(
            state=Run.State.PLANNED, intended_at__lte=now + timedelta(days=1)
        ).count()
    seen = User.objects.filter(last_login__gte=now - across.RECENT, is_active=True).count()
    week = across.messages_since(now - timedelta(days=7)).total()
    sending = across.sending_workspaces(now - across.RECENT)
    sent = ngettext(
        "%(count)s workspace sent in the last 30 days",
        "%(count)s workspaces sent in the last 30 days",
        sending,
    )
    signed_in = ngettext(
        "%(count)s person signed in within the last 30 days",
        "%(count)s people signed in within the last 30 days",
        seen,
    )
    planned = ngettext(
        "%(count)s send is planned for the next 24 hours",
        "%(count)s sends are planned for the next 24 hours",
        ahead,
    )
    return [
        {
            "label": _("Workspaces"),
            "icon": "domain",
            "value": format_number(Workspace.objects.count()),
            "note": sent % {"count": format_number(sending)},
            "link": reverse("platform:tenants_workspace_changelist"),
        },
        {
            "label": _("Users"),
            "icon": "group",
            "value": format_number(User.objects.count()),
            "note": signed_in % {"count": format_number(seen)},
            "link": reverse("platform:tenants_user_changelist"),
        },
        {
            "label": _("Messages today"),
            "icon": "send",
            "value": format_number(across.messages_since(midnight).total()),
            "note": _("%(count)s in 7 days (UTC)") % {"count": format_number(week)},
        },
        {
            "label": _("Sends under way"),
            "icon": "rocket_launch",
            "value": format_number(active),
            "note": planned % {"count": format_number(ahead)},
        },
    ]
