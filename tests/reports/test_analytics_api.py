"""Figures and events by API, and what of them a viewer and a key see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from allauth.account.models import EmailAddress
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns.models import Campaign, Contact, Run
from reports import funnel, queries
from reports.models import Event
from tenants import keys
from tenants.scope import scope
from tests.reports.made import make_sent
from tests.tenants.api.app import App, key_of, refused

SUMMARY, EVENTS = "/analytics/summary", "/analytics/events"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def program(cast) -> App:
    return App(f"Bearer {key_of(cast.workspace, scopes=[keys.ANALYTICS_READ])}")


def person(cast, role: str) -> App:
    user = getattr(cast, role)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return App().sign_in(user.email, "correct horse")


def happened(workspace, type: str = "opened", minutes: int = 0, **fields) -> Event:
    """An event so many minutes after noon."""
    at = NOON + timedelta(minutes=minutes)
    with scope(workspace):
        count = Event.objects.count()
        made = {"event_id": f"e{count}", "occurred_at": at, "received_at": at, **fields}
        return Event.objects.create(workspace=workspace, type=type, **made)


def ids(answer) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


# --- who ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_address_answers_with_and_without_its_last_slash(cast, program, slash):
    sent = make_sent(cast.workspace)
    for path in (SUMMARY, EVENTS, f"/analytics/campaign/{sent.campaign.pk}"):
        assert program.get(path + slash).status_code == 200


def test_a_key_without_the_scope_is_refused_and_a_viewer_reads(cast):
    sent = make_sent(cast.workspace)
    other = App(f"Bearer {key_of(cast.workspace, scopes=[keys.CAMPAIGNS_READ])}")
    viewer = person(cast, "viewer")
    for path in (SUMMARY, EVENTS, f"/analytics/campaign/{sent.campaign.pk}"):
        assert refused(other.get(path)) == (403, "scope_missing")
        assert viewer.get(path).status_code == 200


# --- the summary ----------------------------------------------------------------------------------
def test_the_summary_has_the_figures_of_the_dashboard(cast, program):
    make_sent(cast.workspace, tally={"accepted": 100, "rejected": 7})
    make_sent(
        cast.workspace,
        tally={"accepted": 20},
        started_at=timezone.now() - timedelta(days=3),
        status=Campaign.Status.RUNNING,
    )
    make_sent(cast.other_workspace, tally={"accepted": 999})
    planned = make_sent(cast.workspace, state=Run.State.PLANNED, tally={}).run
    at = timezone.now() + timedelta(hours=5)
    with scope(cast.workspace):
        Run.objects.filter(pk=planned.pk).update(intended_at=at, not_after=at, audience_size=None)
        now = timezone.now()
        today = queries.messages_sent_today(cast.workspace, now)
    told = program.get(SUMMARY).json()
    assert datetime.fromisoformat(told.pop("next_notification_time")) == at.replace(
        microsecond=at.microsecond // 1000 * 1000
    )
    assert told == {
        "total_notifications_sent": 120,
        "today_notifications": today,
        "active_campaign_count": 1,
        "connected_applications_count": 0,
    }


def test_a_new_workspace_has_nothing(program):
    assert program.get(SUMMARY).json() == {
        "total_notifications_sent": 0,
        "today_notifications": 0,
        "next_notification_time": None,
        "active_campaign_count": 0,
        "connected_applications_count": 0,
    }


# --- a campaign -----------------------------------------------------------------------------------
TALLY = {"accepted": 80, "rejected": 12, "unknown": 3, "no_endpoint": 5}


def test_a_campaigns_figures_are_those_of_its_page_and_its_reasons_add_up(cast, program, sdk):
    sent = make_sent(cast.workspace, tally=TALLY)
    events = [
        {"event_id": f"{kind}{index}", "type": kind, "ref": sent.ref(index)}
        for kind, count in (("delivered", 3), ("opened", 2), ("clicked", 1))
        for index in range(count)
    ]
    assert sdk.post_and_digest(*events).status_code == 202
    told = program.get(f"/analytics/campaign/{sent.campaign.pk}").json()
    with scope(cast.workspace):
        page = funnel.funnel_of(
            queries.runs_of(sent.campaign.pk),
            queries.everybody(queries.people_of_campaign(sent.campaign.pk)),
        )
    for name, step in (("sent", "accepted"), ("delivered", "delivered"), ("opened", "opened")):
        assert told[name] == page[step].count
    assert {reason["reason"]: reason["count"] for reason in told.pop("reasons")} == TALLY
    assert told == {
        "campaign_id": sent.campaign.pk,
        "is_broadcast": False,
        "is_live": False,
        "messages": 100,
        "audience": 100,
        "sent": 80,
        "delivered": 3,
        "opened": 2,
        "clicked": 1,
        "converted": 0,
        "failed": 12,
        "unknown": 3,
        "delivered_percent": 3.75,
        "opened_percent": 2.5,
        "clicked_percent": 1.25,
        "converted_percent": 0.0,
        "failed_percent": 12.63,
    }


def test_a_run_that_has_not_started_counts_nothing(cast, program):
    sent = make_sent(cast.workspace, state=Run.State.PLANNED, tally={"accepted": 9})
    told = program.get(f"/analytics/campaign/{sent.campaign.pk}").json()
    assert (told["audience"], told["sent"], told["failed_percent"], told["reasons"]) == (
        0,
        0,
        None,
        [],
    )


def test_a_broadcast_says_null_where_only_the_provider_knows(cast, program):
    sent = make_sent(cast.workspace, 1, tally={"accepted": 1})
    with scope(cast.workspace):
        Run.objects.filter(pk=sent.run.pk).update(target_kind="topic")
    told = program.get(f"/analytics/campaign/{sent.campaign.pk}").json()
    assert (told["is_broadcast"], told["messages"], told["sent"], told["failed"]) == (True, 1, 1, 0)
    unknown = [name for name, value in told.items() if value is None]
    assert unknown == [
        "audience",
        "delivered",
        "opened",
        "clicked",
        "converted",
        "delivered_percent",
        "opened_percent",
        "clicked_percent",
        "converted_percent",
    ]


def test_a_campaign_of_others_or_of_nobody_is_not_there(cast, program):
    theirs = make_sent(cast.other_workspace).campaign.pk
    for pk in (theirs, 999_999, 10**30):
        answer = program.get(f"/analytics/campaign/{pk}")
        assert refused(answer) == (404, "campaign_not_found")


# --- events ---------------------------------------------------------------------------------------
def test_events_come_newest_first_with_what_was_reported(cast, program):
    with scope(cast.workspace):
        asha = Contact.objects.create(workspace=cast.workspace, external_id="asha")
    old = happened(
        cast.workspace,
        campaign_id=5,
        run_id=6,
        message_id=7,
        contact_id=asha.pk,
        metadata={"os": "Android 14"},
    )
    late = happened(cast.workspace, "custom", -60, name="visit", external_user_id="ravi")
    answer = program.get(EVENTS).json()
    assert (answer["count"], answer["next"], answer["previous"]) == (None, None, None)
    assert [row["id"] for row in answer["results"]] == [old.pk, late.pk]
    assert answer["results"][0] == {
        "id": old.pk,
        "event_id": "e0",
        "event_type": "opened",
        "name": "",
        "campaign_id": 5,
        "run_id": 6,
        "notification_id": 7,
        "external_user_id": "asha",
        "occurred_at": "2026-11-21T12:00:00Z",
        "received_at": "2026-11-21T12:00:00Z",
        "metadata": {"os": "Android 14"},
    }
    assert answer["results"][1]["external_user_id"] == "ravi"


@pytest.fixture
def four(cast) -> dict[str, int]:
    with scope(cast.workspace):
        asha = Contact.objects.create(workspace=cast.workspace, external_id="asha")
    happened(cast.other_workspace, campaign_id=5, contact_id=asha.pk)
    return {
        "first": happened(cast.workspace, "custom", 0, external_user_id="asha").pk,
        "second": happened(cast.workspace, "delivered", 1, campaign_id=5, contact_id=asha.pk).pk,
        "third": happened(cast.workspace, "opened", 2, campaign_id=5, external_user_id="ravi").pk,
        "fourth": happened(cast.workspace, "opened", 3, campaign_id=6).pk,
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("event_type=opened", ["fourth", "third"]),
        ("event_type=failed", []),
        ("campaign=5", ["third", "second"]),
        ("campaign=5&event_type=opened", ["third"]),
        ("external_user_id=asha", ["second", "first"]),
        ("external_user_id=%20asha%20", ["second", "first"]),
        ("external_user_id=ravi", ["third"]),
        ("external_user_id=nobody", []),
        ("occurred_after=2026-11-21T12:02:00Z", ["fourth", "third"]),
        ("occurred_before=2026-11-21T12:02:00Z", ["second", "first"]),
        (
            "occurred_after=2026-11-21T17:31:00%2B05:30&occurred_before=2026-11-21T12:03:00Z",
            ["third", "second"],
        ),
    ],
)
def test_events_are_filtered(program, four, query, expected):
    assert ids(program.get(f"{EVENTS}?{query}")) == [four[name] for name in expected]


def test_an_event_is_its_contacts_whatever_name_the_app_put_beside_it(cast, program):
    with scope(cast.workspace):
        ravi = Contact.objects.create(workspace=cast.workspace, external_id="ravi")
    pk = happened(cast.workspace, contact_id=ravi.pk, external_user_id="asha").pk
    assert ids(program.get(f"{EVENTS}?external_user_id=asha")) == []
    assert ids(program.get(f"{EVENTS}?external_user_id=ravi")) == [pk]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("event_type=seen", "event_type"),
        ("campaign=x", "campaign"),
        ("campaign=0", "campaign"),
        ("campaign=9223372036854775808", "campaign"),
        ("occurred_after=yesterday", "occurred_after"),
        ("external_user_id=a%0Ab", "external_user_id"),
        ("external_user_id=" + "a" * 201, "external_user_id"),
        ("type=opened", "type"),
        ("page=2", "page"),
        ("cursor=after-5", "cursor"),
        ("cursor=x", "cursor"),
    ],
)
def test_a_wrong_parameter_is_named(program, query, field):
    answer = program.get(f"{EVENTS}?{query}")
    assert refused(answer) == (422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_pages_follow_each_other_in_both_directions_while_events_come(cast, program):
    made = [happened(cast.workspace, minutes=at // 2).pk for at in range(7)]  # pairs of one moment
    newest = made[::-1]
    pages, address = [], f"{EVENTS}?page_size=3"
    while address:
        answer = program.get(address)
        pages.append(ids(answer))
        happened(cast.workspace, minutes=60 + len(pages))  # a newer one moves nothing
        last, address = answer.json(), answer.json()["next"]
        address = address and address.partition("/api/v1")[2]
    assert pages == [newest[:3], newest[3:6], newest[6:]]
    back = program.get(last["previous"].partition("/api/v1")[2])
    assert ids(back) == newest[3:6]
    back = program.get(back.json()["previous"].partition("/api/v1")[2])
    assert ids(back) == newest[:3]
    assert len(ids(program.get(back.json()["previous"].partition("/api/v1")[2]))) == 3


def test_only_who_may_send_sees_references_of_messages(cast, program):
    ref = make_sent(cast.workspace).ref()
    happened(
        cast.workspace,
        event_id=f"{ref}:opened",
        name=f"for {ref}",
        metadata={"link": f"x?ref={ref}", f"{ref}": [{"deep": f"\n{ref}"}], "count": 3},
    )
    seen = {
        name: app.get(EVENTS).json()["results"][0]
        for name, app in (
            ("key", program),
            ("viewer", person(cast, "viewer")),
            ("admin", person(cast, "admin")),
        )
    }
    assert ref in seen["admin"]["event_id"]
    assert seen["admin"]["metadata"][ref] == [{"deep": f"\n{ref}"}]
    assert seen["key"] == seen["viewer"]
    assert ref not in str(seen["viewer"])
    assert seen["viewer"]["event_id"] == "(ref):opened"
    assert seen["viewer"]["metadata"]["count"] == 3


@pytest.mark.skipif(connection.vendor != "postgresql", reason="asks PostgreSQL for its plan")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "event_by_time"),
        (
            "occurred_after=2026-01-01T00:00:00Z&occurred_before=2026-01-02T00:00:00Z",
            "event_by_time",
        ),
        ("event_type=converted", "event_by_type"),
        ("campaign=5&occurred_before=2026-01-02T00:00:00Z", "event_by_campaign"),
        ("external_user_id=asha", "event_by_contact"),
        ("external_user_id=asha", "event_by_name"),
    ],
)
def test_each_filter_has_its_index(cast, program, query, index):
    with scope(cast.workspace):
        asha = Contact.objects.create(workspace=cast.workspace, external_id="asha")
        Event.objects.bulk_create(
            Event(
                workspace=cast.workspace,
                event_id=f"m{n}",
                type="opened" if n % 9 else "delivered",
                campaign_id=n % 50 or None,
                contact_id=asha.pk + n % 500 if n % 3 else None,
                external_user_id="" if n % 3 else f"p{n}",
                received_at=NOON,
                occurred_at=NOON - timedelta(minutes=n),
            )
            for n in range(5_000)
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE reports_event")
    with CaptureQueriesContext(connection) as asked:
        program.get(f"{EVENTS}?{query}")
    (listing,) = [one["sql"] for one in asked if 'FROM "reports_event"' in one["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {listing}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert index in plan
    assert "Seq Scan on reports_event" not in plan
