"""Somebody acts between two steps of the engine: a person, another worker, or death."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Run
from delivery import decisions
from delivery.engine import heartbeat, leases, pace, pipeline, record, work
from delivery.models import Message, Shard
from delivery.providers.fcm.sender import FcmSender
from tenants.models import Connection
from tenants.scope import every_workspace, scope
from tests.house.rows import rows_of
from tests.story import add_people, received, run_to_the_end

State = Run.State
LONG_AGO = timedelta(minutes=5)


def fresh(run: Run) -> Run:
    return Run.objects.select_related("workspace", "campaign", "revision", "connection").get(
        pk=run.pk
    )


# --- preparing ------------------------------------------------------------------------------------
@pytest.fixture
def between_chunks(cast, launched, monkeypatch):
    """A function that prepares a run to six people in chunks of two, and calls `act` once after
    the first chunk."""
    add_people(cast.workspace, 6)
    run, looks = launched(), []

    def prepare(act) -> Run:
        def is_stopping() -> bool:
            looks.append(1)
            if len(looks) == 2:
                act(run)
            return False

        with scope(cast.workspace):
            pipeline.launch(run, timezone.now())
            with monkeypatch.context() as watched:
                watched.setattr(pipeline, "CHUNK_CONTACTS", 2)
                watched.setattr(heartbeat, "is_stopping", is_stopping)
                pipeline.prepare(fresh(run), timezone.now())
        return run

    return prepare


def test_nobody_is_added_to_a_run_that_is_cancelled_between_two_chunks(
    cast, connected, between_chunks
):
    run = between_chunks(lambda run: plan.cancel(fresh(run), by=cast.owner))
    with scope(cast.workspace):
        assert (fresh(run).state, record.tally(run)) == (State.CANCELLED, {"pending": 2})
    pipeline.tick(timezone.now())
    with scope(cast.workspace):
        assert fresh(run).tally == {"cancelled": 2}


def test_a_run_that_is_cancelled_as_it_fails_for_the_last_time_stays_cancelled(
    cast, connected, launched, monkeypatch
):
    add_people(cast.workspace, 2)
    run, looks = launched(), []

    def cancelled() -> bool:
        looks.append(1)
        if len(looks) == 1:
            with scope(cast.workspace):
                assert plan.cancel(fresh(run), by=cast.owner)
            raise ZeroDivisionError
        return False

    pipeline.tick(timezone.now())
    with scope(cast.workspace):
        Run.objects.update(attempts=pipeline.MAX_ATTEMPTS - 1)
    monkeypatch.setattr(heartbeat, "is_stopping", cancelled)
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        assert (fresh(run).state, fresh(run).attempts) == (State.CANCELLED, pipeline.MAX_ATTEMPTS)


def test_a_launch_that_failed_and_then_worked_leaves_no_trace(
    cast, connected, launched, monkeypatch
):
    add_people(cast.workspace, 1)
    run = launched()
    with monkeypatch.context() as broken:
        broken.setattr(pipeline.consent, "adopt", lambda workspace: 1 / 0)
        pipeline.tick(timezone.now())
    with scope(cast.workspace):
        assert (fresh(run).state, fresh(run).attempts) == (State.PLANNED, 1)
    pipeline.tick(timezone.now())
    with scope(cast.workspace):
        assert (fresh(run).state, fresh(run).attempts, fresh(run).last_error) == (
            State.PREPARING,
            0,
            "",
        )


def test_a_run_under_way_is_not_given_up_however_often_a_step_fails(
    cast, connected, prepared, monkeypatch
):
    run = prepared(2)
    with scope(cast.workspace):
        Message.objects.update(reason=Reason.ACCEPTED)
        Shard.objects.update(state=Shard.State.DONE, tally={"accepted": 2})
    with monkeypatch.context() as broken:
        broken.setattr(record, "tally", lambda run: 1 / 0)
        for _ in range(pipeline.MAX_ATTEMPTS + 1):
            pipeline.tick(timezone.now())
    with scope(cast.workspace):
        assert fresh(run).state == State.RUNNING
    assert run_to_the_end(run).tally == {"accepted": 2}


def test_a_worker_whose_run_another_one_prepares_adds_nobody(cast, connected, between_chunks):
    run = between_chunks(lambda run: Run.objects.filter(pk=run.pk).update(owner="another"))
    with scope(cast.workspace):
        assert (fresh(run).state, fresh(run).owner, record.tally(run)) == (
            State.PREPARING,
            "another",
            {"pending": 2},
        )
        Run.objects.update(lease_until=timezone.now() - LONG_AGO)
    assert run_to_the_end(run).tally == {"accepted": 6}


def test_a_run_that_somebody_prepares_is_left_to_them(cast, connected, launched):
    add_people(cast.workspace, 2)
    run = launched()
    with scope(cast.workspace):
        pipeline.launch(run, timezone.now())
        Run.objects.update(owner="another", lease_until=timezone.now() + LONG_AGO)
        pipeline.prepare(fresh(run), timezone.now())
        assert (fresh(run).owner, record.tally(run)) == ("another", {})


def test_who_comes_after_the_launch_gets_nothing(cast, connected, launched):
    add_people(cast.workspace, 2)
    run = launched()
    with scope(cast.workspace):
        pipeline.launch(run, timezone.now())
    add_people(cast.workspace, 3)
    assert run_to_the_end(run).tally == {"accepted": 2}


# --- a worker that is alive -----------------------------------------------------------------------
@pytest.fixture
def at_work(cast, connected, prepared):
    """(a run to 10 people, the lease of a worker that has the first 4 in flight)."""
    run = prepared(10)
    with every_workspace():
        lease = leases.claim(timezone.now())
        assert lease is not None
        first = lease.shard.first_id
        assert lease.fence((first, first + 3), {})
    return run, lease


def test_a_cancelled_run_stays_open_until_its_worker_has_written_the_answers(cast, at_work):
    run, lease = at_work
    with scope(cast.workspace):
        assert plan.cancel(fresh(run), by=cast.owner)
        pipeline.tick(timezone.now())
        assert not leases.settle_orphan(lease.shard, timezone.now())
        assert (fresh(run).finished_at, record.tally(run)) == (None, {"pending": 10})
        first = lease.shard.first_id
        found = [record.Result(first + n, Reason.ACCEPTED, attempted=1) for n in range(4)]
        assert lease.renew(leases.NOTHING, record.results(found, 1))
        lease.release(done=False, not_before=timezone.now())
        pipeline.tick(timezone.now())
        assert fresh(run).tally == {"accepted": 4, "cancelled": 6}


def test_an_orphan_is_settled_as_its_worker_left_it_and_not_as_it_was_read(cast, at_work):
    run, lease = at_work
    with scope(cast.workspace):
        read = Shard.objects.get(pk=lease.shard.pk)
        read.window_from = read.window_to = None  # before the worker's last fence
        Shard.objects.update(lease_until=timezone.now() - timedelta(minutes=1))
        assert leases.settle_orphan(read, timezone.now())
        assert record.tally(run) == {"pending": 6, "unknown": 4}


@pytest.mark.parametrize(
    "verb", [decisions.retry_failed, decisions.resend_unknown, decisions.close_unknown]
)
def test_nobody_decides_about_a_run_while_a_worker_writes_answers_down(cast, at_work, verb):
    run, lease = at_work
    last = lease.shard.last_id
    with scope(cast.workspace):
        Message.objects.filter(pk=last).update(reason=Reason.UNKNOWN)
        Message.objects.filter(pk=last - 1).update(reason=Reason.REJECTED)
        Shard.objects.update(tally={"unknown": 1, "rejected": 1})
        assert plan.pause(fresh(run), by=cast.owner)
        with pytest.raises(decisions.NotNow):
            verb(run, by=cast.owner)
        assert record.tally(run) == {"pending": 8, "rejected": 1, "unknown": 1}
        lease.release(done=False, not_before=timezone.now())
        assert verb(run, by=cast.owner) == 1


def test_a_lease_that_is_renewed_in_the_last_moment_is_not_stolen(cast, at_work, monkeypatch):
    _, lease = at_work
    real = leases._take

    def renewed(shard, now):
        assert lease.renew(leases.NOTHING, {})
        return real(shard, now)

    with every_workspace():
        Shard.objects.update(lease_until=timezone.now() - LONG_AGO)
        monkeypatch.setattr(leases, "_take", renewed)
        assert leases.claim(timezone.now()) is None
        assert Shard.objects.get().owner == lease.owner


def test_a_worker_whose_shard_was_taken_over_writes_nothing_and_hands_nothing_back(cast, at_work):
    _, lease = at_work
    with every_workspace():
        Shard.objects.update(lease_until=timezone.now() - LONG_AGO)
        other = leases.claim(timezone.now())
        assert other is not None
        assert not lease.fence((lease.shard.first_id, lease.shard.last_id), {})
        assert not lease.renew(leases.NOTHING, {})
        lease.release(done=True, not_before=timezone.now())
        assert (Shard.objects.get().state, Shard.objects.get().owner) == (
            Shard.State.LEASED,
            other.owner,
        )


def test_an_answer_that_comes_after_another_worker_has_settled_its_row_changes_nothing(
    cast, at_work
):
    _, lease = at_work
    pk = lease.shard.first_id
    with scope(cast.workspace):
        assert record.results([record.Result(pk, Reason.UNKNOWN, attempted=1)], 1) == {"unknown": 1}
        assert record.results([record.Result(pk, Reason.ACCEPTED, attempted=1)], 1) == {}
        row = Message.objects.get(pk=pk)
    assert (row.reason, row.attempts) == (Reason.UNKNOWN, 1)


def test_a_worker_that_was_silent_for_too_long_sends_nothing_more(cast, at_work):
    _, lease = at_work
    with every_workspace():
        Shard.objects.update(lease_until=timezone.now() - LONG_AGO)
        assert not lease.fence((lease.shard.first_id, lease.shard.last_id), {})


@pytest.mark.parametrize(
    "changes", [{"epoch": F("epoch") + 1}, {"state": State.PAUSED}], ids=["epoch", "state"]
)
def test_the_fence_of_a_stopped_run_fails_by_its_state_and_by_its_epoch(cast, at_work, changes):
    run, lease = at_work
    with every_workspace():
        Run.objects.filter(pk=run.pk).update(**changes)
        assert not lease.fence((lease.shard.first_id, lease.shard.last_id), {})
        assert lease.renew(leases.NOTHING, {}), "its answers are still taken"


@pytest.mark.parametrize("answered", [20, 37], ids=["among the groups", "after the last group"])
def test_what_was_in_flight_at_a_death_is_never_sent_a_second_time(
    cast, connected, sandbox, prepared, monkeypatch, answered
):
    """Answers come one by one and in another order, so each group is sent while others are in
    flight."""
    run, held, sent, seen = prepared(40), {}, [], []
    monkeypatch.setattr(work, "WINDOW", 8)
    monkeypatch.setattr(work, "GROUP_LEAST", 2)
    poll, send, in_flight = FcmSender.poll, FcmSender.send, FcmSender.in_flight

    class Killed(BaseException):
        pass

    def answer(sender, secs):
        held.update((one.message_id, one) for one in poll(sender, secs))
        if len(seen) == answered:
            raise Killed
        found = [held.pop(pk) for pk in sorted(held, key=lambda pk: (pk % 3, pk))[:1]]
        seen.extend(found)
        return found

    with monkeypatch.context() as slow:
        slow.setattr(FcmSender, "poll", answer)
        slow.setattr(
            FcmSender, "send", lambda sender, group: (sent.append(len(group)), send(sender, group))
        )
        slow.setattr(
            FcmSender, "in_flight", property(lambda sender: in_flight.fget(sender) + len(held))
        )
        with pytest.raises(Killed):
            pipeline.work(timezone.now())
    assert len(sent) > 3
    with scope(cast.workspace):
        Shard.objects.update(lease_until=timezone.now() - LONG_AGO)
    run = run_to_the_end(run)
    arrived = received(sandbox, connected)
    assert set(arrived.values()) == {1}
    assert run.tally["accepted"] <= len(arrived) <= 40 == sum(run.tally.values())
    assert 0 < run.tally["unknown"] <= 2 * work.WINDOW


# --- two at once ----------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_workers_that_take_from_one_bucket_at_once_get_no_more_than_it_holds(cast):
    made, now, start = rows_of(cast.workspace), timezone.now(), Barrier(4)
    with scope(cast.workspace):
        Connection.objects.filter(pk=made[Connection].pk).update(per_second=100)
        run, account = (
            Run.objects.get(pk=made[Run].pk),
            Connection.objects.get(pk=made[Connection].pk),
        )
        with transaction.atomic():
            assert pace.take(run, account, 1, now) == 1

    def take(_: int) -> int:
        try:
            with scope(cast.workspace):
                start.wait(10)
                with transaction.atomic():
                    return pace.take(run, account, 60, now)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(take, range(4))) == 99
