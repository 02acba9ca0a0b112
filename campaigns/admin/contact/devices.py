"""Device health: which devices a send still tries, which are silent, which are retired and why."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.channels import registry
from campaigns.contacts import endpoints
from campaigns.contacts.endpoints import Health
from pushpilot.lib.display import format_number, percent
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
        _("Device health"),
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
        words = ngettext(
            "%(count)s device is retired. More silent devices remain: choose “Retire” again.",
            "%(count)s devices are retired. More silent devices remain: choose “Retire” again.",
            gone,
        )
        messages.warning(request, words % {"count": format_number(gone)})
    elif gone:
        words = ngettext(
            "%(count)s device is retired. It is in use again as soon as its owner opens the app.",
            "%(count)s devices are retired. A device is in use again as soon as its owner opens "
            "the app.",
            gone,
        )
        messages.success(request, words % {"count": format_number(gone)})
    else:
        messages.info(request, _("Every device in use was seen in the last 270 days."))
    return redirect("admin:campaigns_contact_devices")


def reason_words(code: str) -> str:
    """Why a device is retired, for people."""
    return endpoints.retired_words().get(code) or code or _("No reason recorded")


def sentence(total: Health) -> str:
    """What the figures mean."""
    silent = total.quiet + total.stale
    if not total.active:
        return _("No device is in use, so no message can reach anybody.")
    if not silent:
        words = ngettext(
            "The only device in use was seen in the last 30 days.",
            "All %(count)s devices in use were seen in the last 30 days.",
            total.active,
        )
        return words % {"count": format_number(total.active)}
    effect = _(
        "The provider may accept a message to a silent device, but nobody sees the message. Silent "
        "devices lower the open rates."
    )
    return f"{_silent_words(silent, total.active)} {effect}"


def _silent_words(silent: int, active: int) -> str:
    if silent == active:
        words = ngettext(
            "The only device in use has been silent for 30 days.",
            "All %(count)s devices in use have been silent for 30 days.",
            active,
        )
        return words % {"count": format_number(active)}
    words = ngettext(
        "%(count)s of %(all)s devices in use (%(share)s) has been silent for 30 days.",
        "%(count)s of %(all)s devices in use (%(share)s) have been silent for 30 days.",
        silent,
    )
    return words % {
        "count": format_number(silent),
        "all": format_number(active),
        "share": percent(100 * silent / active),
    }


def _sum(rows: list[Health]) -> Health:
    total = Health("", "")
    for row in rows:
        for name in ("fresh", "quiet", "stale", "opted_out"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
        total.retired += Counter(row.retired)
    return total


def _drawn(row: Health) -> dict[str, Any]:
    platform = dict(registry.platforms()).get(row.platform, _("Unknown platform"))
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
