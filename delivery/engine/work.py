"""Working one shard: the loop of ENGINE.md §2. At most WINDOW messages are in flight or unrecorded at any moment."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.channels.render import RenderError
from campaigns.models import AmbiguityPolicy, Run
from delivery.connections import drop_sender, sender_for
from delivery.engine import dispatch, heartbeat, pace, reach, record, statements
from delivery.engine.breaker import HANDFUL, Breaker
from delivery.engine.compose import Composer, Recipient
from delivery.engine.dispatch import Group
from delivery.engine.leases import NOTHING, Lease, Window
from delivery.engine.record import Result
from delivery.engine.statements import stamp
from delivery.models import Reach
from delivery.providers.base import CredentialsRefused, Outcome, ProviderUnreachable, Verdict
from delivery.providers.fcm import REMEDIES, FcmSender
from pushpilot.lib import wake
from tenants.models import Connection
from tenants.secrets import SecretUnreadable

logger = logging.getLogger(__name__)

WINDOW = 256
GROUP_LEAST = 128  # a transaction for fewer costs more than waiting for a few answers
POLL_SECS = 0.25
PATIENCE_SECS = 0.25
BREATH = timedelta(milliseconds=50)  # a limited pace gives a few tokens at a time; not each is worth a transaction
FRESH = timedelta(seconds=5)
MAX_RETRIES = 8  # 10 s, 20 s, … 640 s: about 25 minutes of 500s and 503s
CLEAN_WAIT_SECS = 10.0
JITTER = (1.0, 1.3)  # of a wait
UNREACHABLE_WAIT = timedelta(seconds=15)
TOO_FAST = frozenset({"QUOTA_EXCEEDED", "HTTP_429", "RESOURCE_EXHAUSTED"})
TROUBLE_WAIT = timedelta(seconds=30)  # a provider that answers with errors gets a break, then a few tries
BREAKS_APART = timedelta(seconds=1)  # answers of one burst ask for one break
ANSWER_SECS = 20.0  # longer than the transport waits for an answer
# Tried again for about as long as the lease lasts: after it another worker has taken over.
DATABASE_PAUSES_SECS = (0.2, 1.0, 3.0, 5.0, 8.0)
DATABASE_GONE = (OperationalError, InterfaceError)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
SHARD_WORTH = 10_000  # a shard that waits for its pace is taken again when a second's worth may go, if it is less


@dataclass
class _Shift:
    """The state of one worker on one shard. Invariant: every id that was sent and has no written outcome is in
    `flying` or `finished`, and lies inside the window that the last fence wrote.

    What outcomes demand of the run and of the connection is written with them: a database that hiccups in between
    would cost them all.
    """

    lease: Lease
    run: Run
    connection: Connection
    composer: Composer
    sender: FcmSender
    until: datetime
    todo: list[int]  # the waiting rows that this worker has not taken yet, the next one last
    breaker: Breaker
    ready: Group = field(default_factory=list)  # composed at `ready_at`, in no window yet
    skipped: list[Result] = field(default_factory=list)  # who cannot get this text; another text may do
    ready_at: datetime = LONG_AGO
    paced_until: datetime = LONG_AGO
    flying: dict[int, Recipient] = field(default_factory=dict)
    finished: list[Result] = field(default_factory=list)
    gone: dict[int, tuple[str, str]] = field(default_factory=dict)  # endpoint → its platform and the provider's code
    proven: set[str] = field(default_factory=set)  # platforms of which a device was accepted, see Reach
    held: dict[str, Reach] = field(default_factory=dict)  # platforms that nothing is sent to now
    faults: Counter[str] = field(default_factory=Counter)  # of a platform's push service, since its last success
    news: dict[str, Outcome | None] = field(default_factory=dict)  # for delivery.engine.reach
    is_held: bool = False
    held_because: str = ""  # the run is to be paused, for everybody
    tripped: str = ""  # the breaker's cause for that
    break_until: datetime | None = None  # the connection is to be closed until then
    is_throttled: bool = False
    broken_until: datetime = LONG_AGO  # the last break that was written
    is_lost: bool = False  # the lease is another worker's: forget everything
    is_stopped: bool = False  # nothing new may be sent

    @property
    def unwritten(self) -> int:
        return len(self.finished) + len(self.skipped)

    @property
    def is_urgent(self) -> bool:
        """Whether other workers should know at once."""
        return bool(self.held_because or self.break_until)

    def hold(self, why: str, tripped: str = "") -> None:
        """Pause the run; the first cause counts."""
        if not self.is_held:
            self.is_held, self.held_because, self.tripped = True, record.plain(why, 500), tripped
        self.is_stopped = True

    def ask_for_break(self, until: datetime, *, is_throttled: bool = False) -> None:
        """Nothing goes over the connection before `until`."""
        if until - self.broken_until >= BREAKS_APART:
            self.break_until = max(until, self.break_until or until)
            self.is_throttled |= is_throttled


def work_shard(lease: Lease, run: Run, until: datetime) -> None:
    """Send the shard's waiting rows until none is left, the slice ends or the run stops; then hand it back."""
    try:
        shift = _begin(lease, run, until)
    except (SecretUnreadable, ValueError, RenderError) as error:
        plan.hold(run, f"The run cannot be sent: {error}")
        lease.release(done=False, not_before=timezone.now())
        return
    try:
        _go_on(shift)
    except DATABASE_GONE:
        raise  # the lease runs out and another worker goes on
    except Exception as error:
        logger.exception("run %s: shard %s failed", run.pk, lease.shard.pk)
        _stop_short(shift, f"Sending failed: {type(error).__name__}: {error}")
    finally:
        if shift.flying:
            drop_sender(shift.sender)
    if not shift.is_lost:
        _retire(shift)
        _hand_back(shift)


