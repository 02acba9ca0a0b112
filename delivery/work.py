"""Working one shard: the loop of ENGINE.md §2. At most WINDOW messages are in flight or unrecorded at any moment."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from campaigns.models import Campaign, Consent, Run
from campaigns.reasons import Reason
from campaigns.render import RenderError
from delivery import heartbeat, pace, record
from delivery.channels.base import CredentialsRefused, Outcome, ProviderUnreachable, Verdict
from delivery.channels.fcm import FcmSender
from delivery.compose import Composer, NotComposable, Recipient
from delivery.connections import drop_sender, sender_for
from delivery.leases import NOTHING, Lease, Window
from delivery.models import Message
from delivery.record import Result, stamp
from pushpilot.lib import wake
from tenants import audit
from tenants.models import Connection
from tenants.secrets import SecretUnreadable

logger = logging.getLogger(__name__)

WINDOW = 256
GROUP_LEAST = 64  # a transaction for fewer costs more than waiting for a few answers
POLL_SECS = 0.25
PATIENCE = timedelta(seconds=1)
CONTACT_COLUMNS = ("external_id", "language", "country", "time_zone", "attributes")
MAX_ATTEMPTS = 8  # 10 s, 20 s, … : about 40 minutes of 500s and 503s
CLEAN_WAIT_SECS = 10.0
UNREACHABLE_WAIT = timedelta(seconds=15)


@dataclass
class _Shift:
    """The state of one worker on one shard. Invariant: every id that was sent and has no written outcome is in
    `flying` or `finished`, and lies inside the window that the last fence wrote."""

    lease: Lease
    run: Run
    connection: Connection
    composer: Composer
    sender: FcmSender
    until: datetime
    todo: list[int]  # the waiting rows that this worker has not taken yet, the next one last
    flying: dict[int, Recipient] = field(default_factory=dict)
    finished: list[Result] = field(default_factory=list)
    gone: dict[int, str] = field(default_factory=dict)
    is_lost: bool = False  # the lease is another worker's: forget everything
    is_stopped: bool = False  # nothing new may be sent


def work_shard(lease: Lease, run: Run, until: datetime) -> None:
    """Send the shard's waiting rows until none is left, the slice ends or the run stops; then hand it back."""
    try:
        shift = _begin(lease, run, until)
    except (SecretUnreadable, ValueError, RenderError) as error:
        stop_run(run, f"The run cannot be sent: {error}")
        lease.release(done=False, not_before=timezone.now())
        return
    try:
        while not shift.is_lost:
            group = _advance(shift)
            if group:
                _send(shift, group)
            elif not shift.flying and not shift.finished and (shift.is_stopped or not shift.todo):
                break
            _collect(shift)
    except (OperationalError, InterfaceError):
        raise  # the lease runs out and another worker goes on
    except Exception as error:
        # Not again and again for every shard; what is in flight is settled when the lease has run out.
        logger.exception("run %s: shard %s failed", run.pk, lease.shard.pk)
        stop_run(run, f"Sending failed: {type(error).__name__}: {error}")
        return
    finally:
        if shift.flying:
            drop_sender(shift.sender)
    if not shift.is_lost:
        _hand_back(shift)


def _begin(lease: Lease, run: Run, until: datetime) -> _Shift:
    if run.connection is None:
        raise ValueError("its connection was deleted.")
    return _Shift(
        lease, run, run.connection, Composer(run, run.workspace.default_language), sender_for(run.connection),
        until, todo=record.waiting_ids(lease.shard)[::-1],
    )  # fmt: skip


def _advance(shift: _Shift) -> list[tuple[Recipient, bytes]]:
    """One transaction, if it is worth one: write what is finished, choose the next group, move the window over it.
    Returns what to send."""
    now = timezone.now()
    shift.is_stopped = shift.is_stopped or now >= shift.until
    room = 0 if shift.is_stopped else min(WINDOW - len(shift.flying), len(shift.todo))
    is_worth_it = (
        room >= min(GROUP_LEAST, len(shift.todo) or GROUP_LEAST)
        or len(shift.finished) >= GROUP_LEAST
        or (shift.finished and not shift.flying)
    )
    if not is_worth_it:
        return []
    heartbeat.beat()
    return _commit(shift, room, now)


def _commit(shift: _Shift, room: int, now: datetime) -> list[tuple[Recipient, bytes]]:
    """A transaction that the database could not take now (busy SQLite, a restart) is tried again for a while: what is
    in flight must be written down, or it becomes unknown."""
    for pause_secs in (0.2, 1.0, 3.0):
        try:
            return _try_commit(shift, room, now)
        except OperationalError:
            logger.warning("the database did not take a transaction; trying again", exc_info=True)
            shift.lease.is_stale = True
            connection.close()
            time.sleep(pause_secs)
    return _try_commit(shift, room, now)


