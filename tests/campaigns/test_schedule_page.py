"""The page “Change the schedule”: the time or the rhythm of a campaign on its way changes
without cancelling it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.messages import get_messages

from campaigns import plan
from campaigns.models import Campaign, Run
from campaigns.schedule import series
from delivery.engine import pipeline
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.campaigns.console import change, written

FRIDAY = datetime(2026, 12, 4, 3, 30, tzinfo=UTC)  # 09:00 in Kolkata
BEFORE = FRIDAY - timedelta(days=2)
WEEKLY = {
    "scheduled_at": "2026-12-04T09:00", "time_zone": "Asia/Kolkata", "repeat": "weekly", "interval": "1",
    "weekdays": ["FR"], "month_day": "1", "ends": "",
}  # fmt: skip
ONCE = {"scheduled_at": "2026-12-04T09:00", "time_zone": "Asia/Kolkata"}


@pytest.fixture(autouse=True)
def _on_that_day(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: BEFORE)


def scheduled(company, **fields):
    campaign = written(company, scheduled_at=FRIDAY, **fields)
    with scope(company.workspace):
        company.run = plan.schedule(campaign, by=company.member, now=BEFORE)
        return Campaign.objects.get(pk=campaign.pk)


@pytest.fixture
def weekly(company):
    return scheduled(company, schedule_type="recurring", recurrence_rule="FREQ=WEEKLY;BYDAY=FR")


@pytest.fixture
def once(company):
    return scheduled(company, schedule_type="scheduled")


def address(company, campaign):
    return company.url(f"campaigns/campaign/{campaign.pk}/schedule/")


def opened(company, campaign):
    """The version that a page opened now posts back."""
    return company.client("member").get(address(company, campaign)).context["seen"]


def post(company, campaign, who="member", **given):
    return company.client(who).post(address(company, campaign), given)


def said(answer):
    return [message.level_tag for message in get_messages(answer.wsgi_request)]


def planned(company):
    with scope(company.workspace):
        return list(Run.objects.filter(state="planned").values_list("intended_at", flat=True))


def test_the_page_shows_the_schedule_and_saving_it_again_changes_nothing(company, weekly):
    form = company.client("member").get(address(company, weekly)).context["form"]
    assert {name: form[name].value() for name in ("repeat", "weekdays", "ends")} == {
        "repeat": "weekly", "weekdays": ["FR"], "ends": ""
    }  # fmt: skip
    answer = post(company, weekly, **WEEKLY, seen=opened(company, weekly))
    assert (answer.status_code, said(answer), planned(company)) == (302, ["info"], [FRIDAY])
    with scope(company.workspace):
        assert Run.objects.get().epoch == company.run.epoch
        assert not AuditEntry.objects.filter(action="campaign schedule changed").exists()


def test_a_series_gets_another_rhythm_end_and_skip_dates_without_being_cancelled(company, weekly):
    given = {
        **WEEKLY,
        "weekdays": ["MO"],
        "ends": "date",
        "end_date": "2027-01-31",
        "skipped": "2026-12-07",
    }
    answer = post(company, weekly, **given, seen=opened(company, weekly))
    assert (answer.status_code, answer.url) == (302, change(company, weekly))
    assert planned(company) == [datetime(2026, 12, 14, 3, 30, tzinfo=UTC)]
    with scope(company.workspace):
        stored = Campaign.objects.get()
        assert stored.recurrence_rule == "FREQ=WEEKLY;BYDAY=MO;UNTIL=20270131T182959Z"
        assert (stored.skip_dates, stored.status) == (["2026-12-07"], "scheduled")
        assert stored.updated_by_id == company.member.pk
        entry = AuditEntry.objects.get(action="campaign schedule changed")
        assert set(entry.changes) == {"recurrence_rule", "skip_dates"}


def test_a_single_send_gets_another_time_and_another_zone(company, once):
    given = {"scheduled_at": "2026-12-05T10:00", "time_zone": "Europe/Berlin"}
    assert post(company, once, **given, seen=opened(company, once)).status_code == 302
    assert planned(company) == [datetime(2026, 12, 5, 9, tzinfo=UTC)]
    with scope(company.workspace):
        stored = Campaign.objects.get()
        assert (stored.time_zone, stored.schedule_type, stored.recurrence_rule) == (
            "Europe/Berlin",
            "scheduled",
            "",
        )


def test_the_send_under_way_of_a_series_goes_on_and_the_next_one_moves(company, weekly):
    with scope(company.workspace):
        pipeline.launch(company.run, FRIDAY)
    answer = post(company, weekly, **{**WEEKLY, "weekdays": ["TU"]}, seen=opened(company, weekly))
    assert answer.status_code == 302
    assert planned(company) == [datetime(2026, 12, 8, 3, 30, tzinfo=UTC)]
    with scope(company.workspace):
        assert Run.objects.get(pk=company.run.pk).state == "preparing"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"scheduled_at": ""}, "scheduled_at"),
        ({"scheduled_at": "soon"}, "scheduled_at"),
        ({"weekdays": []}, "weekdays"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"interval": "0"}, "interval"),
        ({"repeat": "custom", "recurrence_rule": "FREQ=HOURLY"}, "recurrence_rule"),
        ({"ends": "count"}, "count"),
        ({"ends": "date", "end_date": "2026-12-01"}, "ends"),
        ({"skipped": "Christmas"}, "skipped"),
    ],
)
def test_a_mistake_is_an_error_at_its_field_and_nothing_moves(company, weekly, given, field):
    seen = opened(company, weekly)
    answer = post(company, weekly, **{**WEEKLY, **given}, seen=seen)
    assert list(answer.context["form"].errors) == [field]
    assert (answer.context["seen"], planned(company)) == (seen, [FRIDAY])


def test_a_time_that_has_passed_is_an_error_at_the_time(company, once):
    answer = post(company, once, **{**ONCE, "scheduled_at": "2026-12-01T09:00"})
    assert list(answer.context["form"].errors) == ["scheduled_at"]
    assert planned(company) == [FRIDAY]


def test_a_change_by_somebody_else_is_shown_before_it_is_replaced(company, weekly):
    seen = opened(company, weekly)
    with scope(company.workspace):
        theirs = Campaign.objects.get()
        theirs.recurrence_rule = "FREQ=DAILY"
        series.reschedule(theirs, by=company.owner, now=BEFORE)
    given = {**WEEKLY, "weekdays": ["MO"]}
    answer = post(company, weekly, **given, seen=seen)
    assert answer.status_code == 200
    assert "day" in answer.context["stored_words"]
    assert answer.context["form"]["weekdays"].value() == ["MO"]
    with scope(company.workspace):
        assert Campaign.objects.get().recurrence_rule == "FREQ=DAILY"
    assert post(company, weekly, **given, seen=answer.context["seen"]).status_code == 302
    with scope(company.workspace):
        assert Campaign.objects.get().recurrence_rule == "FREQ=WEEKLY;BYDAY=MO"


@pytest.mark.parametrize("act", ["skip", "move", "start"])
def test_what_happened_to_the_next_send_meanwhile_is_shown_first(company, weekly, act):
    seen = opened(company, weekly)
    with scope(company.workspace):
        run = Run.objects.select_related("campaign", "workspace", "revision").get()
        if act == "skip":
            plan.skip(run, by=company.owner, now=BEFORE)
        elif act == "move":
            series.move(run, FRIDAY + timedelta(hours=2), by=company.owner, now=BEFORE)
        else:
            pipeline.launch(run, FRIDAY)
    before = planned(company)
    answer = post(company, weekly, **{**WEEKLY, "weekdays": ["MO"]}, seen=seen)
    assert (bool(answer.context["stored_words"]), planned(company)) == (True, before)


def test_another_text_meanwhile_is_no_reason_to_ask_again(company, weekly):
    seen = opened(company, weekly)
    with scope(company.workspace):
        campaign = Campaign.objects.get()
        campaign.contents.update(fields={"title": "Another"})
        assert plan.revise(
            Run.objects.select_related("campaign", "workspace").get(), by=company.owner
        )
    assert post(company, weekly, **{**WEEKLY, "weekdays": ["MO"]}, seen=seen).status_code == 302


def test_a_single_send_that_has_started_and_a_campaign_that_is_over_keep_their_schedule(
    company, once
):
    with scope(company.workspace):
        pipeline.launch(company.run, FRIDAY)
    answer = post(company, once, **{**ONCE, "scheduled_at": "2026-12-05T10:00"})
    assert (answer.status_code, answer.url, said(answer)) == (302, change(company, once), ["error"])
    with scope(company.workspace):
        plan.cancel(Run.objects.select_related("campaign", "workspace").get(), by=company.owner)
    assert company.client("member").get(address(company, once)).status_code == 302


@pytest.mark.parametrize("kind", ["weekly", "once"])
def test_the_campaign_page_leads_to_it_for_people_who_may_send(company, request, kind):
    campaign = request.getfixturevalue(kind)

    def page(who):
        return company.client(who).get(change(company, campaign))

    assert address(company, campaign) in page("member").content.decode()
    assert address(company, campaign) not in page("viewer").content.decode()
    assert company.client("viewer").get(address(company, campaign)).status_code == 403


def test_a_draft_and_a_send_now_have_no_page_for_their_schedule(company):
    draft = written(company)
    assert company.client("member").get(address(company, draft)).url == change(company, draft)
    with scope(company.workspace):
        plan.schedule(draft, by=company.member, now=BEFORE)
    assert company.client("member").get(address(company, draft)).url == change(company, draft)
    assert (
        address(company, draft)
        not in company.client("member").get(change(company, draft)).content.decode()
    )


# --- while typing ---------------------------------------------------------------------------------
def live(company, campaign, **given):
    given = {**given, "schedule_type": campaign.schedule_type, "campaign": campaign.pk}
    return company.client("member").post(company.url("campaigns/campaign/dates/"), given).json()


def test_the_page_says_while_typing_where_the_next_send_moves(company, weekly):
    assert live(company, weekly, **WEEKLY)["next_send"].count("09:00") == 1
    moved = live(company, weekly, **{**WEEKLY, "scheduled_at": "2026-12-04T17:30"})["next_send"]
    assert moved.index("09:00") < moved.index("17:30")
    assert "error" in live(company, weekly, **{**WEEKLY, "weekdays": []})


def test_the_next_send_of_a_single_campaign_is_told_on_both_clocks(company, once):
    moved = live(company, once, scheduled_at="2026-12-05T10:00", time_zone="Europe/Berlin")[
        "next_send"
    ]
    assert moved.index("09:00 IST") < moved.index("10:00 CET")
    assert "error" in live(company, once, **{**ONCE, "scheduled_at": "2026-12-01T09:00"})


def test_a_draft_has_no_send_that_moves(company):
    draft = written(company, scheduled_at=FRIDAY, schedule_type="scheduled")
    assert live(company, draft, **ONCE)["next_send"] == ""