def _go_on(shift: _Shift) -> None:
    while not shift.is_lost:
        group = _advance(shift)
        if group:
            _send(shift, group)
        elif not (shift.flying or shift.unwritten or shift.is_urgent) and (
            shift.is_stopped or not (shift.ready or shift.todo)
        ):
            return
        _collect(shift)
        if shift.flying and not shift.sender.in_flight:
            raise RuntimeError(f"the client knows nothing of {len(shift.flying)} messages that it was given")


def _stop_short(shift: _Shift, why: str) -> None:
    """Not again and again for every shard: pause the run. What is in flight is still waited for and written down; what
    nobody carries any more becomes unknown when the lease ends."""
    shift.hold(why)
    until = time.monotonic() + ANSWER_SECS
    try:
        while shift.sender.in_flight and time.monotonic() < until and not shift.is_lost:
            _advance(shift)
            _collect(shift)
        if not shift.is_lost:
            _commit(shift, 0, timezone.now())
    except DATABASE_GONE:
        raise
    except Exception:
        logger.exception("run %s: its answers could not be written down", shift.run.pk)
        plan.hold(shift.run, why)
        shift.is_lost = True
    shift.is_lost |= bool(shift.flying)


def _begin(lease: Lease, run: Run, until: datetime) -> _Shift:
    if run.connection is None:
        raise ValueError("no connection is in use.")
    if not run.connection.is_active:
        raise ValueError("its connection is switched off.")
    composer = Composer(run, run.workspace.default_language, run.workspace.zone)
    sender = sender_for(run.connection)
    known = reach.of(run.connection)
    held = {platform: one for platform, one in known.items() if one.held_since}
    proven = {platform for platform, one in known.items() if one.proven_at}
    if lease.shard.held:
        record.wake_deferred(lease.shard, held)
    todo = record.waiting_ids(lease.shard)[::-1]
    breaker = Breaker(run.waived, run.last_outcomes, is_proven=bool(proven))
    return _Shift(lease, run, run.connection, composer, sender, until, todo, breaker, held=held, proven=proven)


