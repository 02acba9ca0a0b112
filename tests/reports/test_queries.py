"""Each number, against small worlds whose truth is known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns.models import Campaign, Run
from delivery.models import Shard
from reports import digest, queries, store
from reports.funnel import funnel_of, reasons
from reports.models import Event, Rollup
from reports.store import RollupKey
from tenants.models import Connection
from tests.reports.made import make_sent

# Noon in Kolkata.
NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)


def roll(workspace, sent, kind: str, at: datetime, events: int, people: int | None = None) -> None:
    key = RollupKey(workspace.pk, digest.quarter_of(at), sent.campaign.pk, sent.run.pk, kind)
    store.add_to_rollups({key: (events, events if people is None else people)})


@pytest.fixture
def w(inside):
    return inside.workspace


# --- the five figures -----------------------------------------------------------------------------


def test_sent_counts_what_providers_accepted_over_all_runs_of_this_workspace_alone(cast, w):
    make_sent(w, tally={"accepted": 100, "rejected": 7, "unknown": 3, "no_endpoint": 5})
    make_sent(w, tally={"accepted": 20}, state=Run.State.CANCELLED)
    make_sent(cast.other_workspace, tally={"accepted": 999})
    assert queries.total_messages_sent(w) == 120


def live_run(w):
    """A run of 100 whose preparation skipped 10 and whose two shards have settled 45."""
    sent = make_sent(w, 0, state=Run.State.RUNNING, tally={"no_endpoint": 10})
    Run.objects.filter(pk=sent.run.pk).update(audience_size=100)
    for first, tally in (
        (1, {"accepted": 40, "rejected": 2, "retry_scheduled": 9}),
        (51, {"accepted": 3}),
    ):
        Shard.objects.create(
            workspace=w, run=sent.run, first_id=first, last_id=first + 49, tally=tally
        )
    return sent


def test_a_run_under_way_counts_what_its_shards_have_recorded(w):
    sent = live_run(w)
    assert queries.total_messages_sent(w) == 43
    (row,) = queries.runs_of(sent.campaign.pk)
    assert (row.audience, row.accepted, row.failed) == (100, 43, 2)


def test_a_run_that_failed_without_an_account_still_counts_what_it_sent_and_one_with_an_account_counts_once(
    w,
):
    sent = live_run(w)
    Run.objects.filter(pk=sent.run.pk).update(state=Run.State.FAILED, finished_at=NOW)
    assert queries.total_messages_sent(w) == 43
    Run.objects.filter(pk=sent.run.pk).update(
        tally={"no_endpoint": 10, "accepted": 43, "rejected": 2, "cancelled": 45}
    )
    assert queries.total_messages_sent(w) == 43


def test_today_begins_at_midnight_in_the_workspaces_zone(w):
    # 23:59 in Kolkata
    make_sent(w, tally={"accepted": 5}, started_at=datetime(2026, 11, 20, 18, 29, tzinfo=UTC))
    # 00:01
    make_sent(w, tally={"accepted": 7}, started_at=datetime(2026, 11, 20, 18, 31, tzinfo=UTC))
    assert queries.messages_sent_today(w, NOW) == 7


def test_the_next_notification_is_the_earliest_planned_run(w):
    assert queries.next_send_time(w, NOW) is None
    make_sent(w, 0, state=Run.State.PLANNED, started_at=NOW + timedelta(hours=9))
    make_sent(w, 0, state=Run.State.PLANNED, started_at=NOW + timedelta(hours=3))
    make_sent(w, 0, state=Run.State.CANCELLED, started_at=NOW + timedelta(hours=1))
    assert queries.next_send_time(w, NOW) == NOW + timedelta(hours=3)


def test_active_campaigns_are_scheduled_running_or_paused(w):
    for status in Campaign.Status:
        make_sent(w, 0, status=status)
    assert queries.active_campaign_count(w) == 3
    assert queries.active_campaigns(w) == {"scheduled": 1, "running": 1, "paused": 1}


def test_connected_applications_are_active_connections(w):
    for name, active in (("old", False), ("live", True)):
        row = Connection(workspace=w, name=name, provider="fcm", is_active=active)
        row.credentials = "{}"
        row.save()
    assert queries.connected_applications_count(w) == 1


# --- series ---------------------------------------------------------------------------------------


def test_days_are_those_of_the_workspace_even_where_they_begin_at_half_past(w):
    sent = make_sent(w, started_at=NOW - timedelta(days=2))
    roll(w, sent, "opened", datetime(2026, 11, 20, 18, 29, 59, tzinfo=UTC), 4)
    roll(w, sent, "opened", datetime(2026, 11, 20, 18, 30, tzinfo=UTC), 6)
    roll(w, sent, "opened", NOW - timedelta(days=20), 100)
    found = queries.events_by_day(w, NOW, 14)
    assert found == {"opened": {date(2026, 11, 20): 4, date(2026, 11, 21): 6}}


def test_a_day_of_the_spring_change_has_its_own_length(w):
    w.time_zone = "Europe/Berlin"
    after_change = datetime(2026, 3, 29, 12, tzinfo=UTC)
    start, following = (
        queries.day_start(w, after_change, 0),
        queries.day_start(w, after_change + timedelta(days=1), 0),
    )
    assert following - start == timedelta(hours=23)


def test_events_of_no_campaign_stay_out_of_the_campaigns_charts(w):
    store.add_to_rollups({RollupKey(w.pk, digest.quarter_of(NOW), 0, 0, "opened"): (50, 0)})
    assert queries.events_by_day(w, NOW, 14) == {}
    assert queries.people_by_run(w, NOW - timedelta(days=1)) == {}


def test_sent_by_day_and_channel_follow_the_start_of_the_runs(w):
    make_sent(w, tally={"accepted": 5}, started_at=NOW - timedelta(days=1))
    make_sent(w, tally={"accepted": 7}, started_at=NOW, channel="web_push")
    make_sent(w, tally={"accepted": 2}, started_at=NOW, channel="web_push")
    runs = queries.runs_since(w, NOW - timedelta(days=5))
    assert queries.sent_by_day(w, runs) == {date(2026, 11, 20): 5, date(2026, 11, 21): 9}
    assert queries.sent_by_channel(runs, NOW - timedelta(days=5)) == [
        ("web_push", 9),
        ("app_push", 5),
    ]


# --- one campaign ---------------------------------------------------------------------------------


def test_the_funnel_says_what_became_of_the_audience_and_how_each_number_is_measured(w):
    sent = make_sent(
        w,
        0,
        tally={
            "accepted": 80,
            "rejected": 5,
            "endpoint_gone": 10,
            "unknown": 5,
            "no_endpoint": 100,
        },
    )
    roll(w, sent, "delivered", NOW, 75, 70)
    roll(w, sent, "opened", NOW, 40, 20)
    funnel = funnel_of(
        queries.runs_of(sent.campaign.pk),
        queries.everybody(queries.people_of_campaign(sent.campaign.pk)),
    )
    assert {step.key: step.count for step in funnel.steps} == {
        "audience": 200, "accepted": 80, "delivered": 70, "opened": 20, "clicked": 0, "converted": 0, "failed": 15,
        "unknown": 5,
    }  # fmt: skip
    assert funnel["opened"].percent == 25.0
    assert funnel.failed_percent == 15.0
    assert all(step.measured for step in funnel.steps)
    assert not funnel.is_live


def test_the_funnel_of_a_topic_speaks_of_messages_and_of_no_share(w):
    sent = make_sent(w, 0, tally={"accepted": 1})
    Run.objects.filter(pk=sent.run.pk).update(target_kind="topic", target="news")
    roll(w, sent, "opened", NOW, 40, 1)
    funnel = funnel_of(
        queries.runs_of(sent.campaign.pk),
        queries.everybody(queries.people_of_campaign(sent.campaign.pk)),
    )
    assert [step.label for step in funnel.steps][:2] == ["Messages", "Handed over"]
    assert all(step.percent is None and not step.of and step.measured for step in funnel.steps)
    assert not any(
        "ecipient" in step.measured or "udience" in step.measured for step in funnel.steps
    )


def test_what_is_unknown_stays_unknown_after_somebody_decided_to_leave_it_so(w):
    sent = make_sent(w, 0, tally={"accepted": 8, "unknown_closed": 2})
    (run,) = queries.runs_of(sent.campaign.pk)
    assert (run.failed, run.unknown, run.undecided) == (0, 2, 0)


def test_nothing_is_a_percentage_of_nothing(w):
    funnel = funnel_of([], {})
    assert {step.percent for step in funnel.steps} == {None}
    assert {step.words for step in funnel.steps} == {"–"}


def test_the_reasons_add_up_to_the_audience_while_a_run_is_under_way(w):
    rows = reasons(queries.runs_of(live_run(w).campaign.pk), "app_push")
    assert sum(row.count for row in rows) == 100
    assert {row.reason.slug: row.count for row in rows} == {
        "accepted": 43, "no_endpoint": 10, "rejected": 2, "pending": 45,
    }  # fmt: skip
    assert rows[-1].reason.slug == "pending"


def test_no_query_reads_events_or_messages(w):
    sent = make_sent(w)
    now = timezone.now()
    with CaptureQueriesContext(
        connection,
    ) as captured:
        queries.total_messages_sent(w)
        runs = queries.runs_since(w, now - timedelta(days=28))
        queries.events_by_day(w, now, 14)
        queries.people_by_run(w, now - timedelta(days=28))
        funnel_of(runs, queries.everybody(queries.people_of_campaign(sent.campaign.pk)))
        queries.engagement_over_time(sent.campaign.pk, now - timedelta(days=7), now)
    tables = " ".join(query["sql"] for query in captured)
    assert Rollup._meta.db_table in tables
    assert Event._meta.db_table not in tables
    assert "delivery_message" not in tables