def _try_commit(shift: _Shift, room: int, now: datetime) -> list[tuple[Recipient, bytes]]:
    with transaction.atomic():
        written = record.results(shift.finished)
        record.retire(shift.gone, now)
        granted = pace.take(shift.connection, room, now)
        group, skipped = _compose(shift, _rows(shift, shift.todo[-granted:] if granted else []))
        # At once, not with the next group: a row that is skipped lies inside the window but was never sent.
        written = record.add(written, record.results(skipped))
        if group and not shift.lease.fence(_window(shift, group), written):
            shift.is_stopped, group = True, []
        if not group and not shift.lease.keep(_window(shift, group), written):
            shift.is_lost = True
            transaction.set_rollback(True)
            return []
    if granted:
        del shift.todo[-granted:]
    shift.finished, shift.gone = [], {}
    return group


def _window(shift: _Shift, group: list[tuple[Recipient, bytes]]) -> Window:
    ids = [*shift.flying, *(recipient.message_id for recipient, _ in group)]
    return (min(ids), max(ids)) if ids else NOTHING


def _send(shift: _Shift, group: list[tuple[Recipient, bytes]]) -> None:
    shift.flying.update((recipient.message_id, recipient) for recipient, _ in group)
    try:
        shift.sender.send([(recipient.message_id, body) for recipient, body in group])
    except CredentialsRefused as error:
        _give_back(shift, group, timezone.now(), "CREDENTIALS_REFUSED")
        stop_run(shift.run, str(error))
        shift.is_stopped = True
    except ProviderUnreachable:
        due = timezone.now() + UNREACHABLE_WAIT
        _give_back(shift, group, due, "UNREACHABLE")
        pace.close(shift.connection, due)
        shift.is_stopped = True


def _give_back(shift: _Shift, group: list[tuple[Recipient, bytes]], due: datetime, code: str) -> None:
    """Nothing of the group left this machine: its rows wait again, no attempt is counted."""
    for recipient, _ in group:
        del shift.flying[recipient.message_id]
        shift.finished.append(Result(recipient.message_id, Reason.RETRY_SCHEDULED, due_at=stamp(due), error_code=code))


def _collect(shift: _Shift) -> None:
    """Wait for answers until a new group is worth a transaction."""
    idle = not shift.flying
    for outcome in shift.sender.poll(POLL_SECS) if not idle else []:
        recipient = shift.flying.pop(outcome.message_id)
        shift.finished.append(_result(shift, recipient, outcome, timezone.now()))
    if idle and not shift.finished and shift.todo and not shift.is_stopped:
        _wait_for_pace(shift)


def _wait_for_pace(shift: _Shift) -> None:
    now = timezone.now()
    wait = pace.opens_in(shift.connection, now)
    if now + wait >= shift.until:
        shift.is_stopped = True  # hand the shard back instead of sleeping on it
    elif wait > PATIENCE:
        shift.is_stopped = True  # others may have work for other connections
    elif wait:
        time.sleep(min(wait.total_seconds(), POLL_SECS))


def _rows(shift: _Shift, ids: list[int]) -> list[dict[str, Any]]:
    """These rows with their endpoint and contact as they are now: consent is checked again at dispatch.

    By ids that were read once per shard: with a range and a LIMIT instead, PostgreSQL joined all that was left of the
    shard before it sorted and cut (13 ms a group).
    """
    out = Consent.objects.filter(
        contact=OuterRef("contact_id"), channel=shift.run.campaign.channel, topic="", status=Consent.Status.OPTED_OUT
    )
    rows = Message.objects.filter(pk__in=ids, run=shift.run, reason=Reason.PENDING).order_by("pk")
    columns: QuerySet[Any, Any] = rows.annotate(unsubscribed=Exists(out)).values(
        "pk", "attempts", "contact_id", "endpoint_id", "unsubscribed", "endpoint__contact_id", "endpoint__kind",
        "endpoint__value", "endpoint__is_active", "endpoint__opted_in", "contact__external_id", "contact__language",
        "contact__country", "contact__time_zone", "contact__attributes",
    )  # fmt: skip
    return list(columns)


def _compose(shift: _Shift, rows: list[dict[str, Any]]) -> tuple[list[tuple[Recipient, bytes]], list[Result]]:
    """The rows that can be sent with their bodies, and the outcomes of those that cannot."""
    group, skipped = [], []
    for row in rows:
        try:
            recipient = _recipient(row)
            group.append((recipient, shift.composer.compose(recipient)))
        except NotComposable as stopped:
            skipped.append(Result(row["pk"], stopped.reason, error_code=stopped.code[:64]))
    return group, skipped


