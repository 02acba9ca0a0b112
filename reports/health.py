"""What this layer can check of itself: events that were taken in are digested."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Count, Min, Q

from delivery.health import START_A_WORKER, speed_up
from pushpilot.lib.display import counted, format_number, how_long
from pushpilot.lib.health import Line, broken, ok, warning
from reports.allowance import WARN_PERCENT, day_of, limit_bytes, percent_of
from reports.models import InboxBatch, StoredBytes
from tenants.scope import every_workspace

SLOW, STUCK = timedelta(minutes=2), timedelta(minutes=15)


def events(now: datetime) -> Line:
    title = "Events"
    waits, aside = Q(attempts__lt=InboxBatch.MAX_ATTEMPTS), Q(attempts__gte=InboxBatch.MAX_ATTEMPTS)
    with every_workspace():
        found = InboxBatch.objects.aggregate(
            n=Count("pk", filter=waits),
            oldest=Min("received_at", filter=waits),
            aside=Count("pk", filter=aside),
        )
    age = now - found["oldest"] if found["n"] else timedelta()
    says = f"{counted(found['n'], 'batch', 'batches')} to digest, the oldest {how_long(age)} old."
    if age >= STUCK:
        return broken(title, f"{says} The figures stand still.", START_A_WORKER)
    if age >= SLOW:
        return warning(title, says, speed_up(now))
    if found["aside"]:
        return warning(
            title,
            f"{format_number(found['aside'])} that failed {InboxBatch.MAX_ATTEMPTS} times are set "
            f"aside and not counted.",
            "Read their cause in the worker's log; they are kept until somebody decides.",
        )
    return ok(title, says if found["n"] else "Every event taken in is counted.")


def storage(now: datetime) -> Line:
    title = "Event storage"
    with every_workspace():
        rows = StoredBytes.objects.filter(
            day=day_of(now), bytes__gte=limit_bytes("free") * WARN_PERCENT // 100
        )
        used = {
            row.workspace: percent_of(row.bytes, row.workspace)
            for row in rows.select_related("workspace")
        }
    near = [
        f"{workspace} ({percent} %)"
        for workspace, percent in used.items()
        if percent >= WARN_PERCENT
    ]
    if near:
        return warning(
            title,
            f"Public keys have nearly stored what they may today: {', '.join(sorted(near)[:10])}.",
            "Ask whether the events are theirs. Raise EVENT_MB_PER_DAY, or have the key rotated.",
        )
    return ok(title, "No workspace is near what its public keys may store in a day.")