def _advance(shift: _Shift) -> Group:
    """One transaction, if it is worth one: write what is finished, choose the next group, move the window over it.
    Returns what to send."""
    now = timezone.now()
    shift.is_stopped = shift.is_stopped or now >= shift.until or heartbeat.is_stopping()
    left = len(shift.ready) + len(shift.todo)
    is_held = shift.is_stopped or (now < shift.paced_until and shift.flying)
    room = 0 if is_held else min(WINDOW - len(shift.flying), left)
    is_worth_it = (
        room >= min(GROUP_LEAST, left or GROUP_LEAST)
        or shift.unwritten >= GROUP_LEAST
        or (shift.unwritten and not shift.flying)
        or shift.is_urgent
    )
    if not is_worth_it:
        return []
    heartbeat.beat()
    return _commit(shift, room, now)


def _make_ready(shift: _Shift, room: int, now: datetime) -> None:
    """Compose the next messages outside of any transaction: a heavy template must not hold locks."""
    if shift.ready and now - shift.ready_at > FRESH:  # consent may have changed since
        shift.todo += [recipient.message_id for recipient, _ in reversed(shift.ready)]
        shift.ready = []
    if len(shift.ready) >= room:
        return
    shift.ready_at = shift.ready_at if shift.ready else now
    taken = shift.todo[-(room - len(shift.ready)) :][::-1]
    group, skipped, left = dispatch.compose(shift.run, shift.composer, taken, shift.held)
    shift.todo = shift.todo[: -len(taken)] + left[::-1]
    shift.ready += group
    shift.skipped += skipped


def _commit(shift: _Shift, room: int, now: datetime) -> Group:
    """What the database could not take now (busy SQLite, a restart, a deadlock) is tried again for a while: what is in
    flight must be written down, or it becomes unknown."""
    for pause_secs in DATABASE_PAUSES_SECS:
        try:
            _make_ready(shift, room, now)
            return _try_commit(shift, room, now)
        except DATABASE_GONE:
            logger.warning("the database did not take a transaction; trying again", exc_info=True)
            shift.lease.is_stale = True
            connection.close()
            _bridge(shift, pause_secs)
            now = timezone.now()
    return _try_commit(shift, room, now)


def _bridge(shift: _Shift, secs: float) -> None:
    """Wait, and take answers meanwhile: libcurl looks at its clock before it reads, so one that has lain there for too
    long is a time-out to it."""
    until = time.monotonic() + secs
    while (left_secs := until - time.monotonic()) > 0:
        if shift.sender.in_flight:
            _take_answers(shift, left_secs)
        else:
            time.sleep(left_secs)


def _try_commit(shift: _Shift, room: int, now: datetime) -> Group:
    with statements.by_index():
        if shift.news:
            reach.learn(shift.connection, shift.news, now)
        if shift.held_because:
            plan.hold(shift.run, shift.held_because, tripped=shift.tripped, epoch=shift.lease.epoch)
        if shift.skipped and not shift.lease.is_current():
            shift.is_stopped, shift.skipped = True, []
        written = record.results([*shift.finished, *shift.skipped], shift.composer.revision)
        if shift.break_until:
            pace.close(shift.connection, shift.break_until, now, is_throttled=shift.is_throttled)
        granted = pace.take(shift.run, shift.connection, min(room, len(shift.ready)), now)
        group = shift.ready[:granted]
        if group and not shift.lease.fence(_window(shift, group), written):
            shift.is_stopped, group = True, []
        if not group and not shift.lease.keep(_window(shift, group), written):
            shift.is_lost = True
            transaction.set_rollback(True)
            return []
    if granted < min(room, len(shift.ready)):
        shift.paced_until = now + BREATH
    shift.ready = shift.ready[len(group) :]
    shift.finished, shift.skipped, shift.news, shift.held_because = [], [], {}, ""
    shift.broken_until = shift.break_until or shift.broken_until
    shift.break_until, shift.is_throttled = None, False
    return group


def _window(shift: _Shift, group: Group) -> Window:
    ids = [*shift.flying, *(recipient.message_id for recipient, _ in group)]
    return (min(ids), max(ids)) if ids else NOTHING


def _send(shift: _Shift, group: Group) -> None:
    shift.flying.update((recipient.message_id, recipient) for recipient, _ in group)
    try:
        shift.sender.send([(recipient.message_id, body) for recipient, body in group])
    except CredentialsRefused as error:
        _give_back(shift, group, timezone.now(), "CREDENTIALS_REFUSED")
        shift.hold(str(error))
    except ProviderUnreachable:
        now = timezone.now()
        _give_back(shift, group, now + UNREACHABLE_WAIT, "UNREACHABLE")
        shift.ask_for_break(now + UNREACHABLE_WAIT)
        shift.is_stopped = True


