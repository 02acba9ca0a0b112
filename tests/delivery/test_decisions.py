"""What people decide about a run under way or over: another text, the end of its time, who is
sent to again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import AmbiguityPolicy, Campaign, Content, Endpoint, Run
from delivery import connections, decisions
from delivery.engine import leases, pipeline, record
from delivery.models import Message, Shard
from delivery.providers.fcm.provider import Fcm
from tenants.models import AuditEntry, Connection
from tenants.scope import every_workspace, scope
from tests.story import add_people, received, run_to_the_end, write_campaign


def fresh(run: Run) -> Run:
    with scope(run.workspace):
        run.refresh_from_db()
    return run


def die_with(run: Run, count: int) -> None:
    """A worker that fenced the first rows of the first shard and died before it wrote any
    outcome."""
    with scope(run.workspace):
        shard = Shard.objects.filter(run=run).order_by("pk").first()
        Shard.objects.filter(pk=shard.pk).update(
            state=Shard.State.LEASED, owner="dead", lease_until=timezone.now() - timedelta(seconds=1),
            window_from=shard.first_id, window_to=shard.first_id + count - 1, revision=run.revision.number,
        )  # fmt: skip


# --- another text ---------------------------------------------------------------------------------
def test_a_new_text_goes_only_to_whom_the_old_one_was_not_sent(cast, connected, sandbox, prepared):
    run = prepared(30)
    die_with(run, 10)
    with scope(cast.workspace):
        Content.objects.update(fields={"title": "A better title"})
        revision = plan.revise(run, by=cast.owner)
        assert revision.number == 2
    run = run_to_the_end(fresh(run))
    assert run.tally == {"accepted": 20, "unknown": 10}
    with scope(cast.workspace):
        sent = {reason: set(Message.objects.filter(reason=reason).values_list("revision", flat=True))
                for reason in (Reason.ACCEPTED, Reason.UNKNOWN)}  # fmt: skip
        assert sent == {Reason.ACCEPTED: {2}, Reason.UNKNOWN: {1}}
        assert AuditEntry.objects.filter(action="campaign text changed").count() == 1


def test_a_worker_at_work_stops_at_its_fence_when_the_text_changes(cast, connected, prepared):
    run = prepared(3)
    with every_workspace():
        lease = leases.claim(timezone.now())
    with scope(cast.workspace):
        Content.objects.update(fields={"title": "A better title"})
        plan.revise(run, by=cast.owner)
        assert not lease.fence((1, 1), {})
        assert lease.renew(leases.NOTHING, {})


def test_a_text_that_did_not_change_or_comes_too_late_changes_nothing(cast, connected, prepared):
    run = prepared(2)
    with scope(cast.workspace):
        assert plan.revise(run, by=cast.owner) is None
    run = run_to_the_end(run)
    with scope(cast.workspace):
        Content.objects.update(fields={"title": "Too late"})
        assert plan.revise(run, by=cast.owner) is None
        assert fresh(run).revision.number == 1


# --- the end of its time --------------------------------------------------------------------------
@pytest.mark.parametrize("is_paused", [False, True])
def test_who_was_not_sent_to_when_the_time_is_over_is_expired(
    cast, connected, sandbox, prepared, is_paused
):
    run = prepared(30, expires_after_mins=30)
    assert run.ends_at == run.intended_at + timedelta(minutes=30)
    die_with(run, 5)
    if is_paused:
        with scope(cast.workspace):
            plan.pause(run, by=cast.owner)
    for _ in range(2):
        pipeline.tick(run.ends_at + timedelta(seconds=1))
    run = fresh(run)
    assert (run.state, run.tally) == (Run.State.COMPLETED, {"expired": 25, "unknown": 5})
    assert received(sandbox, connected) == {}
    with scope(cast.workspace):
        assert Campaign.objects.get().status == Campaign.Status.COMPLETED


def test_a_campaign_says_how_late_it_may_start(cast, connected, launched):
    add_people(cast.workspace, 1)
    run = launched(start_within_mins=5)
    pipeline.tick(run.intended_at + timedelta(minutes=6))
    assert fresh(run).state == Run.State.MISSED


def test_what_was_missed_is_sent_when_a_person_says_so_and_stays_in_the_history(
    cast, connected, launched
):
    add_people(cast.workspace, 2)
    run = launched()
    pipeline.tick(run.not_after + timedelta(seconds=1))
    now = timezone.now()
    with scope(cast.workspace):
        late = plan.send_missed(fresh(run), by=cast.owner, now=now)
    assert run_to_the_end(late).tally == {"accepted": 2}
    assert fresh(run).state == Run.State.MISSED
    with scope(cast.workspace), pytest.raises(plan.CannotPlan):
        plan.send_missed(run, by=cast.owner, now=timezone.now())


def test_who_is_sent_to_again_is_not_expired_by_a_tick_that_looked_before(
    cast, connected, prepared
):
    run = prepared(2, expires_after_mins=30, tokens=["sbx_ok_a", "sbx_mismatch_b"])
    with scope(cast.workspace):
        seen = Run.objects.get(pk=run.pk)
    run = run_to_the_end(run)
    with scope(cast.workspace):
        assert decisions.retry_failed(run, by=cast.owner) == 1
        pipeline.expire(seen, seen.ends_at)
    assert run_to_the_end(run).tally == {"accepted": 1, "rejected": 1}


# --- sent again -----------------------------------------------------------------------------------
def test_who_was_refused_is_sent_to_again_and_the_account_balances_at_every_step(
    cast, connected, launched
):
    add_people(cast.workspace, 3)
    run = run_to_the_end(launched())
    with scope(cast.workspace):
        row = Message.objects.order_by("pk").first()
        Message.objects.filter(pk=row.pk).update(reason=Reason.REJECTED, error_code="INTERNAL")
        Shard.objects.update(tally={"accepted": 2, "rejected": 1})
        Run.objects.update(tally={"accepted": 2, "rejected": 1})
        assert decisions.retry_failed(fresh(run), by=cast.owner) == 1
        assert record.live_tally(fresh(run)) == {"accepted": 2, "pending": 1}
        assert (run.state, run.finished_at, run.campaign.status) == (
            Run.State.RUNNING,
            None,
            "running",
        )
    run = run_to_the_end(run)
    assert (run.state, run.tally) == (Run.State.COMPLETED, {"accepted": 3})
    with scope(cast.workspace):
        assert Message.objects.get(pk=row.pk).attempts == 2
        with pytest.raises(decisions.NotNow):
            decisions.retry_failed(run, by=cast.owner)


def test_who_is_sent_to_again_gets_all_tries_anew_over_the_connection_in_use(
    cast, connected, launched, monkeypatch
):
    add_people(cast.workspace, 1, tokens=["sbx_unavailable_a"])
    run, most = launched(), Fcm.manners.retries_most
    with scope(cast.workspace):
        pipeline.tick(timezone.now())
        pipeline.work(timezone.now())
        Message.objects.update(reason=Reason.REJECTED, retries=most, due_at=None)
        Shard.objects.update(tally={"rejected": 1}, state=Shard.State.DONE)
        pipeline.finish(fresh(run), timezone.now())
        connected.is_active = False
        connections.save_and_pause_orphans(connected)
        other = Connection.objects.defer(None).get(pk=connected.pk)
        other.pk, other.name, other.is_active = None, "Another", True
        other.save(force_insert=True)
        assert decisions.retry_failed(fresh(run), by=cast.owner) == 1
        pipeline.work(timezone.now())
        assert (Message.objects.get().reason, Message.objects.get().retries) == (
            Reason.RETRY_SCHEDULED,
            1,
        )
        assert fresh(run).connection == other


def test_who_may_have_got_it_is_sent_to_again_flagged(cast, connected, sandbox, prepared):
    run = prepared(30)
    with scope(cast.workspace):
        endpoints = Message.objects.order_by("pk").values_list("endpoint", flat=True)
        Endpoint.objects.filter(pk__in=endpoints[20:25]).update(opted_in=False)
    die_with(run, 10)
    run = run_to_the_end(run)
    assert run.tally == {"accepted": 15, "unknown": 10, "not_opted_in": 5}
    with scope(cast.workspace):
        assert decisions.resend_unknown(run, by=cast.owner) == 10
    run = run_to_the_end(run)
    assert run.tally == {"accepted": 25, "not_opted_in": 5}
    with scope(cast.workspace):
        assert Message.objects.filter(possible_duplicate=1).count() == 10


def test_unknown_ones_can_be_closed_for_good(cast, connected, prepared):
    run = prepared(30)
    die_with(run, 10)
    run = run_to_the_end(run)
    with scope(cast.workspace):
        assert decisions.close_unknown(run, by=cast.owner) == 10
        assert fresh(run).tally == {"accepted": 20, "unknown_closed": 10} == record.tally(run)
        with pytest.raises(decisions.NotNow):
            decisions.resend_unknown(run, by=cast.owner)


def test_on_a_paused_run_they_wait_for_the_resume(cast, connected, prepared):
    run = prepared(30)
    die_with(run, 10)
    pipeline.work(timezone.now())  # settles and sends the rest
    with scope(cast.workspace):
        Run.objects.filter(pk=run.pk).update(state=Run.State.RUNNING, finished_at=None)
        plan.pause(fresh(run), by=cast.owner)
        assert decisions.resend_unknown(run, by=cast.owner) == 10
        assert fresh(run).state == Run.State.PAUSED
        plan.resume(run, by=cast.owner)
    assert run_to_the_end(run).tally == {"accepted": 30}


def test_rows_that_the_end_made_unknown_can_be_sent_again(cast, connected, prepared):
    run = prepared(4, expires_after_mins=1, ambiguity_policy=AmbiguityPolicy.RESEND)
    with scope(cast.workspace):
        first = Message.objects.order_by("pk").first()
        Message.objects.filter(pk=first.pk).update(possible_duplicate=1)
    for _ in range(2):
        pipeline.tick(run.ends_at)
    run = fresh(run)
    assert run.tally == {"expired": 3, "unknown": 1}
    end = run.ends_at
    with scope(cast.workspace):
        assert decisions.resend_unknown(run, by=cast.owner) == 1
        pipeline.tick(end)
        assert record.live_tally(fresh(run)) == {"expired": 3, "pending": 1}
    assert run_to_the_end(run).tally == {"accepted": 1, "expired": 3}


def test_on_a_paused_run_what_no_shard_has_counted_is_taken_from_the_account(
    cast, connected, prepared
):
    run = prepared(4, expires_after_mins=1, ambiguity_policy=AmbiguityPolicy.RESEND)
    with scope(cast.workspace):
        Message.objects.filter(pk__in=Message.objects.order_by("pk")[:2].values("pk")).update(
            possible_duplicate=1
        )
    for _ in range(2):
        pipeline.tick(run.ends_at)
    with scope(cast.workspace):
        assert fresh(run).tally == {"expired": 2, "unknown": 2}
        first = Message.objects.filter(reason=Reason.UNKNOWN).first()
        assert decisions.resend_unknown(run, by=cast.owner) == 2
        plan.pause(fresh(run), by=cast.owner)
        Message.objects.filter(pk=first.pk).update(reason=Reason.UNKNOWN)
        Run.objects.filter(pk=run.pk).update(tally={"expired": 2, "unknown": 1})
        assert decisions.close_unknown(run, by=cast.owner) == 1
        assert record.live_tally(fresh(run)) == {"expired": 2, "unknown_closed": 1, "pending": 1}
        plan.resume(fresh(run), by=cast.owner)
    assert run_to_the_end(run).tally == {"accepted": 1, "expired": 2, "unknown_closed": 1}


def test_a_tick_that_is_late_does_not_close_what_a_person_has_opened_again(
    cast, connected, prepared
):
    run = prepared(6)
    with scope(cast.workspace):
        Message.objects.update(reason=Reason.REJECTED)
        Shard.objects.update(tally={"rejected": 6})
        Run.objects.filter(pk=run.pk).update(state=Run.State.FINISHING)
        seen_early = Run.objects.select_related("workspace", "campaign").get(pk=run.pk)
        pipeline.wind_up(fresh(run), timezone.now())
        assert fresh(run).tally == {"rejected": 6}
        assert decisions.retry_failed(run, by=cast.owner) == 6
        pipeline.wind_up(seen_early, timezone.now())
        assert (fresh(run).state, record.tally(run)) == (Run.State.RUNNING, {"pending": 6})
    assert run_to_the_end(run).tally == {"accepted": 6}


def test_a_tick_that_is_late_with_its_last_step_does_not_close_it_either(
    cast, connected, prepared, monkeypatch
):
    run, real, reopened = prepared(6), record.close_waiting, []

    def close(seen, reason):
        is_left = real(seen, reason)
        if not is_left and not reopened:
            reopened.append(1)
            pipeline.wind_up(fresh(run), timezone.now())
            assert decisions.retry_failed(fresh(run), by=cast.owner) == 6
        return is_left

    with scope(cast.workspace):
        Message.objects.update(reason=Reason.REJECTED)
        Shard.objects.update(tally={"rejected": 6})
        Run.objects.filter(pk=run.pk).update(state=Run.State.FINISHING)
        seen_early = Run.objects.select_related("workspace", "campaign").get(pk=run.pk)
        monkeypatch.setattr(record, "close_waiting", close)
        pipeline.wind_up(seen_early, timezone.now())
        assert (fresh(run).state, record.tally(run)) == (Run.State.RUNNING, {"pending": 6})


def test_nobody_decides_about_a_cancelled_run_before_its_account_is_closed(
    cast, connected, prepared
):
    run = prepared(3)
    with scope(cast.workspace):
        Message.objects.filter(pk=Message.objects.earliest("pk").pk).update(reason=Reason.UNKNOWN)
        Shard.objects.update(tally={"unknown": 1})
        assert plan.cancel(run, by=cast.owner)
        with pytest.raises(decisions.NotNow):
            decisions.close_unknown(run, by=cast.owner)
        pipeline.tick(timezone.now())
        assert decisions.close_unknown(run, by=cast.owner) == 1
        assert fresh(run).tally == {"cancelled": 2, "unknown_closed": 1}


def test_a_run_that_sends_is_left_alone(cast, connected, prepared):
    run = prepared(3)
    with scope(cast.workspace):
        for verb in (decisions.retry_failed, decisions.resend_unknown, decisions.close_unknown):
            with pytest.raises(decisions.NotNow, match="Pause the send"):
                verb(run, by=cast.owner)


# --- in turn --------------------------------------------------------------------------------------
def test_a_small_campaign_does_not_wait_behind_a_big_one(cast, connected, prepared):
    big = prepared(1200)
    small = write_campaign(
        cast.workspace,
        name="Small",
        audience_rule={"field": "external_id", "op": "is", "value": "user-1"},
    )
    with scope(cast.workspace):
        run = plan.schedule(small, by=cast.owner, now=timezone.now())
        pipeline.launch(run, timezone.now())
        pipeline.prepare(fresh(run), timezone.now())
    with every_workspace():
        taken = [leases.claim(timezone.now()).shard.run_id for _ in range(4)]
    assert taken[0] == big.pk
    assert taken[1] == run.pk


# --- topics ---------------------------------------------------------------------------------------
def test_a_topic_is_one_recipient_whom_only_the_provider_knows(cast, connected, sandbox, launched):
    add_people(cast.workspace, 5)
    run = run_to_the_end(launched(title="News for everybody", target_kind="topic", target="news"))
    assert run.tally == {"accepted": 1}
    assert len(received(sandbox, connected)) == 1
    with scope(cast.workspace):
        row = Message.objects.get()
        assert (row.contact_id, row.endpoint_id, row.attempts) == (None, None, 1)