def _recipient(row: dict[str, Any]) -> Recipient:
    is_gone = row["endpoint__value"] is None or row["contact__external_id"] is None
    if is_gone or row["endpoint__contact_id"] != row["contact_id"]:  # deleted, or the device has a new owner
        raise NotComposable(Reason.LEFT_AUDIENCE, "deleted since the audience was fixed")
    if row["unsubscribed"]:
        raise NotComposable(Reason.UNSUBSCRIBED, "")
    if not row["endpoint__is_active"]:
        raise NotComposable(Reason.ENDPOINT_INACTIVE, "")
    if not row["endpoint__opted_in"]:
        raise NotComposable(Reason.NOT_OPTED_IN, "")
    contact = {name: row[f"contact__{name}"] for name in CONTACT_COLUMNS}
    return Recipient(
        row["pk"], row["endpoint_id"], row["endpoint__kind"], row["endpoint__value"], row["attempts"], contact
    )


def _result(shift: _Shift, recipient: Recipient, outcome: Outcome, now: datetime) -> Result:
    """What an outcome means for the row, and what else it demands."""
    code = outcome.code.replace("\x00", "")[:64]
    result = Result(recipient.message_id, Reason.REJECTED, attempted=1, attempted_at=stamp(now), error_code=code)
    match outcome.verdict:
        case Verdict.ACCEPTED:
            result.reason, result.error_code = Reason.ACCEPTED, ""
            result.provider_id = outcome.provider_id.rpartition("/")[2].replace("\x00", "")[:200]
        case Verdict.GONE:
            result.reason = Reason.ENDPOINT_GONE
            shift.gone[recipient.endpoint_id] = code
        case Verdict.AMBIGUOUS:
            is_resend = shift.run.ambiguity_policy == Run.AmbiguityPolicy.RESEND
            result.reason = Reason.RETRY_SCHEDULED if is_resend else Reason.UNKNOWN
            result.duplicate, result.due_at = (1, stamp(now)) if is_resend else (0, None)
        case Verdict.LATER | Verdict.MAYBE_LATER:
            _retry(shift, result, recipient, outcome, now)
        case Verdict.BROKEN | Verdict.PAYLOAD_WRONG:
            _stop(shift, result, outcome, now)
    return result


def _retry(shift: _Shift, result: Result, recipient: Recipient, outcome: Outcome, now: datetime) -> None:
    """Wait and try again. What certainly never arrived is no attempt; after MAX_ATTEMPTS possible arrivals, with
    doubled and jittered waits, the row is rejected with the provider's last code."""
    wait_secs = outcome.retry_after_secs or CLEAN_WAIT_SECS
    if outcome.verdict is Verdict.LATER:
        due = now + timedelta(seconds=wait_secs)
        pace.close(shift.connection, due)
        result.attempted = 0
    else:
        jitter = random.uniform(1.0, 1.3)  # noqa: S311 - spreads retries, hides nothing
        due = now + timedelta(seconds=wait_secs * 2**recipient.attempts * jitter)
        result.duplicate = 1
        if recipient.attempts + 1 >= MAX_ATTEMPTS:
            return
    result.reason, result.due_at = Reason.RETRY_SCHEDULED, stamp(due)


def _stop(shift: _Shift, result: Result, outcome: Outcome, now: datetime) -> None:
    """The connection or the content is wrong for everybody: pause, and say why."""
    if outcome.verdict is Verdict.BROKEN:  # not this message's fault: it goes out after the resume
        result.reason, result.due_at, result.attempted = Reason.RETRY_SCHEDULED, stamp(now), 0
    stop_run(shift.run, f"{outcome.code}: {outcome.detail}")
    shift.is_stopped = True


def stop_run(run: Run, why: str) -> None:
    """Pause a run for a cause; the owner reads it on the run page and resumes with one click."""
    paused = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(
        state=Run.State.PAUSED, epoch=F("epoch") + 1, last_error=why[:500]
    )
    if paused:
        Campaign.objects.filter(pk=run.campaign_id).update(status=Campaign.Status.PAUSED)
        audit.record(run.workspace, "campaign paused", run.campaign, by=None, detail={"run": run.pk, "why": why[:500]})


@transaction.atomic
def _hand_back(shift: _Shift) -> None:
    """Give the shard back: done if all its rows have an outcome, else open for the next slice or retry."""
    shard, now = shift.lease.shard, timezone.now()
    rows = Message.objects.filter(run=shift.run, pk__gte=shard.first_id, pk__lte=shard.last_id)
    again_at: datetime | None
    if shift.todo or rows.filter(reason=Reason.PENDING).exists():
        again_at = now + pace.opens_in(shift.connection, now)
    else:
        again_at = record.next_retry(shard)
    shift.lease.release(done=again_at is None, not_before=again_at or now)
    if again_at is not None and again_at > now:  # else whoever hands back goes on by itself
        wake.ring("work", at=again_at)
