"""Device health: which devices a send still tries, which are silent, which are retired and why."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.utils import timezone

from campaigns.channels import registry
from campaigns.contacts import endpoints
from campaigns.contacts.endpoints import Health
from pushpilot.lib.display import counted, format_number, percent
from tenants import roles
from tenants.admin.base import WorkspaceAdmin, require

PLATFORM_ICONS = {
    "android": "android",
    "ios": "phone_iphone",
    "web": "language",
}


def page(admin: WorkspaceAdmin, request: HttpRequest) -> HttpResponse:
    """Counts every endpoint of the workspace."""
    workspace = require(request, roles.VIEW)
    rows = endpoints.health(workspace, timezone.now())
    total = _sum(rows)
    return admin.page(
        request,
        "campaigns/devices.html",
        "Device health",
        rows=[_drawn(row) for row in rows],
        total=_drawn(total),
        sentence=sentence(total),
        reasons=[(reason_words(reason), reason, n) for reason, n in total.retired.most_common()],
        retired=total.retired.total(),
        may_retire=roles.can(request.user, roles.EDIT, workspace),
    )


def retire(request: HttpRequest) -> HttpResponse:
    """Retire what was not seen for 270 days."""
    workspace = require(request, roles.EDIT)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    now = timezone.now()
    gone = endpoints.retire_stale(workspace, by=request.user, now=now)  # type: ignore[arg-type]
    if gone and endpoints.stale(workspace, now).exists():
        messages.warning(
            request,
            f"{counted(gone, 'device')} retired so far. There are more: press the button again.",
        )
    elif gone:
        messages.success(
            request,
            f"{counted(gone, 'device')} retired. Whoever opens the app again is reached again.",
        )
    else:
        messages.info(request, "Nothing to retire: every device was seen in the last 270 days.")
    return redirect("admin:campaigns_contact_devices")


def reason_words(code: str) -> str:
    """Why a device is retired, for people."""
    return endpoints.retired_words().get(code) or code or "No reason was written down"


def sentence(total: Health) -> str:
    """What the figures mean."""
    if not total.active:
        return "No device is in use: a message would reach nobody."
    silent, use = total.quiet + total.stale, counted(total.active, "device")
    if not silent:
        return (
            f"All {use} in use were seen in the last 30 days."
            if total.active > 1
            else "The only device is in use."
        )
    share = (
        "all"
        if silent == total.active
        else percent(100 * silent / total.active).replace("<", "less than")
    )
    has, them, they_make = (
        ("has", "it", "it makes") if silent == 1 else ("have", "them", "they make")
    )
    return (
        f"{format_number(silent)} of {use} in use ({share}) {has} been silent for 30 days: a "
        f"message to {them} may be accepted and "
        f"still be seen by nobody, so {they_make} open rates look worse than they are."
    )


def _sum(rows: list[Health]) -> Health:
    total = Health("", "")
    for row in rows:
        for name in ("fresh", "quiet", "stale", "opted_out"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
        total.retired += Counter(row.retired)
    return total


def _drawn(row: Health) -> dict[str, Any]:
    platform = dict(registry.platforms()).get(row.platform, "Unknown platform")
    return {
        "row": row,
        "channel": registry.label_of(row.channel),
        "platform": platform,
        "icon": PLATFORM_ICONS.get(row.platform, "devices"),
        "retired": row.retired.total(),
        "parts": [
            (name, getattr(row, name)) for name in ("fresh", "quiet", "stale") if getattr(row, name)
        ],
    }
