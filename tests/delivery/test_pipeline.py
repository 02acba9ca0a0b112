from datetime import timedelta

from django.utils import timezone

from campaigns import plan
from campaigns.audience import selection
from campaigns.audience.reasons import Reason
from campaigns.models import AmbiguityPolicy, Campaign, Consent, Contact, Endpoint, Run
from delivery import connections
from delivery.engine import pipeline, record
from delivery.models import Message, Shard
from delivery.providers.base import Outcome, Verdict
from tenants.models import Connection
from tenants.scope import scope
from tests.delivery.broken import broken
from tests.story import add_people, received, run_to_the_end


def test_everyone_reachable_gets_it_once_and_the_account_balances(
    cast, connected, sandbox, launched
):
    add_people(cast.workspace, 700)
    run = run_to_the_end(launched())
    assert run.state == Run.State.COMPLETED
    assert run.tally == {"accepted": 700}
    assert run.audience_size == 700
    truth = received(sandbox, connected)
    assert len(truth) == 700
    assert set(truth.values()) == {1}


def test_each_provider_answer_becomes_its_reason(cast, connected, launched):
    kinds = ("ok", "unregistered", "mismatch", "invalid")
    add_people(cast.workspace, 8, tokens=[f"sbx_{kind}_{i}" for i in (1, 2) for kind in kinds])
    run = run_to_the_end(launched())
    assert run.tally == {"accepted": 2, "endpoint_gone": 4, "rejected": 2}
    with scope(cast.workspace):
        retired = Endpoint.objects.filter(is_active=False).values_list("retired_reason", flat=True)
        assert sorted(retired) == [
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
            "UNREGISTERED",
            "UNREGISTERED",
        ]
        assert run.retired == 4


def test_the_forecast_is_what_happens(cast, connected, launched):
    people = add_people(cast.workspace, 10)
    with scope(cast.workspace):
        Endpoint.objects.filter(contact=people[0]).delete()
        Endpoint.objects.filter(contact=people[1]).update(is_active=False)
        Endpoint.objects.filter(contact=people[2]).update(opted_in=False)
        Consent.objects.create(
            workspace=cast.workspace,
            contact=people[3],
            channel="app_push",
            status="opted_out",
            source="test",
        )
        forecast = selection.forecast(cast.workspace, "app_push", {})
    run = run_to_the_end(launched())
    expected = {
        "accepted" if reason == Reason.PENDING else reason.slug: n for reason, n in forecast.items()
    }
    assert run.tally == expected == {
        "accepted": 6, "no_endpoint": 1, "endpoint_inactive": 1, "not_opted_in": 1, "unsubscribed": 1,
    }  # fmt: skip


def test_a_rule_limits_the_audience(cast, connected, launched):
    add_people(cast.workspace, 20)
    run = run_to_the_end(
        launched(audience_rule={"field": "attributes.orders", "op": "gte", "value": 2})
    )
    assert run.tally == {"accepted": 10}


def test_who_unsubscribes_after_the_audience_was_fixed_is_not_sent_to(cast, prepared):
    run = prepared(5)
    with scope(cast.workspace):
        people = list(Contact.objects.order_by("pk"))
        Consent.objects.create(
            workspace=cast.workspace,
            contact=people[0],
            channel="app_push",
            status="opted_out",
            source="test",
        )
        people[1].delete()
    run = run_to_the_end(run)
    assert run.tally == {"accepted": 3, "unsubscribed": 1, "left_audience": 1}


def test_a_dead_workers_window_becomes_unknown_and_the_rest_is_sent(
    cast, connected, sandbox, prepared
):
    run = prepared(300)
    with scope(cast.workspace):
        shard = Shard.objects.order_by("pk").first()
        # A worker that fenced ten rows and died before it wrote any outcome.
        Shard.objects.filter(pk=shard.pk).update(
            state=Shard.State.LEASED, owner="dead", lease_until=timezone.now() - timedelta(seconds=1),
            window_from=shard.first_id, window_to=shard.first_id + 9,
        )  # fmt: skip
    run = run_to_the_end(run)
    assert run.tally == {"accepted": 290, "unknown": 10}
    assert len(received(sandbox, connected)) == 290


def test_policy_resend_sends_the_window_again_and_flags_it(cast, prepared):
    run = prepared(20)
    with scope(cast.workspace):
        Run.objects.filter(pk=run.pk).update(ambiguity_policy=AmbiguityPolicy.RESEND)
        shard = Shard.objects.get()
        Shard.objects.update(
            state=Shard.State.LEASED, owner="dead", lease_until=timezone.now() - timedelta(seconds=1),
            window_from=shard.first_id, window_to=shard.first_id + 4,
        )  # fmt: skip
    run = run_to_the_end(run)
    assert run.tally == {"accepted": 20}
    with scope(cast.workspace):
        assert Message.objects.filter(possible_duplicate=1).count() == 5


