"""The schedule in the campaign form: series, dates, and the hints while typing."""

from datetime import UTC, datetime, timedelta

import pytest

from campaigns.admin.campaign import builders
from tenants.scope import scope
from tests.campaigns.console import (
    change,
    inputs_of,
    live,
    refused,
    saved,
)


def test_the_next_five_dates_are_shown_in_the_workspace_s_time(company):
    start = (datetime.now(UTC) + timedelta(days=400)).strftime("%Y-06-01T18:00")
    answer = live(
        company,
        "dates",
        schedule_type="recurring",
        scheduled_at=start,
        repeat="daily",
        interval="2",
    ).json()
    assert answer["words"] == "Every 2 days"
    assert len(answer["dates"]) == 5
    assert all(date.endswith("18:00 IST") for date in answer["dates"])
    assert "1 Jun" in answer["dates"][0]
    assert (
        "Choose a date and time"
        in live(company, "dates", schedule_type="recurring", repeat="daily").json()["error"]
    )
    none = {"schedule_type": "recurring", "scheduled_at": start, "repeat": "weekly"}
    assert "at least one day" in live(company, "dates", **none).json()["error"]


@pytest.mark.parametrize(
    ("end", "rule"),
    [
        ({"ends": "count", "count": "3"}, "FREQ=WEEKLY;BYDAY=MO;COUNT=3"),
        ({"ends": "date", "end_date": "2031-01-31"}, "FREQ=WEEKLY;BYDAY=MO;UNTIL=20310131T182959Z"),
        ({"ends": "", "count": "3", "end_date": "2031-01-31"}, "FREQ=WEEKLY;BYDAY=MO"),
    ],
)
def test_a_series_ends_as_chosen_skips_its_dates_and_is_shown_so_again(company, end, rule):
    skips = "2031-01-20,2031-01-13\n2031-01-13"
    campaign = saved(company, **WEEKLY, **end, skipped=skips)
    assert (campaign.recurrence_rule, campaign.skip_dates) == (rule, ["2031-01-13", "2031-01-20"])
    form = company.client("member").get(change(company, campaign)).context["adminform"].form
    assert (form.schedule["ends"].value() or "", form.schedule["repeat"].value()) == (
        end["ends"],
        "weekly",
    )
    again = {name: value for name, value in inputs_of(form).items() if value not in (None, False)}
    again["end_date"] = str(again.get("end_date", ""))
    assert (
        company.client("member")
        .post(change(company, campaign), {**again, "_save": "1"})
        .status_code
        == 302
    )
    with scope(company.workspace):
        campaign.refresh_from_db()
    assert (campaign.recurrence_rule, campaign.skip_dates) == (rule, ["2031-01-13", "2031-01-20"])


def test_the_resulting_dates_are_shown_while_typing(company):
    given = {**WEEKLY, "ends": "count", "count": "4", "skipped": "2031-01-13"}
    answer = live(company, "dates", **given).json()
    days = [date.rpartition(", ")[0] for date in answer["dates"]]
    assert days == ["Mon, 6 Jan 2031", "Mon, 20 Jan 2031", "Mon, 27 Jan 2031"]
    assert answer["ends"]
    assert not live(company, "dates", **WEEKLY).json()["ends"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"skipped": "25/12/2026"}, "skipped"),
        ({"skipped": "2026-02-30"}, "skipped"),
        ({"ends": "count"}, "count"),
        ({"ends": "count", "count": "0"}, "count"),
        ({"ends": "date"}, "end_date"),
        ({"ends": "date", "end_date": "soon"}, "end_date"),
        ({"ends": "both"}, "ends"),
        (
            {
                "repeat": "custom",
                "recurrence_rule": "FREQ=DAILY;COUNT=2",
                "ends": "count",
                "count": "2",
            },
            "count",
        ),
    ],
)
def test_an_end_that_cannot_be_is_an_error_at_its_field_and_in_the_hint(company, fields, field):
    errors = refused(company, **{**WEEKLY, **fields})
    assert list(errors) == [field]
    assert live(company, "dates", **{**WEEKLY, **fields}).json()["error"] == errors[field][0]


WEEKLY = {
    "schedule_type": "recurring",
    "scheduled_at": "2031-01-06T09:00",
    "repeat": "weekly",
    "weekdays": ["MO"],
}
WHOSE = {"audience": "rule", "audience_field": "attributes.orders", "audience_op": "gte"}


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        ("dates", {**WEEKLY, "repeat": "custom", "recurrence_rule": "FREQ=HOURLY"}),
        (
            "dates",
            {
                **WEEKLY,
                "repeat": "custom",
                "recurrence_rule": "FREQ=DAILY;COUNT=2;UNTIL=20310101T000000Z",
            },
        ),
        ("dates", {**WEEKLY, "repeat": "custom", "recurrence_rule": "FREQ=DAILY;" + "x" * 512}),
        ("dates", {**WEEKLY, "weekdays": []}),
        ("dates", {**WEEKLY, "weekdays": ["XX"]}),
        ("dates", {**WEEKLY, "interval": "0"}),
        ("dates", {**WEEKLY, "repeat": "monthly", "month_day": "32"}),
        ("dates", {**WEEKLY, "scheduled_at": "1969-01-01T09:00"}),
        ("audience", {**WHOSE, "audience_value": "many"}),
        ("audience", {**WHOSE, "audience_value": ""}),
        ("audience", {**WHOSE, "audience_value": "1" * 2001}),
        ("audience", {**WHOSE, "audience_field": ""}),
        ("audience", {"audience": "topic", "topic": "two words"}),
        ("audience", {"audience": "everybody"}),
    ],
)
def test_the_live_hint_says_the_same_sentence_as_the_submit(company, answer, fields):
    [sentence] = [error for errors in refused(company, **fields).values() for error in errors]
    assert live(company, answer, **fields).json()["error"] == sentence


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY;BYDAY=MO,SU",
        "FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=-1",
        "FREQ=MONTHLY;BYDAY=1MO",
        "FREQ=YEARLY;BYMONTH=2;COUNT=3",
        "FREQ=WEEKLY",
    ],
)
def test_a_repetition_survives_the_builder(rule):
    shown = {"weekdays": [], "month_day": "1", **builders.read_recurrence(rule)}
    again = builders.build_recurrence(
        shown["repeat"],
        shown["interval"],
        shown["weekdays"],
        int(shown["month_day"]),
        shown["recurrence_rule"],
    )
    assert again == rule
