"""Dates and numbers as the reader's region writes them, the rest as the language does."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.template import Context, Template
from django.test import RequestFactory

from pushpilot.lib import display

pytestmark = pytest.mark.once

KOLKATA = ZoneInfo("Asia/Kolkata")
AT = datetime(2026, 11, 24, 12, 35, 9, tzinfo=UTC)  # a Tuesday, 18:05 in Kolkata


def read_as(accepted, words):
    """What `words()` gives while a request with this Accept-Language header is answered."""
    said = []
    request = RequestFactory().get("/", headers={"Accept-Language": accepted} if accepted else {})
    display.ReaderLocale(lambda _request: said.append(words()))(request)
    return said[0]


@pytest.mark.parametrize(
    ("accepted", "moment", "number"),
    [
        ("", "24 Nov 2026, 18:05", "1,234,567.5"),
        ("en-GB,en;q=0.9", "24 Nov 2026, 18:05", "1,234,567.5"),
        ("en-US,en;q=0.9", "Nov 24, 2026, 6:05\u202fPM", "1,234,567.5"),
        ("en-IN", "24 Nov 2026, 6:05\u202fpm", "12,34,567.5"),
        ("de-DE,de;q=0.9,en;q=0.8", "24 Nov 2026, 18:05", "1.234.567,5"),
        ("xx-QQ, ***", "24 Nov 2026, 18:05", "1,234,567.5"),
        ("en-" + "x" * 5000, "24 Nov 2026, 18:05", "1,234,567.5"),
        ("../../etc/passwd", "24 Nov 2026, 18:05", "1,234,567.5"),
    ],
)
def test_the_region_decides_about_order_clock_and_separators(accepted, moment, number):
    assert read_as(accepted, lambda: display.moment(AT, KOLKATA)) == moment
    assert read_as(accepted, lambda: display.format_number(1234567.5)) == number


def test_after_the_answer_the_region_is_forgotten():
    read_as("en-US", lambda: "")
    assert display.moment(AT, KOLKATA) == "24 Nov 2026, 18:05"


def test_a_moment_is_in_the_zone_that_it_was_asked_for():
    assert [display.day(AT, UTC), display.day(date(2026, 11, 24)), display.short_day(AT, UTC)] == [
        "24 Nov 2026",
        "24 Nov 2026",
        "24 Nov",
    ]
    assert display.exact_moment(AT, KOLKATA) == "24 Nov 2026, 18:05:09 IST"
    assert display.zoned_time(AT, KOLKATA) == "18:05 IST"
    late = datetime(2026, 11, 24, 20, tzinfo=UTC)
    assert [display.day(late, UTC), display.day(late, KOLKATA)] == ["24 Nov 2026", "25 Nov 2026"]


def test_a_planned_moment_names_the_year_only_if_it_is_another_one():
    assert display.planned_moment(AT, KOLKATA, AT) == "Tue 24 Nov, 18:05 IST"
    assert (
        display.planned_moment(AT, KOLKATA, AT + timedelta(days=60))
        == "Tue, 24 Nov 2026, 18:05 IST"
    )


def test_a_moment_is_told_on_both_clocks_where_they_differ():
    lisbon, london = ZoneInfo("Europe/Lisbon"), ZoneInfo("Europe/London")
    assert display.on_both_clocks(AT, KOLKATA, lisbon, AT) == (
        "Tue 24 Nov, 18:05 IST (Tue 24 Nov, 12:35 WET)"
    )
    assert display.on_both_clocks(AT, london, lisbon, AT) == "Tue 24 Nov, 12:35 GMT"


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (0, "Today 18:05"),
        (1, "Tomorrow 18:05"),
        (4, "Sat 18:05"),
        (7, "1 Dec 18:05"),
        (-1, "23 Nov 18:05"),
    ],
)
def test_a_near_moment_is_told_by_its_day(ahead, words):
    assert display.near_moment(AT + timedelta(days=ahead), KOLKATA, AT) == words


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(seconds=2), "just now"),
        (timedelta(seconds=12), "12 s ago"),
        (timedelta(hours=3, minutes=50), "3 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(minutes=-5), "in 5 min"),
    ],
)
def test_an_age_has_one_unit(before, words):
    assert display.ago(AT - before, AT) == words


def test_what_there_is_not_is_a_dash_and_never():
    assert [display.moment(None, UTC), display.day(None), display.ago(None, AT)] == [
        "–",
        "–",
        "never",
    ]


def test_names_are_listed_as_the_region_lists_them():
    def joined():
        return [display.listed("abc"[:count]) for count in range(4)]

    assert joined() == ["", "a", "a and b", "a, b and c"]
    assert read_as("en-US", joined)[3] == "a, b, and c"
    assert display.listed(["SMS", 2], "or") == "SMS or 2"


def test_days_and_months_have_names():
    assert [display.weekday_name(0), display.weekday_name(6)] == ["Monday", "Sunday"]
    assert [display.month_name(1), display.month_name(12)] == ["January", "December"]


def test_templates_have_the_filters_without_a_load():
    source = "{{ n|number }} {{ at|moment:zone }} {{ at|moment }} {{ at|day }} {{ n|size }}"
    words = Template(source).render(Context({"n": 12345, "at": AT, "zone": KOLKATA}))
    assert words == "12,345 24 Nov 2026, 18:05 24 Nov 2026, 12:35 24 Nov 2026 12 kB"