def test_a_paused_run_sends_nothing_and_resumes_exactly_there(cast, connected, sandbox, prepared):
    run = prepared(30)
    with scope(cast.workspace):
        assert plan.pause(run, by=cast.owner)
    pipeline.work(timezone.now())
    assert received(sandbox, connected) == {}
    with scope(cast.workspace):
        assert plan.resume(run, by=cast.owner)
    assert run_to_the_end(run).tally == {"accepted": 30}


def test_a_cancelled_run_closes_what_waits(cast, prepared):
    run = prepared(30)
    with scope(cast.workspace):
        assert plan.cancel(run, by=cast.owner)
    run = run_to_the_end(run)
    assert (run.state, run.tally) == (Run.State.CANCELLED, {"cancelled": 30})


def test_trouble_at_the_provider_is_retried_and_flagged(cast, connected, launched):
    add_people(cast.workspace, 2, tokens=["sbx_flaky_1", "sbx_ok_1"])
    run = launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        waiting = Message.objects.get(reason=Reason.RETRY_SCHEDULED)
        assert waiting.due_at > timezone.now() + timedelta(seconds=8)
        shard = Shard.objects.get()
        assert shard.state == Shard.State.OPEN
        assert shard.not_before == waiting.due_at
        Message.objects.filter(pk=waiting.pk).update(due_at=timezone.now())
        Shard.objects.update(not_before=timezone.now())
    run = run_to_the_end(run)
    assert run.tally == {"accepted": 2}
    with scope(cast.workspace):
        assert Message.objects.get(pk=waiting.pk).possible_duplicate == 1


def test_a_broken_connection_pauses_with_its_reason_and_nobody_is_lost(
    cast, connected, launched, monkeypatch
):
    add_people(cast.workspace, 3)
    broken(monkeypatch)
    run = launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert run.state == Run.State.PAUSED
        assert "PERMISSION_DENIED" in run.last_error
        assert Message.objects.filter(reason=Reason.RETRY_SCHEDULED).count() == 3


def test_a_run_that_could_not_start_in_time_is_missed_and_nothing_is_sent(
    cast, connected, sandbox, launched
):
    add_people(cast.workspace, 3)
    run = launched()
    pipeline.tick(timezone.now() + timedelta(hours=2))
    with scope(cast.workspace):
        run.refresh_from_db()
    assert run.state == Run.State.MISSED
    assert received(sandbox, connected) == {}


def test_a_recurring_campaign_plans_its_next_occurrence_when_one_starts(cast, connected, launched):
    add_people(cast.workspace, 3)
    start = timezone.now() + timedelta(seconds=1)
    run = launched(
        schedule_type=Campaign.Schedule.RECURRING,
        scheduled_at=start,
        recurrence_rule="FREQ=DAILY;COUNT=2",
    )
    pipeline.tick(run.intended_at + timedelta(seconds=1))
    with scope(cast.workspace):
        following = Run.objects.get(state=Run.State.PLANNED)
        assert following.intended_at - run.intended_at == timedelta(days=1)
    run = run_to_the_end(run)
    with scope(cast.workspace):
        assert Campaign.objects.get().status == Campaign.Status.SCHEDULED


def test_live_counts_of_the_shards_equal_the_rows(cast, connected, launched):
    add_people(cast.workspace, 900)
    run = run_to_the_end(launched())
    with scope(cast.workspace):
        shards = record.add({}, *Shard.objects.values_list("tally", flat=True))
        assert shards == record.tally(run) == run.tally


def test_an_unreadable_text_for_one_person_stops_nobody_else(cast, connected, launched):
    people = add_people(cast.workspace, 3)
    with scope(cast.workspace):
        Contact.objects.filter(pk=people[0].pk).update(attributes={"n": 0})
        Contact.objects.exclude(pk=people[0].pk).update(attributes={"n": 2})
    run = run_to_the_end(launched(title="{{ 10 | divided_by: n }} off"))
    assert run.tally == {"accepted": 2, "render_error": 1}


def test_a_retry_counts_once_in_the_live_account(cast, connected, launched):
    add_people(cast.workspace, 2, tokens=["sbx_flaky_1", "sbx_ok_1"])
    run = launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert record.live_tally(run) == {"accepted": 1, "pending": 1}


