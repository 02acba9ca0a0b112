"""How much public write keys may store for a workspace in a day: such a key stands in every app
and on every page.

The counter is a row per workspace and day. A process buys from it in blocks, so that a request
seldom touches the row; what a process bought and did not use is lost, at most half a per cent of
the day each.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from pushpilot.lib.display import percent, size
from pushpilot.lib.problems import Problem
from reports.models import StoredBytes
from tenants.models import Workspace
from tenants.scope import scope

MULTIPLES = {Workspace.Plan.FREE: 1, Workspace.Plan.PRO: 5, Workspace.Plan.ENTERPRISE: 25}
WARN_PERCENT = 80
_BLOCKS = 200
_ASK_AGAIN_SECS = 10.0  # how long a process remembers that a workspace's day is full


def day_of(now: datetime) -> date:
    """A day of UTC: it ends at the same moment for every workspace, whatever zone it moves to."""
    return now.astimezone(UTC).date()


def limit_bytes(plan: str) -> int:
    return int(settings.EVENT_MB_PER_DAY) * 1_000_000 * MULTIPLES[Workspace.Plan(plan)]


class Allowance:
    """What this process has bought and not used yet, per workspace."""

    def __init__(self) -> None:
        self._left: dict[int, tuple[date, int]] = {}
        self._full_until: dict[int, float] = {}
        self._lock = threading.Lock()

    def take(self, workspace_id: int, size: int, now: datetime) -> None:
        """Take so many bytes of the workspace's day. Raises Problem 429 if they are not there
        any more."""
        day = day_of(now)
        if self._use(workspace_id, day, size):
            return
        if self._full_until.get(workspace_id, 0) > time.monotonic():
            raise _full(now)
        bought = _buy(workspace_id, day, size)
        if not bought:
            self._full_until[workspace_id] = time.monotonic() + _ASK_AGAIN_SECS
            raise _full(now)
        self._use(workspace_id, day, size - bought)

    def _use(self, workspace_id: int, day: date, size: int) -> bool:
        with self._lock:
            of, left = self._left.get(workspace_id, (day, 0))
            left = (left if of == day else 0) - size
            if left >= 0:
                self._left[workspace_id] = (day, left)
            return left >= 0

    def forget(self) -> None:
        self._left.clear()
        self._full_until.clear()


def _buy(workspace_id: int, day: date, size: int) -> int:
    """The bytes bought: `size` and a block, else `size`, else 0."""
    workspace = Workspace.objects.get(pk=workspace_id)
    limit = limit_bytes(workspace.plan)
    with scope(workspace):
        rows = StoredBytes.objects.filter(workspace=workspace, day=day)
        StoredBytes.objects.bulk_create(
            [StoredBytes(workspace=workspace, day=day)], ignore_conflicts=True
        )
        for wanted in (size + limit // _BLOCKS, size):
            if rows.filter(bytes__lte=limit - wanted).update(bytes=F("bytes") + wanted):
                return wanted
    return 0


def _full(now: datetime) -> Problem:
    midnight = (now.astimezone(UTC) + timedelta(days=1)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    detail = _(
        "The public keys of this workspace have used up their storage for today. Send the events "
        "again tomorrow (UTC), or from your server with a secret key. The operator of this server "
        "can raise EVENT_MB_PER_DAY."
    )
    wait_secs = max(1, int((midnight - now).total_seconds()))
    return Problem(429, "storage_full", detail, headers={"Retry-After": str(wait_secs)})


def percent_used(workspace: Workspace, now: datetime) -> int:
    """How much of today's allowance is used; 100 means that public keys are refused."""
    row = StoredBytes.objects.filter(workspace=workspace, day=day_of(now)).first()
    if row:
        return percent_of(row.bytes, workspace)
    return 0


def percent_of(stored_bytes: int, workspace: Workspace) -> int:
    """So many stored bytes as a share of a day's allowance; more than all of it is 100, as after
    a lower limit."""
    return min(100, stored_bytes * 100 // limit_bytes(workspace.plan))


def notice(workspace: Workspace, now: datetime | None = None) -> str:
    """A warning for the people of the workspace from 80 per cent on; "" below."""
    used = percent_used(workspace, now or timezone.now())
    if used < WARN_PERCENT:
        return ""
    return _(
        "Public write keys have used %(share)s of the %(limit)s of events for today (UTC). When "
        "all of it is used, PushPilot refuses their events until midnight. If your app sends "
        "fewer events, rotate the key."
    ) % {"share": percent(used), "limit": size(limit_bytes(workspace.plan))}


allowance = Allowance()
