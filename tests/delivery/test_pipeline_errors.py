"""What goes wrong in the middle of a run costs no answer."""

import pytest
from django.db import OperationalError
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Run
from delivery.engine import dispatch, pace, pipeline, record, statements, work
from delivery.engine.statements import is_postgresql
from delivery.models import Message, Pace, Shard
from delivery.providers.base import Outcome, Verdict
from delivery.providers.fcm.sender import FcmSender
from delivery.providers.http2 import CurlTransport
from tenants.scope import scope
from tests.delivery.broken import broken
from tests.story import received, run_to_the_end


def test_an_unexpected_error_pauses_the_run_with_its_reason(cast, prepared, monkeypatch):
    run = prepared(3)
    monkeypatch.setattr("delivery.engine.work.Composer.compose", lambda *args: 1 / 0)
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
    assert run.state == Run.State.PAUSED
    assert "ZeroDivisionError" in run.last_error


def test_a_busy_database_is_tried_again_and_no_answer_is_lost(
    cast, connected, prepared, monkeypatch
):
    run = prepared(150)
    tried = []

    def once_locked(worker, room, now, real=work.ShardWorker.try_commit):
        tried.append(room)
        if len(tried) == 2:
            raise OperationalError("database is locked")
        return real(worker, room, now)

    monkeypatch.setattr(work.ShardWorker, "try_commit", once_locked)
    # the test's transaction lives on it
    monkeypatch.setattr(work.connection, "close", lambda: None)
    run = run_to_the_end(run)
    with scope(cast.workspace):
        assert (
            run.tally
            == record.add({}, *Shard.objects.values_list("tally", flat=True))
            == {"accepted": 150}
        )


@pytest.mark.parametrize(
    ("module", "name"), [(dispatch, "compose"), (pace, "close"), (plan, "pause_for_cause")]
)
def test_a_database_that_hiccups_anywhere_costs_no_answer(
    cast, connected, sandbox, prepared, monkeypatch, module, name
):
    run = prepared(900)
    real, called = getattr(module, name), []

    def once_gone(*values, **named):
        called.append(name)
        if len(called) == (2 if name == "compose" else 1):
            raise OperationalError("the connection was closed")
        return real(*values, **named)

    monkeypatch.setattr(module, name, once_gone)
    # the test's transaction lives on it
    monkeypatch.setattr(work.connection, "close", lambda: None)
    if name == "close":
        sandbox.settings(
            storms=[{"what": "QUOTA_EXCEEDED", "secs": 9, "share": 0.02, "retry_after_secs": 1}]
        )
    if name == "pause_for_cause":
        broken(monkeypatch, every=50)
    pipeline.work(timezone.now())
    sandbox.settings(storms=[])
    if name == "pause_for_cause":
        monkeypatch.undo()
    with scope(cast.workspace):
        assert len(called) > 1
        assert not Shard.objects.filter(state=Shard.State.LEASED).exists()
        plan.resume(run, by=cast.owner)
        Pace.objects.all().delete()
        Shard.objects.update(not_before=timezone.now())
        Message.objects.filter(reason=Reason.RETRY_SCHEDULED).update(due_at=timezone.now())
    assert run_to_the_end(run).tally == {"accepted": 900}


def test_an_error_in_the_middle_costs_no_answer_either(
    cast, connected, sandbox, prepared, monkeypatch
):
    run = prepared(900)
    real, called = dispatch.compose, []

    def once_broken(*values):
        called.append(1)
        return real(*values) if len(called) != 2 else 1 / 0

    monkeypatch.setattr(dispatch, "compose", once_broken)
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, "ZeroDivisionError" in run.last_error) == (Run.State.PAUSED, True)
        assert (
            Message.objects.filter(reason=Reason.ACCEPTED).count()
            == len(received(sandbox, connected))
            > 0
        )
        assert not Shard.objects.filter(state=Shard.State.LEASED).exists()
        plan.resume(run, by=cast.owner)
    assert run_to_the_end(run).tally == {"accepted": 900}