def _give_back(shift: _Shift, group: Group, due: datetime, code: str) -> None:
    """Nothing of the group left this machine: its rows wait again, no attempt is counted."""
    for recipient, _ in group:
        del shift.flying[recipient.message_id]
        shift.finished.append(Result(recipient.message_id, Reason.RETRY_SCHEDULED, due_at=stamp(due), error_code=code))


def _collect(shift: _Shift) -> None:
    """Wait for answers until a new group is worth a transaction."""
    if shift.flying:
        _take_answers(shift, POLL_SECS)
    elif not shift.unwritten and not shift.is_stopped and (shift.ready or shift.todo):
        _wait_for_pace(shift)


def _take_answers(shift: _Shift, wait_secs: float) -> None:
    answered = shift.sender.poll(wait_secs)
    now = timezone.now()
    at = stamp(now)
    for outcome in answered:
        shift.finished.append(_result(shift, shift.flying[outcome.message_id], outcome, now, at))
        del shift.flying[outcome.message_id]  # not before its result is there: the window is over both


def _wait_for_pace(shift: _Shift) -> None:
    """A moment is slept; for more the shard is handed back, so that a slow connection holds up nobody else."""
    now = timezone.now()
    held = pace.hold(shift.run, shift.connection, WINDOW, now)
    if held is None:
        return
    wait_secs = (held.until - now).total_seconds()
    if wait_secs > PATIENCE_SECS or held.until >= shift.until:
        shift.is_stopped = True
    else:
        time.sleep(wait_secs)


def _result(shift: _Shift, recipient: Recipient, outcome: Outcome, now: datetime, at: str) -> Result:
    """What an outcome means for the row, and what else it demands. `at` is `now` as it is written down."""
    result = Result(recipient.message_id, Reason.REJECTED, attempted=1, attempted_at=at)
    if outcome.verdict is Verdict.ACCEPTED:
        result.reason = Reason.ACCEPTED
        result.provider_id = record.plain(outcome.provider_id.rpartition("/")[2], 200)
        _prove(shift, recipient)
        shift.breaker.note(outcome)
        return result
    result.error_code = record.plain(outcome.code, 64)
    match outcome.verdict:
        case Verdict.GONE:
            result.reason = Reason.ENDPOINT_GONE
            if recipient.endpoint_id is not None:
                shift.gone[recipient.endpoint_id] = recipient.platform, result.error_code
        case Verdict.AMBIGUOUS:
            result.reason = Reason.UNKNOWN
            is_resend = shift.run.ambiguity_policy == AmbiguityPolicy.RESEND
            if is_resend and recipient.duplicates < record.MOST_COPIES:
                _retry(shift, result, recipient, outcome, now)
        case Verdict.LATER | Verdict.MAYBE_LATER:
            _retry(shift, result, recipient, outcome, now)
        case Verdict.BROKEN | Verdict.PAYLOAD_WRONG:
            _stop(shift, result, outcome, at)
        case Verdict.PLATFORM_BROKEN:
            _hold_platform(shift, recipient, result, outcome)
    # What is deferred waits for its platform, whoever's fault that is: it is no outcome yet.
    cause = "" if result.reason == Reason.DEFERRED else shift.breaker.note(outcome)
    if cause:
        shift.hold(shift.breaker.sentence(cause), cause)
    elif outcome.verdict is Verdict.MAYBE_LATER and shift.breaker.is_in_trouble:
        asked = timedelta(seconds=outcome.retry_after_secs or 0)
        shift.ask_for_break(now + max(TROUBLE_WAIT, asked))
    return result


