"""Works one shard: the loop of docs/engine.md. At most WINDOW messages are in flight or
unrecorded at any moment."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.channels.render import RenderError
from campaigns.models import Run
from delivery.connections import drop_sender, sender_for
from delivery.engine import direct, heartbeat, pace, reach, record, statements
from delivery.engine.answers import Answer, answer
from delivery.engine.compose import Composer, Composes, Recipient
from delivery.engine.direct import DirectComposer
from delivery.engine.dispatch import Group, batches
from delivery.engine.leases import NOTHING, Lease, Window
from delivery.engine.outcomes import LONG_AGO, OutcomeReader
from delivery.engine.record import Result
from delivery.engine.statements import stamp
from delivery.engine.supply import Supply
from delivery.providers.base import CredentialsRefused, ProviderUnreachable, Verdict
from delivery.providers.registry import provider_of
from pushpilot.lib import wake
from tenants.secrets import SecretUnreadable

logger = logging.getLogger(__name__)

WINDOW = 256
GROUP_LEAST = 128  # a transaction for fewer costs more than waiting for a few answers
POLL_SECS = 0.25
PATIENCE_SECS = 0.25
LOOK = timedelta(seconds=0.5)  # between two looks for direct messages, while a campaign is sent
# a limited pace gives a few tokens at a time; not each is worth a transaction
BREATH = timedelta(milliseconds=50)
# Tried again for about as long as the lease lasts: after it another worker has taken over.
DATABASE_PAUSES_SECS = (0.2, 1.0, 3.0, 5.0, 8.0)
DATABASE_GONE = (OperationalError, InterfaceError)
# a shard that waits for its pace is taken again when a second's worth may go, if it is less
SHARD_WORTH = 10_000


def work_shard(lease: Lease, run: Run, until: datetime) -> None:
    """Send the shard's waiting rows until none is left, the slice ends or the run stops; then
    hand it back."""
    try:
        worker = ShardWorker(lease, run, until)
    except (SecretUnreadable, ValueError, RenderError) as error:
        plan.pause_for_cause(run, f"The send cannot go out: {error}")
        lease.release(done=False, not_before=timezone.now())
        return
    worker.work()


class ShardWorker:
    """One worker on one shard. Invariant: every message that was sent and has no written outcome
    is in `flying` or `finished`, and inside the window that the last fence wrote."""

    def __init__(self, lease: Lease, run: Run, until: datetime) -> None:
        """Raises ValueError, SecretUnreadable or RenderError if the run cannot be sent."""
        if run.connection is None:
            raise ValueError("No connection is in use.")
        if not run.connection.is_active:
            raise ValueError("The connection is switched off.")
        self.lease, self.run, self.until, self.connection = lease, run, until, run.connection
        self.provider = provider_of(run.connection.provider)
        spoken = (self.provider, run.workspace.default_language, run.workspace.zone)
        self.composer: Composes
        if run.direct:
            self.composer = DirectComposer(run, lease.shard, *spoken)
        else:
            self.composer = Composer(run, *spoken)
        self.sender = sender_for(run.connection)
        self.reader = OutcomeReader(run, self.provider, reach.of(run.connection))
        self.demands = self.reader.demands
        if lease.shard.held:
            record.requeue_deferred(lease.shard, self.reader.held)
        self.supply = Supply(run, self.composer, record.waiting_ids(lease.shard), self.reader.held)
        self.flying: dict[int, Recipient] = {}
        self.finished: list[Result] = []
        self.paced_until = LONG_AGO
        self.looks_at = timezone.now() + LOOK
        self.is_lost = False  # the lease is another worker's: forget everything
        self.is_stopped = False  # nothing new may be sent

    @property
    def unwritten(self) -> int:
        return len(self.finished) + len(self.supply.skipped)

    def work(self) -> None:
        """Send until no row is left, the slice ends or the run stops; then hand the shard back."""
        try:
            self._go_on()
        except DATABASE_GONE:
            raise  # the lease runs out and another worker goes on
        except Exception as error:
            logger.exception("run %s: shard %s failed", self.run.pk, self.lease.shard.pk)
            self._stop_short(f"Sending failed: {type(error).__name__}: {error}")
        finally:
            if self.flying:
                drop_sender(self.sender)
        if not self.is_lost:
            self.retire()
            self.hand_back()

    def advance(self) -> Group:
        """Write results, choose the next group and move the window over it, if that is worth a
        transaction. Returns the group to send."""
        now = timezone.now()
        self.is_stopped = self.is_stopped or now >= self.until or heartbeat.is_stopping()
        self.is_stopped = self.is_stopped or self._gives_way(now)
        must_wait = self.is_stopped or (now < self.paced_until and self.flying)
        room = 0 if must_wait else min(WINDOW - len(self.flying), self.supply.left)
        if not self._is_worth_a_transaction(room):
            return []
        heartbeat.beat()
        return self.commit(room, now)

    def commit(self, room: int, now: datetime) -> Group:
        """Write results and move the window over a group of at most `room`. Tries again for a
        while if the database fails (busy SQLite, a restart, a deadlock): outcomes that are not
        written become unknown."""
        for pause_secs in DATABASE_PAUSES_SECS:
            try:
                self.supply.make_ready(room, now)
                return self.try_commit(room, now)
            except DATABASE_GONE:
                logger.warning(
                    "the database did not take a transaction; trying again", exc_info=True
                )
                self.lease.is_stale = True
                connection.close()
                self._bridge(pause_secs)
                now = timezone.now()
        return self.try_commit(room, now)

    def try_commit(self, room: int, now: datetime) -> Group:
        """Do what `commit` does, once. Raises the database's error."""
        demands, supply = self.demands, self.supply
        with statements.by_index():
            if demands.news:
                reach.learn(self.connection, demands.news, now)
            if demands.pause_because:
                plan.pause_for_cause(
                    self.run, demands.pause_because, tripped=demands.tripped, epoch=self.lease.epoch
                )
            if supply.skipped and not self.lease.is_current():
                self.is_stopped, supply.skipped = True, []
            written = record.results([*self.finished, *supply.skipped], self.composer.revision)
            if demands.break_until:
                pace.close(
                    self.connection, demands.break_until, now, is_throttled=demands.is_throttled
                )
            wanted = min(room, len(supply.ready))
            granted = pace.take(self.run, self.connection, wanted, now)
            group = supply.ready[:granted]
            if group and not self.lease.fence(self._window_with(group), written):
                self.is_stopped, group = True, []
            if not group and not self.lease.renew(self._window_with(group), written):
                self.is_lost = True
                transaction.set_rollback(True)
                return []
            if self.run.direct and group:
                record.hand_over([recipient.message_id for recipient, _ in group], timezone.now())
        if granted < wanted:
            self.paced_until = now + BREATH
        supply.ready = supply.ready[len(group) :]
        self.finished, supply.skipped = [], []
        demands.clear()
        return group

    def send(self, group: Group) -> None:
        """Hand a group to the provider. The window must lie over it."""
        self.flying.update((recipient.message_id, recipient) for recipient, _ in group)
        sent = 0
        try:
            for batch in batches(group, self.provider.manners):
                self.sender.send([(recipient.message_id, body) for recipient, body in batch])
                sent += len(batch)
        except CredentialsRefused as error:
            now = timezone.now()
            said = answer(now, Verdict.BROKEN, "CREDENTIALS_REFUSED", str(error))
            self._give_back(group[sent:], now, said)
            self.pause(str(error))
        except ProviderUnreachable as error:
            now = timezone.now()
            until = now + self.provider.manners.unreachable_wait
            said = answer(now, Verdict.LATER, "UNREACHABLE", str(error))
            self._give_back(group[sent:], until, said)
            self.demands.ask_for_break(until)
            self.is_stopped = True

    def collect(self) -> None:
        """Wait for answers until a new group is worth a transaction."""
        if self.flying:
            self.take_answers(POLL_SECS)
        elif not self.unwritten and not self.is_stopped and self.supply.left:
            self._wait_for_pace()

    def take_answers(self, wait_secs: float) -> None:
        """Read the provider's answers; wait at most `wait_secs` for the first one."""
        answered = self.sender.poll(wait_secs)
        now = timezone.now()
        at = stamp(now)
        for outcome in answered:
            self.finished.append(
                self.reader.read(self.flying[outcome.message_id], outcome, now, at)
            )
            # not before its result is there: the window is over both
            del self.flying[outcome.message_id]
        self.is_stopped = self.is_stopped or self.demands.is_paused

    def pause(self, why: str) -> None:
        """Pause the run in the next transaction, and send nothing new."""
        self.demands.pause(why)
        self.is_stopped = True

    @transaction.atomic
    def retire(self) -> None:
        """Retire the addresses that are gone, on proven platforms only: elsewhere the fault may
        be ours. None is retired if the run was paused because too many are gone."""
        found = self.reader.gone
        proven = reach.proven(self.connection) if found else set()
        gone = {
            endpoint: code for endpoint, (platform, code) in found.items() if platform in proven
        }
        if not gone or Run.objects.filter(pk=self.run.pk, tripped="gone").exists():
            return
        if retired := record.retire(gone, timezone.now()):
            Run.objects.filter(pk=self.run.pk).update(retired=F("retired") + retired)

    @transaction.atomic
    def hand_back(self) -> None:
        """Release the shard: done if all its rows have an outcome, else open for the next slice
        or retry."""
        shard, now = self.lease.shard, timezone.now()
        self.lease.count_held(now + reach.HELD_MOST)
        memory = self.reader.breaker.memory
        if memory != self.run.last_outcomes:  # in this epoch only: a resume has cleared it
            Run.objects.filter(pk=self.run.pk, epoch=self.lease.epoch).update(last_outcomes=memory)
        again_at: datetime | None
        if self.supply.left or record.waits(shard):
            wait = pace.wait_needed(self.run, self.connection, SHARD_WORTH, now)
            again_at = now
            if wait:
                again_at = wait.until
        else:
            again_at = record.next_retry(shard)
        self.lease.release(done=again_at is None, not_before=again_at or now)
        # a platform that has come back meanwhile
        if not self.reader.held.keys() >= shard.held.keys():
            wake.ring("tick")
        if again_at is not None and again_at > now:  # else this process takes the next shard anyway
            wake.ring("work", at=again_at)

    def _go_on(self) -> None:
        while not self.is_lost:
            group = self.advance()
            if group:
                self.send(group)
            elif self._is_at_its_end():
                return
            self.collect()
            if self.flying and not self.sender.in_flight:
                raise RuntimeError(
                    f"the client knows nothing of {len(self.flying)} messages that it was given"
                )

    def _gives_way(self, now: datetime) -> bool:
        """Whether direct messages wait that this worker should take first. A campaign gets at
        least LOOK of its turn."""
        if self.run.direct or now < self.looks_at:
            return False
        self.looks_at = now + LOOK
        return direct.is_waiting()

    def _is_at_its_end(self) -> bool:
        if self.flying or self.unwritten or self.demands.is_urgent:
            return False
        return self.is_stopped or not self.supply.left

    def _is_worth_a_transaction(self, room: int) -> bool:
        if self.demands.is_urgent or self.unwritten >= GROUP_LEAST:
            return True
        if self.unwritten and not self.flying:  # no further answer will come
            return True
        return room >= GROUP_LEAST or 0 < self.supply.left <= room

    def _stop_short(self, why: str) -> None:
        """Pause the run after an unexpected error, so that it does not hit every shard. Outcomes
        of messages in flight are still awaited and written; a message without one becomes
        unknown when the lease ends."""
        self.pause(why)
        until = time.monotonic() + self.provider.manners.answer_secs
        try:
            while self.sender.in_flight and time.monotonic() < until and not self.is_lost:
                self.advance()
                self.collect()
            if not self.is_lost:
                self.commit(0, timezone.now())
        except DATABASE_GONE:
            raise
        except Exception:
            logger.exception("run %s: its answers could not be written down", self.run.pk)
            plan.pause_for_cause(self.run, why)
            self.is_lost = True
        self.is_lost |= bool(self.flying)

    def _bridge(self, secs: float) -> None:
        """Wait, and take answers meanwhile: libcurl checks the time-out before it reads, so an
        answer that lay unread for too long counts as none."""
        until = time.monotonic() + secs
        while (left_secs := until - time.monotonic()) > 0:
            if self.sender.in_flight:
                self.take_answers(left_secs)
            else:
                time.sleep(left_secs)

    def _window_with(self, group: Group) -> Window:
        ids = [*self.flying, *(recipient.message_id for recipient, _ in group)]
        if ids:
            return (min(ids), max(ids))
        return NOTHING

    def _give_back(self, group: Group, due: datetime, said: Answer) -> None:
        """Let the rows of an unsent group wait again. No attempt is counted."""
        for recipient, _ in group:
            del self.flying[recipient.message_id]
            result = Result(recipient.message_id, Reason.RETRY_SCHEDULED, due_at=stamp(due))
            result.error_code, result.answer = said.code, said
            self.finished.append(result)

    def _wait_for_pace(self) -> None:
        """Sleep a moment. If that is not enough, stop: a slow connection must not occupy the
        worker."""
        now = timezone.now()
        wait = pace.wait_needed(self.run, self.connection, WINDOW, now)
        if wait is None:
            return
        wait_secs = (wait.until - now).total_seconds()
        if wait_secs > PATIENCE_SECS or wait.until >= self.until:
            self.is_stopped = True
        else:
            time.sleep(wait_secs)
