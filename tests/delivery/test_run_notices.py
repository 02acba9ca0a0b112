"""The run page says how fast it goes, until when, and in words why it does not move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.models import Run
from delivery.admin.run import throughput
from delivery.admin.run.notices import obstacle, stopped
from delivery.admin.run.throughput import Limit, eta_secs, limit_of, recent_rate
from delivery.engine import installation, leases, pace
from delivery.models import Heartbeat, Installation, Message, Pace, Shard
from delivery.providers.fcm.provider import Fcm
from tenants.models import Connection
from tenants.scope import scope
from tests.delivery.run_pages import notices, page, progress

NOW = datetime(2026, 11, 21, 9, 7, tzinfo=UTC)  # far from a quarter of the hour


def after(secs: float) -> datetime:
    return NOW + timedelta(seconds=secs)


@pytest.fixture
def worker(db):
    return Heartbeat.objects.create(worker="here:1", beat_at=timezone.now())


# --- rate and end ---------------------------------------------------------------------------------
def test_the_rate_is_that_of_the_last_seconds_not_of_the_whole_run():
    run = Run(pk=1, epoch=1)
    assert recent_rate(run, 1_000, NOW) is None, "one look tells no speed"
    assert recent_rate(run, 1_050, after(1)) is None
    assert recent_rate(run, 1_400, after(4)) == 100
    assert recent_rate(run, 1_400, after(30)) is None, "the old looks are forgotten"
    assert recent_rate(run, 1_400, after(33)) == 0


def test_a_pause_does_not_slow_what_comes_after_it():
    assert recent_rate(Run(pk=1, epoch=1), 1_000, NOW) is None
    resumed = Run(pk=1, epoch=3)
    assert recent_rate(resumed, 1_000, after(15)) is None
    assert recent_rate(resumed, 1_500, after(18)) == pytest.approx(500 / 3)


def test_rows_that_wait_again_make_no_negative_rate():
    run = Run(pk=1, epoch=1)
    recent_rate(run, 1_000, NOW)
    assert recent_rate(run, 900, after(3)) is None
    assert recent_rate(run, 910, after(5)) == 5


def test_without_a_cache_there_is_no_rate_and_no_error(monkeypatch):
    monkeypatch.setattr(throughput, "cache", None)
    assert recent_rate(Run(pk=1, epoch=1), 1, NOW) is None


@pytest.mark.parametrize(
    ("limit", "waiting", "rate", "secs"),
    [
        (Limit(), 1_000, None, None),  # nobody can say
        (Limit(), 1_000, 50.0, 20),
        (Limit(100, "run"), 1_000, None, 10),  # at least
        (Limit(100, "run"), 1_000, 98.0, 10),  # the limit holds it back
        (Limit(100, "run"), 1_000, 10.0, 100),  # it is slower by itself
        (Limit(100, "run", closed_until=after(30)), 1_000, None, 40),
        # all within the ramp: 75 on average
        (Limit(100, "run", share=0.5, full_at=after(60)), 1_500, 50.0, 20),
        # 4,500 in the ramp, then 100 a second
        (Limit(100, "run", share=0.5, full_at=after(60)), 5_500, 50.0, 70),
        # 30 s later
        (Limit(100, "run", share=0.5, full_at=after(90), closed_until=after(30)), 5_500, None, 100),
    ],
)
def test_the_end_follows_from_the_rate_or_from_what_limits_it(limit, waiting, rate, secs):
    assert eta_secs(limit, waiting, rate, NOW) == (pytest.approx(secs) if secs else None)


def test_the_tightest_limit_counts(cast, connected, prepared):
    run = prepared(3)
    with scope(cast.workspace):
        run = Run.objects.select_related("connection").get(pk=run.pk)
        run.connection.per_second, run.per_second = 10_000, 40
        assert limit_of(run, NOW) == Limit(40, "run")
        Pace.objects.create(
            connection=connected, tokens=0, refilled_at=NOW, ramp_from=NOW, ramp_base=0.001
        )
        assert limit_of(run, NOW).whose == "connection", "10 a second while it begins"
        assert limit_of(run, after(30)).per_second == 40
        run.connection.per_second = 0
        run.per_second = None
        assert limit_of(run, NOW).per_second == 0


def test_the_page_reads_a_bucket_as_the_engine_does(cast, connected, prepared):
    run = prepared(3)
    with scope(cast.workspace):
        run = Run.objects.select_related("connection").get(pk=run.pk)
        run.connection.per_second = 10_000
        assert (limit_of(run, NOW).now, limit_of(run, NOW).is_growing) == (1_000, False), (
            "nothing was sent yet"
        )
        row = Pace.objects.create(
            connection=connected, tokens=0, refilled_at=NOW, ramp_from=NOW, ramp_base=0.1
        )
        assert (limit_of(run, after(30)).now, limit_of(run, after(30)).is_growing) == (5_500, True)
        rested = NOW + timedelta(hours=1)
        assert limit_of(run, rested).now == 1_000, "after a rest it begins again"
        pace.close(connected, after(75), after(70), is_throttled=True)
        during = limit_of(run, after(70))
        assert (during.now, during.full_at, during.is_throttled) == (5_000, after(135), True)
        row.refresh_from_db()
        assert row.refilled_at == NOW, "looking changes nothing"


def test_the_page_says_how_long_it_takes_at_least_and_what_limits_it(
    cast, connected, prepared, worker
):
    run = prepared(30)
    with scope(cast.workspace):
        Connection.objects.filter(pk=connected.pk).update(per_second=2)
    found = progress(cast, run)
    assert (found["rate"], found["eta_secs"]) == (None, 15)
    assert found["limit"] == "the connection allows 2 a second"


# --- why is it not moving? ------------------------------------------------------------------------
def test_an_unreachable_provider_is_named_with_the_next_try(cast, connected, prepared, worker):
    run = prepared(3)
    until = timezone.now() + timedelta(minutes=1)
    with scope(cast.workspace):
        pace.close(connected, until, timezone.now(), is_throttled=False)
    said = notices(progress(cast, run))
    assert "The provider cannot be reached, or answers with errors." in said
    assert f"{until.astimezone(cast.workspace.zone):%H:%M:%S}" in said


def test_a_locked_installation_says_so_before_all_else(cast, prepared, monkeypatch):
    run = prepared(3)
    monkeypatch.setattr(
        installation, "locked_because", lambda: "Sending is locked: it was restored."
    )
    assert notices(progress(cast, run)) == "Sending is locked: it was restored."


def test_the_quarter_hour_that_is_avoided_is_named(cast, prepared, worker, monkeypatch):
    run = prepared(3)
    with scope(cast.workspace):
        Run.objects.update(avoid_quarter_hours=True)
    until = timezone.now() + timedelta(minutes=3)
    monkeypatch.setattr(pace, "quarter_hour_until", lambda connection, now: until)
    assert (f"It continues at {until.astimezone(cast.workspace.zone):%H:%M:%S}") in notices(
        progress(cast, run)
    )


def test_a_ramp_says_how_far_it_is_and_whether_the_provider_asked_for_it(
    cast, connected, prepared, worker
):
    run, now = prepared(3), timezone.now()
    with scope(cast.workspace):
        Connection.objects.filter(pk=connected.pk).update(per_second=10_000)
        Pace.objects.create(
            connection=connected, tokens=0, refilled_at=now, ramp_from=now, ramp_base=0.1
        )
        assert ("A big send starts slowly, as the provider asks: now at most 1,0") in notices(
            progress(cast, run)
        )
        Pace.objects.update(ramp_base=0.05, ramp_from=now)
    assert "A big send starts slowly" not in notices(progress(cast, run))
    assert "The provider asked for a slower rate" in notices(progress(cast, run))


def test_shards_that_nobody_takes_wait_for_a_worker_that_is_free(cast, prepared, worker):
    run = prepared(3)
    assert notices(progress(cast, run)) == "", "a shard that has just been cut is taken in a moment"
    with scope(cast.workspace):
        Shard.objects.update(not_before=timezone.now() - timedelta(seconds=30))
    assert "All workers are busy with other campaigns" in notices(progress(cast, run))


def test_answers_that_do_not_come_are_named(cast, prepared, worker, monkeypatch):
    run = prepared(3)
    with scope(cast.workspace):
        leases.claim(timezone.now())
    assert notices(progress(cast, run)) == ""
    monkeypatch.setattr(throughput, "recent_rate", lambda run, attempted, now: 0.0)
    assert "The provider has not answered for some seconds" in notices(progress(cast, run))


def test_what_the_circuit_breaker_stopped_says_what_resume_means(cast, prepared, worker):
    run = prepared(3)
    with scope(cast.workspace):
        plan.pause_for_cause(
            run,
            "50 of the last 200 messages: the provider refused them for good.",
            tripped="refused",
        )
    said = notices(progress(cast, run))
    assert (
        "PushPilot paused this send. 50 of the last 200 messages: the provider refused them for good."
    ) in said
    assert "the same cause does not pause this send again" in said


# --- retries --------------------------------------------------------------------------------------
def test_the_last_retry_is_foreseen_and_a_pause_offered_for_what_is_unknown(cast, prepared, worker):
    run, now = prepared(3), timezone.now()
    due = now + timedelta(seconds=40)
    with scope(cast.workspace):
        Message.objects.update(reason=Reason.RETRY_SCHEDULED, due_at=due, retries=5)
        Shard.objects.update(not_before=due, tally={"unknown": 1})
    assert throughput.longest_wait(Fcm.manners, 5) == timedelta(seconds=1.15 * (320 + 640))
    over = (
        f"{(due + throughput.longest_wait(Fcm.manners, 5)).astimezone(cast.workspace.zone):%H:%M}"
    )
    said = notices(progress(cast, run))
    assert (
        f"tries each message at most 8 times, until about {over}. Pause this send to decide about "
        "the unknown recipients now."
    ) in said


def test_tries_that_never_arrived_have_no_end_to_foresee(cast, prepared, worker):
    run, due = prepared(3), timezone.now() + timedelta(seconds=40)
    with scope(cast.workspace):
        Message.objects.update(reason=Reason.RETRY_SCHEDULED, due_at=due)
        Shard.objects.update(not_before=due)
    assert "Only retries are left" in notices(progress(cast, run))
    assert "at most 8 times" not in notices(progress(cast, run))


# --- shards ---------------------------------------------------------------------------------------
def test_the_shards_tell_who_works_on_what_since_when_and_how_it_stands(cast, prepared, worker):
    run, now = prepared(3), timezone.now()
    assert (
        "The audience has 1 part. Sending: 0. Waiting: 1. Done: 0."
        in page(cast, run, "shards/").content.decode()
    )
    with scope(cast.workspace):
        leases.claim(now)
        Shard.objects.update(
            leased_at=now - timedelta(seconds=65),
            tally={"accepted": 7, "endpoint_gone": 2, "unsubscribed": 1},
            attempts=3,
        )
        owner = Shard.objects.get().owner
    html = page(cast, run, "shards/").content.decode()
    assert "Sending: 1. Waiting: 0. Done: 0. 1 worker sends now." in html
    for words in (leases.worker_name(), "1 min", "left", ">7<", ">2<", ">1<", ">3<"):
        assert words in html, words
    assert owner not in html, "the lease's secret part is nobody's business"
    with scope(cast.workspace):
        Shard.objects.update(lease_until=now - timedelta(seconds=1))
    assert "ran out" in page(cast, run, "shards/").content.decode()


def test_who_was_ruled_out_before_the_cut_is_named_beside_the_shards(cast, prepared, worker):
    run = prepared(3)
    for fields in ({}, {"state": Run.State.COMPLETED, "finished_at": timezone.now()}):
        settled = {"accepted": 2, "expired": 1} if fields else {}
        with scope(cast.workspace):
            tally = {"no_endpoint": 1_200, **settled}
            Run.objects.filter(pk=run.pk).update(tally=tally, audience_size=1_203, **fields)
            Shard.objects.update(
                tally={"accepted": 2, "expired": 1},
                not_before=timezone.now() + timedelta(seconds=0.8),
            )
        html = page(cast, run, "shards/").content.decode()
        assert "1,200 recipients were excluded before and are in no part." in html
        assert "continues in" not in html


def test_of_thousands_of_shards_those_under_work_come_first(
    cast, prepared, worker, django_assert_max_num_queries
):
    run = prepared(3)
    with scope(cast.workspace):
        first = Shard.objects.get()
        Shard.objects.bulk_create(
            Shard(
                workspace=cast.workspace,
                run=run,
                first_id=first.last_id + i,
                last_id=first.last_id + i,
                state="done",
            )
            for i in range(1, 300)
        )
        Shard.objects.filter(first_id=first.last_id + 250).update(state="leased", owner="far:1:x")
    client = cast.client("viewer")
    with django_assert_max_num_queries(8):
        html = client.get(cast.url(f"campaigns/run/{run.pk}/shards/")).content.decode()
    assert html.index("far:1") < html.index("Waiting", html.index("<tbody>"))
    assert "200 more parts" in html


# --- whoever waits for a send that cannot move ----------------------------------------------------
def campaign_obstacles(cast, run) -> list[str]:
    page = cast.client("viewer").get(cast.url(f"campaigns/campaign/{run.campaign_id}/change/"))
    return page.context["obstacles"]


def dashboard_obstacle(cast) -> str:
    return cast.client("viewer").get(cast.url()).context["dashboard"]["obstacle"]


def test_the_campaign_and_the_dashboard_say_that_no_worker_runs_while_a_run_waits(cast, prepared):
    run = prepared(1)
    assert (
        campaign_obstacles(cast, run)
        == [dashboard_obstacle(cast)]
        == [stopped(timezone.now()).text]
    )
    Heartbeat.objects.create(worker="here:1", beat_at=timezone.now())
    assert campaign_obstacles(cast, run) == []
    assert dashboard_obstacle(cast) == ""


def test_the_campaign_and_the_dashboard_say_that_sending_is_locked_while_a_run_waits(
    cast, prepared, worker
):
    run = prepared(1)
    assert dashboard_obstacle(cast) == ""
    Installation.objects.create(pk=1, name="live-database")
    assert "INSTANCE_ID=live-database" in dashboard_obstacle(cast)
    assert campaign_obstacles(cast, run) == [dashboard_obstacle(cast)]


def test_nothing_is_said_about_a_missing_worker_when_nothing_waits(cast, prepared):
    run = prepared(1)
    with scope(cast.workspace):
        plan.cancel(run, by=cast.owner)
        assert obstacle(run.campaign) == ""
    assert dashboard_obstacle(cast) == ""