def _retry(shift: _Shift, result: Result, recipient: Recipient, outcome: Outcome, now: datetime) -> None:
    """Wait and try again. What certainly never arrived is no attempt; after MAX_RETRIES possible arrivals, with
    doubled and jittered waits, the row is rejected with the provider's last code."""
    wait_secs = outcome.retry_after_secs or CLEAN_WAIT_SECS
    if outcome.verdict is Verdict.LATER:
        due = now + min(timedelta(seconds=wait_secs), pace.LONGEST_BREAK)
        shift.ask_for_break(due, is_throttled=outcome.code in TOO_FAST)
        result.attempted = 0
    else:
        jitter = random.uniform(*JITTER)  # noqa: S311 - spreads retries, hides nothing
        wait_secs = max(wait_secs, CLEAN_WAIT_SECS * 2**recipient.retries)
        due = now + min(timedelta(seconds=wait_secs * jitter), pace.LONGEST_BREAK)
        result.duplicate = result.retried = 1
        if recipient.retries + 1 >= MAX_RETRIES:
            return
    result.reason, result.due_at = Reason.RETRY_SCHEDULED, stamp(due)


def _stop(shift: _Shift, result: Result, outcome: Outcome, at: str) -> None:
    """The connection or the content is wrong for everybody: pause, and say why."""
    if outcome.verdict is Verdict.BROKEN:  # not this message's fault: it goes out after the resume
        result.reason, result.due_at, result.attempted = Reason.RETRY_SCHEDULED, at, 0
    shift.hold(f"{outcome.code}: {outcome.detail}")


def _prove(shift: _Shift, recipient: Recipient) -> None:
    """A message to a device was accepted: the account is the right one, and its platform is reached."""
    platform = recipient.platform
    if shift.faults:
        del shift.faults[platform]
    if recipient.endpoint_id is not None and (platform not in shift.proven or platform in shift.held):
        shift.proven.add(platform)
        shift.held.pop(platform, None)
        shift.breaker.is_proven = True
        shift.news[platform] = None


def _hold_platform(shift: _Shift, recipient: Recipient, result: Result, outcome: Outcome) -> None:
    """The platform's push service refuses the provider. Unless other devices of the platform were accepted, all of them
    wait; else only a HANDFUL in a row says more than that this one app has no key."""
    platform = recipient.platform
    if platform not in REMEDIES:
        return
    shift.faults[platform] += 1
    is_known = platform in shift.held
    if not is_known and platform in shift.proven and shift.faults[platform] < HANDFUL:
        return
    if not is_known:
        shift.held[platform] = Reach(platform=platform, code=result.error_code)
        shift.news[platform] = outcome
    result.reason, result.attempted = Reason.DEFERRED, 0


@transaction.atomic
def _retire(shift: _Shift) -> None:
    """Retire the devices that are gone, where others of their platform were accepted with these credentials: otherwise
    the fault may be ours. Nor if the run was paused because there are too many of them."""
    proven = reach.proven(shift.connection) if shift.gone else set()
    gone = {endpoint: code for endpoint, (platform, code) in shift.gone.items() if platform in proven}
    if not gone or Run.objects.filter(pk=shift.run.pk, tripped="gone").exists():
        return
    if retired := record.retire(gone, timezone.now()):
        Run.objects.filter(pk=shift.run.pk).update(retired=F("retired") + retired)


@transaction.atomic
def _hand_back(shift: _Shift) -> None:
    """Give the shard back: done if all its rows have an outcome, else open for the next slice or retry."""
    shard, now = shift.lease.shard, timezone.now()
    shift.lease.count_held(now + reach.HELD_MOST)
    if shift.breaker.memory != shift.run.last_outcomes:  # not over what a resume has forgotten
        Run.objects.filter(pk=shift.run.pk, epoch=shift.lease.epoch).update(last_outcomes=shift.breaker.memory)
    again_at: datetime | None
    if shift.ready or shift.todo or record.waits(shard):
        held = pace.hold(shift.run, shift.connection, SHARD_WORTH, now)
        again_at = held.until if held else now
    else:
        again_at = record.next_retry(shard)
    shift.lease.release(done=again_at is None, not_before=again_at or now)
    if not shift.held.keys() >= shard.held.keys():  # a platform that has come back meanwhile
        wake.ring("tick")
    if again_at is not None and again_at > now:  # else whoever hands back goes on by itself
        wake.ring("work", at=again_at)