def test_a_run_that_keeps_failing_ends_with_its_reason_and_a_balanced_account(
    cast, connected, launched, monkeypatch
):
    add_people(cast.workspace, 3)
    run = launched()
    pipeline.tick(timezone.now())
    monkeypatch.setattr(pipeline.record, "pending_ids", lambda *args: 1 / 0)
    for _ in range(pipeline.MAX_ATTEMPTS):
        with scope(cast.workspace):
            Run.objects.update(lease_until=None)
        pipeline.work(timezone.now())
    pipeline.tick(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
        assert run.state == Run.State.FAILED
        assert "division by zero" in run.last_error
        assert run.tally == {"cancelled": 3}
        assert Campaign.objects.get().status == Campaign.Status.FAILED


def test_a_device_that_moved_to_somebody_else_does_not_get_the_old_owners_message(
    cast, connected, sandbox, prepared
):
    run = prepared(3)
    with scope(cast.workspace):
        first, second = Contact.objects.order_by("pk")[:2]
        Endpoint.objects.filter(contact=first).update(contact=second)
    assert run_to_the_end(run).tally == {"accepted": 2, "left_audience": 1}
    assert len(received(sandbox, connected)) == 2


def test_a_run_goes_through_the_connection_that_is_active_when_it_starts(cast, connected, launched):
    add_people(cast.workspace, 3)
    run = launched()
    with scope(cast.workspace):
        newer = Connection(workspace=cast.workspace, name="Newer", provider=connected.provider)
        connections.store_account(newer, Connection.objects.get(pk=connected.pk).credentials)
        result, paused = connections.put_in_use(newer, by=None)
    assert (result.ok, paused) == (True, 0)
    assert run_to_the_end(run).connection_id == newer.pk


def test_a_filter_that_breaks_on_one_persons_data_stops_nobody_else(cast, connected, launched):
    people = add_people(cast.workspace, 3)
    with scope(cast.workspace):
        Contact.objects.filter(pk=people[0].pk).update(attributes={"tags": {"a": 1}})
    run = run_to_the_end(launched(title="{{ tags | compact: 0 | join: ', ' }}Hi"))
    assert run.tally == {"accepted": 2, "render_error": 1}


def test_a_run_that_an_older_version_launched_reaches_everybody(cast, connected, launched):
    add_people(cast.workspace, 5)
    run = launched()
    with scope(cast.workspace):
        pipeline.launch(run, timezone.now())
        Run.objects.update(audience_to=None)
    assert run_to_the_end(run).tally == {"accepted": 5}


def test_a_row_that_may_have_gone_out_is_unknown_and_not_cancelled(cast, prepared):
    run = prepared(2)
    with scope(cast.workspace):
        first = Message.objects.order_by("pk").first()
        Message.objects.filter(pk=first.pk).update(
            reason=Reason.RETRY_SCHEDULED, possible_duplicate=1
        )
        plan.cancel(run, by=cast.owner)
    assert run_to_the_end(run).tally == {"cancelled": 1, "unknown": 1}


def test_an_undone_send_can_be_planned_again_for_the_same_moment(cast, connected, launched):
    add_people(cast.workspace, 2)
    at = timezone.now() + timedelta(days=1)
    run = launched(schedule_type=Campaign.Schedule.AT, scheduled_at=at)
    with scope(cast.workspace):
        plan.cancel(run, by=cast.owner)
    pipeline.tick(timezone.now())
    with scope(cast.workspace):
        again = plan.schedule(Campaign.objects.get(), by=cast.owner, now=timezone.now())
    assert again.intended_at == run.intended_at


def test_a_refused_network_costs_no_attempts(cast, connected, prepared, monkeypatch):
    run = prepared(3)
    monkeypatch.setattr(
        "delivery.providers.fcm.sender.interpret",
        lambda answer: Outcome(answer.key, Verdict.LATER, "NOT_SENT", retry_after_secs=None),
    )
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        rows = Message.objects.filter(run=run)
        assert set(rows.values_list("reason", "attempts")) == {(Reason.RETRY_SCHEDULED, 0)}
        assert rows.first().due_at > timezone.now() + timedelta(seconds=5)


def test_the_last_shards_are_small_and_together_they_hold_every_row_once(cast, prepared, settings):
    settings.WORKERS = 1
    run = prepared(8_000)
    with scope(cast.workspace):
        shards = list(Shard.objects.filter(run=run).order_by("first_id"))
        rows = list(Message.objects.filter(run=run).order_by("pk").values_list("pk", flat=True))
    sizes = [sum(shard.first_id <= pk <= shard.last_id for pk in rows) for shard in shards]
    assert sum(sizes) == len(rows)
    assert sizes == [2_000] * 3 + [250] * 8
