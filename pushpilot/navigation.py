"""The sidebar of the console: its pages, their headings and who sees them.

Pages of models appear once their app registers them on the site, for the roles that may view them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy

from campaigns.models import Campaign
from pushpilot.lib.compat.django import pages_of
from pushpilot.lib.display import Words
from tenants import roles
from tenants.models import Workspace

# Shown as the badge of Campaigns: what is going out or will.
UNDER_WAY = (Campaign.Status.SCHEDULED, Campaign.Status.RUNNING)


@dataclass(frozen=True, slots=True)
class Page:
    """`model` is the label of a registered model; a page without one names its URL and the
    capability it needs."""

    title: Words
    icon: str
    model: str = ""
    url: str = ""
    capability: str = roles.VIEW


GROUPS: tuple[tuple[Words, tuple[Page, ...]], ...] = (
    (
        gettext_lazy("Engage"),
        (
            Page(gettext_lazy("Home"), "home", url="index"),
            Page(gettext_lazy("Campaigns"), "campaign", model="campaigns.campaign"),
            Page(gettext_lazy("Templates"), "dashboard_customize", model="campaigns.template"),
        ),
    ),
    (
        gettext_lazy("Audience"),
        (
            Page(gettext_lazy("Contacts"), "group", model="campaigns.contact"),
            Page(gettext_lazy("Device health"), "devices", url="campaigns_contact_devices"),
        ),
    ),
    (
        gettext_lazy("Delivery"),
        (
            Page(gettext_lazy("Sends"), "send", model="campaigns.run"),
            Page(gettext_lazy("Phone wall"), "smartphone", url="phone_wall"),
            Page(gettext_lazy("Events"), "bolt", model="reports.event"),
        ),
    ),
    (
        gettext_lazy("Settings"),
        (
            Page(gettext_lazy("Connections"), "cable", model="tenants.connection"),
            Page(gettext_lazy("API keys"), "key", model="tenants.apikey"),
            Page(gettext_lazy("Members"), "badge", model="tenants.membership"),
            Page(gettext_lazy("Audit trail"), "history", model="tenants.auditentry"),
            Page(gettext_lazy("Workspace"), "tune", model="tenants.workspace"),
        ),
    ),
)


def link_of(page: Page, request: HttpRequest, site: AdminSite) -> str:
    """The page's address; "" if it does not exist (yet) or the user may not view it."""
    workspace: Workspace | None = getattr(request, "workspace", None)
    if workspace is None:
        return ""
    if page.model:
        admins = {model._meta.label_lower: admin for model, admin in pages_of(site).items()}
        admin = admins.get(page.model)
        if admin is None or not admin.has_module_permission(request):
            return ""
        return reverse(f"{site.name}:{page.model.replace('.', '_')}_changelist")
    if not roles.can(request.user, page.capability, workspace):
        return ""
    try:
        return reverse(f"{site.name}:{page.url}")
    except NoReverseMatch:
        return ""


def pages(request: HttpRequest, site: AdminSite) -> list[tuple[str, Page, str]]:
    """(group, page, link) of everything that the user may open, in the order of the sidebar."""
    found = [
        (str(group), page, link_of(page, request, site))
        for group, listed in GROUPS
        for page in listed
    ]
    return [entry for entry in found if entry[2]]


def campaigns_under_way(workspace: Workspace) -> int:
    return Campaign.objects.filter(workspace=workspace, status__in=UNDER_WAY).count()


def sidebar(request: HttpRequest, site: AdminSite) -> list[dict[str, Any]]:
    """What Unfold draws: groups of items, each with its icon, link and whether it is the page
    shown now."""
    groups: dict[str, list[dict[str, Any]]] = {}
    shown = pages(request, site)
    # The longest that fits: the phone wall lies under the runs, everything under home.
    here = max((link for _, _, link in shown if request.path.startswith(link)), key=len, default="")
    if here == reverse(f"{site.name}:index") != request.path:
        here = ""
    for group, page, link in shown:
        item: dict[str, Any] = {
            "title": str(page.title),
            "icon": page.icon,
            "link": link,
            "active": link == here,
        }
        if page.model == "campaigns.campaign":
            under_way = campaigns_under_way(request.workspace)  # type: ignore[attr-defined]
            if under_way:
                item |= {"badge": under_way, "badge_variant": "primary"}
        groups.setdefault(group, []).append(item)
    return drawn(groups)


def drawn(groups: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """{heading: items} as Unfold takes its sidebar, with a line between groups."""
    return [
        {"title": title, "separator": number > 0, "collapsible": False, "items": items}
        for number, (title, items) in enumerate(groups.items())
    ]
