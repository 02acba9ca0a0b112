"""What this layer can check of itself: events that were taken in are digested."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Count, Min, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from delivery.health import START_A_WORKER, speed_up
from pushpilot.lib.display import format_number, how_long, listed, percent
from pushpilot.lib.health import Line, broken, ok, waited, warning
from reports.allowance import WARN_PERCENT, day_of, limit_bytes, percent_of
from reports.models import InboxBatch, StoredBytes
from tenants.scope import every_workspace

SLOW, STUCK = timedelta(minutes=2), timedelta(minutes=15)


def events(now: datetime) -> Line:
    title = _("Events")
    waits, aside = Q(attempts__lt=InboxBatch.MAX_ATTEMPTS), Q(attempts__gte=InboxBatch.MAX_ATTEMPTS)
    with every_workspace():
        found = InboxBatch.objects.aggregate(
            n=Count("pk", filter=waits),
            oldest=Min("received_at", filter=waits),
            aside=Count("pk", filter=aside),
        )
    age = waited(found["oldest"], now)
    says = ngettext(
        "%(count)s batch waits for the digest. The oldest is %(age)s old.",
        "%(count)s batches wait for the digest. The oldest is %(age)s old.",
        found["n"],
    ) % {"count": format_number(found["n"]), "age": how_long(age)}
    if age >= STUCK:
        return broken(title, says, START_A_WORKER)
    if age >= SLOW:
        return warning(title, says, speed_up(now))
    if found["aside"]:
        words = ngettext(
            "%(count)s batch failed %(attempts)s times. It is set aside and not counted.",
            "%(count)s batches failed %(attempts)s times. They are set aside and not counted.",
            found["aside"],
        )
        named = {"count": format_number(found["aside"]), "attempts": InboxBatch.MAX_ATTEMPTS}
        return warning(
            title,
            words % named,
            _("Read the cause in the log of the worker. PushPilot keeps these batches."),
        )
    return ok(title, says if found["n"] else _("All received events are counted."))


def storage(now: datetime) -> Line:
    title = _("Event storage")
    with every_workspace():
        rows = StoredBytes.objects.filter(
            day=day_of(now), bytes__gte=limit_bytes("free") * WARN_PERCENT // 100
        )
        used = {
            row.workspace: percent_of(row.bytes, row.workspace)
            for row in rows.select_related("workspace")
        }
    near = sorted(
        _("%(workspace)s (%(percent)s)") % {"workspace": workspace, "percent": percent(share)}
        for workspace, share in used.items()
        if share >= WARN_PERCENT
    )
    if near:
        says = _("Public keys have used most of their storage for today: %(workspaces)s.")
        return warning(
            title,
            says % {"workspaces": listed(near[:10])},
            _(
                "Ask the owners whether the events are theirs. Raise EVENT_MB_PER_DAY, or let the "
                "owners rotate the key."
            ),
        )
    return ok(title, _("Public keys of every workspace have storage left for today."))
