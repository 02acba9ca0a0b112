"""What a person decides after the engine has done its part: try the refused ones again, send or
close the unknown ones, try or give up a platform that is held, revive the devices that a run
retired.

Terminal rows change here and nowhere else, each time with an entry in the trail.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from campaigns.audience.reasons import Reason
from campaigns.contacts import endpoints
from campaigns.models import Campaign, Run
from delivery.engine import reach, record
from delivery.engine.record import Tally
from delivery.models import Reach, Shard
from pushpilot.lib import wake
from tenants import audit
from tenants.models import User
from tenants.workspaces import lock_if_open

State = Run.State
QUIET = (State.COMPLETED, State.PAUSED)
CLOSABLE = (*QUIET, State.CANCELLED, State.FAILED)


class NotNow(Exception):
    """The run is not in a state for this; the message tells the person why."""


def retry_failed(run: Run, *, by: User) -> int:
    """Let rejected recipients wait for another attempt; returns how many. Raises NotNow."""
    return _send_again(run, Reason.REJECTED, by, "refused messages sent again")


def resend_unknown(run: Run, *, by: User) -> int:
    """Let unknown recipients wait again, flagged as possible duplicates; returns how many.
    Raises NotNow."""
    return _send_again(run, Reason.UNKNOWN, by, "unknown messages sent again")


@transaction.atomic
def close_unknown(run: Run, *, by: User) -> int:
    """Close unknown recipients for good; returns how many. Raises NotNow."""
    locked = _locked(run, CLOSABLE)
    moved = record.reopen(locked, Reason.UNKNOWN, to=Reason.UNKNOWN_CLOSED)
    if not moved:
        raise NotNow(_("No recipient is unknown any more."))
    Run.objects.filter(pk=locked.pk).update(
        tally=_settled_elsewhere(locked) if locked.finished_at is None else record.tally(locked)
    )
    _note(run, "unknown messages closed", by, count=moved)
    return moved


@transaction.atomic
def try_held(run: Run, *, by: User) -> int:
    """Probe each held platform of the run now; returns how many recipients wait. Raises NotNow."""
    waiting = Shard.objects.filter(run=run, run__state=State.RUNNING, state=Shard.State.HELD)
    count = sum(record.add({}, *waiting.values_list("held", flat=True)).values())
    holds = Reach.objects.filter(connection=run.connection_id).exclude(held_since=None)
    if not count or not holds.update(probe_at=timezone.now()):
        raise NotNow(_("No recipient waits for a platform any more."))
    _note(run, "held platform tried again", by, count=count)
    wake.ring("tick")
    return count


@transaction.atomic
def close_held(run: Run, *, by: User) -> int:
    """Reject the recipients that wait for a held platform, so that the run can end. Returns how
    many. Raises NotNow."""
    Run.objects.select_for_update().get(pk=run.pk)
    waiting = Shard.objects.filter(
        run=run, run__state__in=(State.RUNNING, State.PAUSED), state=Shard.State.HELD
    )
    count = sum(reach.give_up(shard) for shard in waiting)
    if not count:
        raise NotNow(_("No recipient waits for a platform any more."))
    _note(run, "held recipients closed", by, count=count)
    wake.ring("tick")
    return count


def revive(run: Run, *, by: User) -> int:
    """The devices that the run retired are sent to again; those that registered again since, or
    were retired for another reason, stay as they are. Returns how many. Raises NotNow.

    Shard by shard, each committed, for at most endpoints.RETIRING: what is left then is for the
    next call.
    """
    with transaction.atomic():
        locked = _locked(run, CLOSABLE)
    found: Counter[str] = Counter()
    until, left = timezone.now() + endpoints.RETIRING, 0
    for shard in Shard.objects.filter(run=locked).select_related("run").order_by("pk"):
        if timezone.now() >= until:
            left = max(1, locked.retired - found.total())
            break
        found += record.revive(shard)
    Run.objects.filter(pk=run.pk).update(retired=left)
    if not found:
        raise NotNow(_("No device is still retired because of this send."))
    _note(run, "devices revived", by, count=found.total(), retired_for=dict(found))
    return found.total()


@transaction.atomic
def _send_again(run: Run, reason: Reason, by: User, action: str) -> int:
    locked = _locked(run, QUIET)
    moved = record.reopen(locked, reason, to=Reason.PENDING)
    if not moved:
        raise NotNow(_("No recipient is left to send to again."))
    changes: dict[str, Any] = {"tally": _settled_elsewhere(locked), "last_outcomes": ""}
    if locked.state == State.COMPLETED:
        # Whoever presses the button wants it sent now: an end that has passed would close it at
        # once.
        changes |= {
            "state": State.RUNNING,
            "epoch": F("epoch") + 1,
            "finished_at": None,
            "ends_at": None,
            "last_error": "",
            "connection": locked.connection_in_use(),
        }
        Campaign.objects.filter(pk=locked.campaign_id).update(status=Campaign.Status.RUNNING)
    Run.objects.filter(pk=locked.pk).update(**changes)
    _note(run, action, by, count=moved)
    wake.ring("work")
    return moved


def _note(run: Run, action: str, by: User, **detail: Any) -> None:
    audit.record(run.workspace, action, run.campaign, by=by, detail={"run": run.pk, **detail})


def _locked(run: Run, states: tuple[str, ...]) -> Run:
    """The run, locked and quiet. Raises NotNow."""
    if not lock_if_open(run.workspace):
        raise NotNow(_("The workspace is being deleted."))
    locked = Run.objects.select_for_update().get(pk=run.pk)
    if locked.state not in states or (locked.is_ended and locked.finished_at is None):
        raise NotNow(
            _("The state of this send is “%(state)s”. Pause the send, or wait until it has ended.")
            % {"state": locked.get_state_display()}
        )
    if Shard.objects.filter(run=locked, state=Shard.State.LEASED).exists():
        raise NotNow(_("PushPilot is still recording answers. Try again in a moment."))
    return locked


def _settled_elsewhere(run: Run) -> Tally:
    """What a run under way has as its own tally: all that is settled, but for what its shards
    have settled."""
    settled = record.add({}, *Shard.objects.filter(run=run).values_list("tally", flat=True))
    waiting = {reason.slug for reason in Reason if reason.is_waiting}
    counted = {slug: n for slug, n in record.tally(run).items() if slug not in waiting}
    return {slug: left for slug, n in counted.items() if (left := n - settled.get(slug, 0))}
