"""The dashboard, the panels and the events page, as each role sees them."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns.models import Campaign, Run
from reports import dashboard, panels
from reports.models import Event
from tenants.scope import scope
from tests.reports.made import make_sent

ROLES = ("owner", "admin", "member", "viewer")
QUERIES_AT_MOST = 18


@pytest.fixture
def busy(cast, sdk):
    """Five weeks of sends, some reports of devices, and one send to come."""
    now = timezone.now()
    for days in (0, 1, 3, 5, 16, 20, 40):
        sent = make_sent(cast.workspace, 4, name=f"Sale {days}", started_at=now - timedelta(days=days, minutes=30),
                         tally={"accepted": 1200 + days, "endpoint_gone": 30})  # fmt: skip
        events = [{"event_id": f"{days}-{i}", "type": kind, "ref": sent.ref(i)}
                  for i, kind in enumerate(("delivered", "opened", "clicked", "delivered"))]  # fmt: skip
        sdk.post_and_digest(*events)
    make_sent(
        cast.workspace,
        0,
        name="Tomorrow's sale",
        state=Run.State.PLANNED,
        started_at=now + timedelta(days=1),
    )
    return cast


def get(cast, role: str, path: str = ""):
    return cast.client(role).get(cast.url(path))


@pytest.mark.parametrize("role", ROLES)
def test_every_role_sees_the_dashboard_with_thousands_separators(busy, role):
    page = get(busy, role)
    html = page.content.decode()
    assert page.status_code == 200
    assert "8,485" in html  # 7 × 1,200 + 0 + 1 + 3 + 5 + 16 + 20 + 40
    assert f", {role.title()}" in html
    assert "Tomorrow" in html
    assert html.count("data-chart=") == 3


def test_the_change_beside_the_messages_is_that_of_their_number(busy):
    """Not of all messages ever, which stand below: 4,809 in 14 days after 1,216 in the 14 days
    before."""
    card = get(busy, "owner").context["dashboard"]["cards"][0]
    assert card.value == "4,809"
    assert card.change == dashboard._change(4809, 2436)
    assert "8,485" in card.note


def test_a_recent_campaign_says_how_many_sends_its_figures_are_of(busy, sdk):
    sent = make_sent(
        busy.workspace, 0, name="Weekly", started_at=timezone.now() - timedelta(days=9)
    )
    with scope(busy.workspace):
        Run.objects.filter(pk=sent.run.pk).update(
            campaign=Run.objects.get(campaign__name="Sale 1").campaign
        )
    rows = get(busy, "owner").context["dashboard"]["recent"]
    assert {row["name"]: row["sends"] for row in rows}["Sale 1"] == 2
    assert {row["sends"] for row in rows if row["name"] != "Sale 1"} == {1}


def test_an_outsider_sees_nothing_and_a_stranger_signs_in(busy):
    assert get(busy, "outsider").status_code == 404
    assert get(busy, "anonymous").status_code == 302


@pytest.mark.parametrize(("role", "may"), [("owner", True), ("member", True), ("viewer", False)])
def test_only_who_may_write_campaigns_is_offered_to(busy, role, may):
    assert (
        b"New campaign" in re.sub(rb"<nav.*?</nav>", b"", get(busy, role).content, flags=re.S)
    ) is may


def test_the_dashboard_takes_at_most_eighteen_queries_however_much_was_sent(busy):
    client = busy.client("owner")
    client.get(busy.url())
    with CaptureQueriesContext(connection) as first:
        client.get(busy.url())
    for i in range(6):
        make_sent(busy.workspace, name=f"More {i}")
    with CaptureQueriesContext(connection) as second:
        client.get(busy.url())
    assert len(second) == len(first) <= QUERIES_AT_MOST, "\n".join(
        query["sql"][:150] for query in first
    )


def test_the_charts_get_the_numbers_of_the_days(busy):
    html = get(busy, "viewer").content.decode()
    volume = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', html)[0])
    assert [series["label"] for series in volume["series"]] == ["Sent", "Delivered", "Opened"]
    assert len(volume["labels"]) == 14
    assert sum(volume["series"][0]["data"]) == 4 * 1200 + 9
    # reported now, whenever they were sent
    assert sum(volume["series"][1]["data"]) == 4 * 2 + 3 * 2


def test_what_is_next_is_told_on_its_own_clock_too_where_that_differs(cast):
    at = timezone.now() + timedelta(days=2)
    for zone in ("", cast.workspace.time_zone, "Europe/Berlin"):
        make_sent(
            cast.workspace, 0, name=zone, state=Run.State.PLANNED, started_at=at, time_zone=zone
        )
    shown = get(cast, "viewer").context["dashboard"]
    berlin = f"{at.astimezone(ZoneInfo('Europe/Berlin')):%a %H:%M %Z}"
    rows = {row["name"]: row["own_clock"] for row in shown["next_up"]}
    assert rows == {"": "", cast.workspace.time_zone: "", "Europe/Berlin": berlin}


def test_the_next_send_names_its_own_clock_before_a_name_that_may_be_cut(cast):
    at = timezone.now() + timedelta(days=2)
    sent = make_sent(cast.workspace, 0, state=Run.State.PLANNED, started_at=at)
    for zone, begins in (
        (cast.workspace.time_zone, sent.campaign.name),
        ("Europe/Berlin", f"{at.astimezone(ZoneInfo('Europe/Berlin')):%a %H:%M %Z} · "),
    ):
        with scope(cast.workspace):
            Campaign.objects.filter(pk=sent.campaign.pk).update(time_zone=zone)
        cards = get(cast, "viewer").context["dashboard"]["cards"]
        assert next(card.note for card in cards if card.icon == "schedule").startswith(begins)


def test_a_new_workspace_gets_three_steps_and_no_empty_charts(cast):
    html = get(cast, "owner").content.decode()
    assert "Three steps to your first campaign" in html
    assert "Import templates" in html
    assert "data-chart" not in html
    client = cast.client("owner")
    client.get(cast.url())
    with CaptureQueriesContext(connection) as captured:
        client.get(cast.url())
    assert len(captured) <= QUERIES_AT_MOST


def test_a_step_that_is_done_is_ticked_off(cast):
    make_sent(
        cast.workspace, 0, state=Run.State.PLANNED, started_at=timezone.now() + timedelta(hours=1)
    )
    assert get(cast, "owner").content.decode().count("(done)") == 1


def test_names_are_escaped(cast):
    make_sent(cast.workspace, name="<script>alert(1)</script>")
    html = get(cast, "viewer").content.decode()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


def test_trouble_is_told_in_sentences(cast):
    make_sent(cast.workspace, name="Half", tally={"accepted": 50, "rejected": 50})
    make_sent(cast.workspace, name="Lost", tally={"accepted": 50, "unknown": 2})
    make_sent(cast.workspace, name="Late", state=Run.State.MISSED, tally={})
    html = get(cast, "viewer").content.decode()
    assert "The provider refused 50.0 % of the messages." in html
    assert "2 messages may have arrived" in html
    assert "The send was missed." in html
    assert html.count("dash-strip-bad") == 2
    assert html.count("dash-strip-fair") == 1


def test_a_run_whose_message_could_not_be_made_needs_attention(cast):
    make_sent(cast.workspace, name="Nobody", tally={"render_error": 40, "no_endpoint": 5})
    make_sent(cast.workspace, name="Some", tally={"accepted": 80, "payload_too_large": 8})
    make_sent(cast.workspace, name="Few", tally={"accepted": 800, "render_error": 8})
    topic = make_sent(cast.workspace, name="Topic", tally={"render_error": 1})
    with scope(cast.workspace):
        Run.objects.filter(pk=topic.run.pk).update(target_kind="topic", target="news")
    html = get(cast, "viewer").content.decode()
    assert "Topic</a>: Nobody received the message. It could not be created. The page" in html
    assert (
        "Nobody</a>: Nobody received the message. It could not be created for 40 recipients."
        in html
    )
    assert "Some</a>: The message could not be created for 8 recipients." in html
    assert "Few</a>" not in html.partition("dash-strip")[2]
    assert [html.count(f"dash-strip-{tone}") for tone in ("bad", "fair", "good")] == [2, 1, 1]


@pytest.mark.parametrize(("now", "before", "text"), [
    (133, 100, "+33.0 %"), (50, 100, "-50.0 %"), (100, 100, None), (5, 0, None), (0, 0, None), (5000, 10, "×500"),
])  # fmt: skip
def test_a_change_is_only_shown_where_there_is_something_to_compare(now, before, text):
    change = dashboard._change(now, before)
    assert (change and change.text) == text


# --- panels ---------------------------------------------------------------------------------------


def test_the_campaign_page_carries_the_report(busy):
    with scope(busy.workspace):
        run = Run.objects.filter(started_at__isnull=False).latest("started_at")
    page = get(busy, "viewer", f"campaigns/campaign/{run.campaign_id}/change/")
    html = page.content.decode()
    assert page.status_code == 200
    assert 'data-step="accepted"' in html
    assert "Only the device can say whether it arrived." in html
    assert 'data-chart="curve"' in html


def test_the_run_page_carries_the_funnel_and_its_figures_move_with_events(busy, sdk):
    sent = make_sent(busy.workspace)
    assert (
        b'data-figure="opened"'
        in get(busy, "viewer", f"campaigns/run/{sent.run.pk}/change/").content
    )
    sdk.post_and_digest({"event_id": "tap", "type": "opened", "ref": sent.ref()})
    figures = get(busy, "viewer", f"reports/event/run/{sent.run.pk}/figures/").json()
    assert figures == {
        "audience": 3, "accepted": 3, "delivered": 0, "opened": 1, "clicked": 0, "converted": 0, "failed": 0,
        "unknown": 0, "is_live": False, "state": "completed",
    }  # fmt: skip
    fragment = get(busy, "viewer", f"reports/event/run/{sent.run.pk}/funnel/").content.decode()
    assert re.search(r'data-figure="opened">1<', fragment)
    assert re.search(r'hx-get="/w/[^"]+/funnel/"', fragment)


def test_a_campaign_that_never_ran_has_an_honest_panel(cast, rf):
    sent = make_sent(cast.workspace, 0, state=Run.State.PLANNED)
    with scope(cast.workspace):
        html = panels.campaign_panel(rf.get("/"), sent.campaign)
    assert "Nothing was sent yet" in html


@pytest.mark.parametrize(
    "path", ["run/{run}/figures/", "run/{run}/funnel/", "campaign/{campaign}/funnel/"]
)
def test_figures_of_another_workspace_do_not_exist(cast, path):
    theirs = make_sent(cast.other_workspace)
    address = "reports/event/" + path.format(run=theirs.run.pk, campaign=theirs.campaign.pk)
    assert get(cast, "owner", address).status_code == 404
    own = make_sent(cast.workspace)
    address = "reports/event/" + path.format(run=own.run.pk, campaign=own.campaign.pk)
    assert get(cast, "viewer", address).status_code == 200
    assert get(cast, "outsider", address).status_code == 404


def test_messages_know_what_devices_reported_about_them(cast, sdk):
    sent = make_sent(cast.workspace)
    sdk.post_and_digest({"event_id": "1", "type": "opened", "ref": sent.ref()},
                        {"event_id": "2", "type": "delivered", "ref": sent.ref()})  # fmt: skip
    with scope(cast.workspace):
        states = panels.message_states([message.pk for message in sent.messages])
    assert states == {sent.messages[0].pk: ["Delivered", "Opened"]}


# --- the events page ------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_the_events_page_lists_the_newest_first_and_counts_nothing(busy, sdk, role):
    client = busy.client(role)
    with CaptureQueriesContext(connection) as captured:
        page = client.get(busy.url("reports/event/"))
    html = page.content.decode()
    assert page.status_code == 200
    assert "Sale 40" in html
    assert html.index("40-3") < html.index("40-0") < html.index(">0-0<")
    assert not [
        query for query in captured if "COUNT(" in query["sql"] and "reports_event" in query["sql"]
    ]


def test_events_can_be_filtered_by_type_and_read_but_never_changed(busy):
    client = busy.client("owner")
    assert b">1-2<" not in client.get(busy.url("reports/event/?type__exact=opened")).content
    assert b">1-1<" in client.get(busy.url("reports/event/?type__exact=opened")).content
    with scope(busy.workspace):
        event = Event.objects.latest("id")
    address = busy.url(f"reports/event/{event.pk}/change/")
    assert client.get(address).status_code == 200
    assert client.post(address, {}).status_code == 403
    assert client.get(busy.url("reports/event/add/")).status_code == 403


def test_events_of_another_workspace_are_not_listed(busy, other_sdk):
    other_sdk.post_and_digest({"event_id": "theirs", "type": "opened"})
    assert b"theirs" not in get(busy, "owner", "reports/event/").content