def test_answers_are_taken_while_the_database_is_away(
    cast, connected, sandbox, prepared, monkeypatch
):
    """It is away for longer than the transport waits for an answer (all times a tenth of the
    real ones)."""
    run = prepared(600)
    monkeypatch.setattr(
        "delivery.providers.fcm.provider.CurlTransport", lambda: CurlTransport(timeout_secs=1.5)
    )
    monkeypatch.setattr(work, "DATABASE_PAUSES_SECS", (0.02, 0.1, 0.3, 0.5, 0.9))
    # the test's transaction lives on it
    monkeypatch.setattr(work.connection, "close", lambda: None)
    sandbox.settings(latency_ms=[50, 100])
    real_send, real_commit, failed = work.ShardWorker.send, work.ShardWorker.try_commit, []

    def send(worker, group):
        real_send(worker, group)
        worker.take_answers(0.02)  # the bodies leave
        if not failed:
            # so that it writes while all are on their way
            worker.demands.ask_for_break(timezone.now())

    def away(worker, room, now):
        if (failed or worker.flying) and len(failed) < len(work.DATABASE_PAUSES_SECS):
            failed.append(len(worker.flying))
            raise OperationalError("the server is starting up")
        return real_commit(worker, room, now)

    monkeypatch.setattr(work.ShardWorker, "send", send)
    monkeypatch.setattr(work.ShardWorker, "try_commit", away)
    assert run_to_the_end(run).tally == {"accepted": 600}
    assert len(failed) == len(work.DATABASE_PAUSES_SECS)


def test_a_page_where_a_token_should_be_is_an_unreachable_provider(
    cast, connected, prepared, monkeypatch
):
    run = prepared(3)
    monkeypatch.setattr(
        "google.oauth2._client._token_endpoint_request_no_throw",
        lambda *args, **named: (True, "<html>", None),
    )
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert run.state == Run.State.RUNNING
        assert Message.objects.filter(reason=Reason.RETRY_SCHEDULED, attempts=0).count() == 3
        assert not Shard.objects.filter(state=Shard.State.LEASED).exists()


def test_a_client_that_loses_an_answer_leaves_it_unknown_and_ends(
    cast, connected, sandbox, prepared, monkeypatch
):
    run = prepared(30)
    real = FcmSender.poll
    monkeypatch.setattr(
        FcmSender,
        "poll",
        lambda sender, wait_secs: [one for one in real(sender, wait_secs) if one.message_id % 30],
    )
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, "knows nothing of 1 messages" in run.last_error) == (
            Run.State.PAUSED,
            True,
        )
        assert Message.objects.filter(reason=Reason.ACCEPTED).count() == 29
        Shard.objects.update(lease_until=timezone.now())
        plan.resume(run, by=cast.owner)
    assert run_to_the_end(run).tally == {"accepted": 29, "unknown": 1}


@pytest.mark.parametrize("is_on_its_way", [False, True])
def test_an_error_in_the_client_pauses_and_ends(
    cast, connected, sandbox, prepared, monkeypatch, is_on_its_way
):
    run = prepared(300)
    real = FcmSender.send

    def broken(self, messages):
        if is_on_its_way:
            real(self, messages[:100])
        raise ZeroDivisionError

    monkeypatch.setattr(FcmSender, "send", broken)
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, "ZeroDivisionError" in run.last_error) == (Run.State.PAUSED, True)
        known = Message.objects.filter(reason=Reason.ACCEPTED).count()
        assert known == len(received(sandbox, connected)) == (100 if is_on_its_way else 0)
        # the rest becomes unknown when the lease ends
        shard = Shard.objects.exclude(window_to=None).get()
        assert shard.state == Shard.State.LEASED


def test_a_nul_in_a_provider_s_sentence_costs_nothing(cast, connected, prepared, monkeypatch):
    run = prepared(3)
    monkeypatch.setattr(
        "delivery.providers.fcm.sender.interpret",
        lambda answer: Outcome(answer.key, Verdict.BROKEN, "WEIRD", detail="a\x00b\ud83d"),
    )
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert (run.state, run.last_error) == (Run.State.PAUSED, "WEIRD: ab?")
        assert Message.objects.filter(reason=Reason.RETRY_SCHEDULED).count() == 3


@pytest.mark.skipif(is_postgresql(), reason="PostgreSQL plans by its statistics")
def test_the_rows_of_a_shard_are_found_by_their_keys(cast, prepared, django_assert_num_queries):
    run = prepared(3)
    with scope(cast.workspace), django_assert_num_queries(4) as queries:
        shard = Shard.objects.select_related("run").get(run=run)
        record.waiting_ids(shard)
        record.waits(shard)
        record.next_retry(shard)
    for query in list(queries)[1:]:
        plans = statements.run(f"EXPLAIN QUERY PLAN {query['sql']}", [])
        assert "USING INTEGER PRIMARY KEY" in plans[0][3]
