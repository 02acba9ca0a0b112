"""Recurrence: wall-clock meaning across DST, and no rule, however odd, hangs or raises."""

import json
import time
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from pushpilot.lib.clock import (
    RecurrenceError,
    _days,
    in_words,
    next_occurrence,
    occurrences,
    parse_rrule,
    resolve,
)

pytestmark = pytest.mark.once

BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
APIA = ZoneInfo("Pacific/Apia")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # DST by half an hour


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)


def first(
    count: int, rule: str, start: datetime, zone: ZoneInfo, after: datetime | None = None
) -> list[str]:
    found = occurrences(parse_rrule(rule), start, zone, after=after or start - timedelta(seconds=1))
    return [at.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z") for at in islice(found, count)]


@pytest.mark.parametrize(
    ("wall", "zone", "expected"),
    [
        (datetime(2026, 11, 20, 18), KOLKATA, utc(2026, 11, 20, 12, 30)),
        # gap: 02:00 to 03:00 does not exist
        (datetime(2026, 3, 29, 2, 30), BERLIN, utc(2026, 3, 29, 1)),
        (datetime(2026, 3, 29, 2), BERLIN, utc(2026, 3, 29, 1)),
        (datetime(2026, 3, 29, 2, 59, 59), BERLIN, utc(2026, 3, 29, 1)),
        (datetime(2026, 3, 29, 3), BERLIN, utc(2026, 3, 29, 1)),
        (datetime(2026, 10, 25, 2, 30), BERLIN, utc(2026, 10, 25, 0, 30)),  # fold: the first of two
        (datetime(2026, 10, 4, 2, 15), LORD_HOWE, utc(2026, 10, 3, 15, 30)),
        (datetime(2011, 12, 30, 9), APIA, utc(2011, 12, 30, 10)),  # a day that never was
    ],
)
def test_a_wall_clock_time_that_does_not_exist_moves_and_one_that_exists_twice_is_the_first(
    wall, zone, expected
):
    assert resolve(wall, zone) == expected


@settings(max_examples=200)
@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)),
    st.sampled_from(
        [
            BERLIN,
            KOLKATA,
            APIA,
            LORD_HOWE,
            ZoneInfo("America/New_York"),
            ZoneInfo("Africa/Casablanca"),
        ]
    ),
)
def test_an_existing_wall_clock_time_survives_and_another_lands_right_after_its_gap(wall, zone):
    wall = wall.replace(microsecond=0)
    at = resolve(wall, zone)
    back = at.astimezone(zone).replace(tzinfo=None)
    if back != wall:
        assert back > wall
        before = (at - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
        assert before < wall, "one second earlier lies before the gap"


def test_a_daily_send_keeps_its_wall_clock_time_over_both_changes():
    assert first(3, "FREQ=DAILY", utc(2026, 3, 28, 1, 30), BERLIN) == [
        "2026-03-28 02:30 CET", "2026-03-29 03:00 CEST", "2026-03-30 02:30 CEST"
    ]  # fmt: skip
    assert first(3, "FREQ=DAILY", utc(2026, 10, 24, 0, 30), BERLIN) == [
        "2026-10-24 02:30 CEST", "2026-10-25 02:30 CEST", "2026-10-26 02:30 CET"
    ]  # fmt: skip


def test_a_day_that_a_zone_skips_gives_no_second_send_at_the_same_instant():
    found = list(
        islice(occurrences("FREQ=DAILY", utc(2011, 12, 29, 10), APIA, after=utc(2011, 12, 1)), 4)
    )
    assert len(set(found)) == 4


def test_the_weekly_monthly_and_last_day_rules_fall_on_their_days():
    start = utc(2026, 11, 20, 12, 30)  # a Friday, 18:00 in Kolkata
    assert first(3, "freq=weekly;byday=mo,fr", start, KOLKATA) == [
        "2026-11-20 18:00 IST", "2026-11-23 18:00 IST", "2026-11-27 18:00 IST"
    ]  # fmt: skip
    assert first(2, "RRULE:FREQ=MONTHLY;BYMONTHDAY=31;", start, KOLKATA) == [
        "2026-12-31 18:00 IST", "2027-01-31 18:00 IST"
    ]  # fmt: skip
    assert first(2, "FREQ=MONTHLY;BYMONTHDAY=-1", start, KOLKATA)[1] == "2026-12-31 18:00 IST"


def test_count_is_counted_from_the_start_and_until_includes_its_moment():
    start = utc(2026, 11, 20, 12, 30)
    assert len(first(99, "FREQ=DAILY;COUNT=5", start, KOLKATA)) == 5
    assert (
        len(first(99, "FREQ=DAILY;COUNT=5", start, KOLKATA, after=start + timedelta(days=2))) == 2
    )
    assert len(first(99, "FREQ=DAILY;UNTIL=20261122T123000Z", start, KOLKATA)) == 3
    assert len(first(99, "FREQ=DAILY;UNTIL=20261122T122959Z", start, KOLKATA)) == 2
    assert (
        next_occurrence("FREQ=DAILY;COUNT=2", start, KOLKATA, after=start + timedelta(days=9))
        is None
    )


SERIES = json.loads(Path(__file__).with_name("recurrences.json").read_text())


@pytest.mark.parametrize("case", SERIES, ids=lambda case: case["rule"])
def test_a_series_has_exactly_its_dates(case):
    zone, start = ZoneInfo(case["zone"]), datetime.fromisoformat(case["start_wall"])
    skip = {date.fromisoformat(day) for day in case.get("exdates", ())}
    found = occurrences(
        parse_rrule(case["rule"]), start, zone, after=resolve(start, zone) - timedelta(1), skip=skip
    )
    assert [
        f"{at.astimezone(zone):%Y-%m-%dT%H:%M}" for at in islice(found, len(case["right"]))
    ] == case["right"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;INTERVAL=999",
        "FREQ=MONTHLY;INTERVAL=999;BYMONTHDAY=29",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;INTERVAL=3",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;INTERVAL=100",
        "FREQ=WEEKLY;INTERVAL=520;BYDAY=TU",
        "FREQ=DAILY;INTERVAL=999;BYMONTH=2;BYMONTHDAY=29;COUNT=2",
        "FREQ=YEARLY;INTERVAL=12;UNTIL=20400229T120000Z",
    ],
)
def test_a_rule_with_a_step_of_many_years_finds_its_next_date(rule):
    start = utc(2028, 2, 29, 3, 30)
    found = list(islice(occurrences(parse_rrule(rule), start, KOLKATA, after=utc(2028, 2, 1)), 3))
    assert found == list(islice(rrulestr(rule, dtstart=start), 3))
    assert len(found) >= 2


def test_a_skipped_day_counts_and_is_a_day_on_the_clock_of_the_zone():
    start = datetime(2026, 12, 24, 2)  # still the 23rd in UTC
    found = occurrences(
        "FREQ=DAILY;COUNT=3",
        start,
        KOLKATA,
        after=utc(2026, 12, 1),
        skip={date(2026, 12, 25), date(2026, 12, 23)},
    )
    assert list(found) == [utc(2026, 12, 23, 20, 30), utc(2026, 12, 25, 20, 30)]


def test_a_start_inside_a_gap_keeps_its_wall_clock_time_on_the_other_days():
    found = occurrences(
        "FREQ=DAILY;COUNT=2", datetime(2026, 3, 29, 2, 30), BERLIN, after=utc(2026, 3, 1)
    )
    assert [f"{at.astimezone(BERLIN):%d %H:%M}" for at in found] == ["29 03:00", "30 02:30"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;INTERVAL=100;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=WEEKLY;INTERVAL=998;BYMONTH=4;BYDAY=MO;BYMONTHDAY=31",
        "FREQ=YEARLY;BYDAY=MO;BYMONTHDAY=31;BYMONTH=6",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1",
        "FREQ=DAILY;INTERVAL=999;BYMONTH=2;BYMONTHDAY=31;COUNT=9999",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=99;COUNT=3",
        "FREQ=DAILY;UNTIL=20200101T000000Z",
    ],
)
def test_a_rule_that_never_happens_says_so_at_once(rule):
    started = time.thread_time()
    assert (
        next_occurrence(parse_rrule(rule), utc(2026, 11, 20), KOLKATA, after=utc(2026, 11, 20))
        is None
    )
    assert time.thread_time() - started < 5  # a search without an end would take minutes


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "1 to 512 characters"),
        ("FREQ=DAILY;" + "BYDAY=MO;" * 60, "1 to 512 characters"),
        ("FREQ=DAILY;INTERVAL=0", "“0” is not a valid value for INTERVAL"),
        ("FREQ=DAILY;INTERVAL=-1", "“-1” is not a valid value for INTERVAL"),
        ("FREQ=DAILY;INTERVAL=1٣", "is not a valid value for INTERVAL"),
        ("FREQ=DAILY;COUNT=0", "“0” is not a valid value for COUNT"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z", "COUNT or UNTIL, not both"),
        ("FREQ=DAILY;UNTIL=20270101", "“20270101” is not a valid value for UNTIL"),
        ("FREQ=DAILY;UNTIL=20271399T000000Z", "is not a date"),
        ("FREQ=DAILY;FREQ=WEEKLY", "FREQ appears twice"),
        ("FREQ=SECONDLY", "“SECONDLY” is not a valid value for FREQ"),
        ("FREQ=HOURLY", "“HOURLY” is not a valid value for FREQ"),
        ("BYDAY=MO", "FREQ is missing"),
        ("FREQ=WEEKLY;BYHOUR=3", "“BYHOUR=3” is not supported"),
        ("FREQ=WEEKLY;BYDAY=1MO", "needs FREQ=MONTHLY"),
        ("FREQ=WEEKLY;BYSETPOS=1", "BYSETPOS needs BYDAY"),
        ("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY", "is not supported"),
    ],
)
def test_a_rule_that_cannot_be_scheduled_is_refused_by_name(rule, words):
    with pytest.raises(RecurrenceError) as refused:
        parse_rrule(rule)
    assert words in str(refused.value)


DAYS = st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU", "1MO", "-1FR", "5SU"])
RULES = st.fixed_dictionaries(
    {"FREQ": st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])},
    optional={
        "INTERVAL": st.integers(0, 1000),
        "COUNT": st.integers(0, 9999),
        "UNTIL": st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(
            lambda at: f"{at:%Y%m%dT%H%M%SZ}"
        ),
        "BYDAY": st.lists(DAYS, min_size=1, max_size=3).map(",".join),
        "BYMONTHDAY": st.lists(st.integers(-31, 31).map(str), min_size=1, max_size=3).map(",".join),
        "BYMONTH": st.lists(st.integers(1, 12).map(str), min_size=1, max_size=3).map(",".join),
        "BYSETPOS": st.integers(-9, 9),
        "WKST": st.just("SU"),
    },
).map(lambda parts: ";".join(f"{name}={value}" for name, value in parts.items()))


@settings(max_examples=150, deadline=10_000)
@given(
    RULES, st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.sampled_from([BERLIN, KOLKATA, APIA]),
    st.timedeltas(timedelta(-400), timedelta(4000)),
)  # fmt: skip
def test_every_accepted_rule_gives_rising_moments_after_the_asked_one_and_reads_as_words(
    rule, start, zone, offset
):
    try:
        parsed = parse_rrule(rule)
    except RecurrenceError:
        return
    start = start.replace(tzinfo=UTC)
    after = start + offset
    found = list(islice(occurrences(parsed, start, zone, after=after), 4))
    assert found == sorted(set(found))
    assert all(at > after and at >= start - timedelta(hours=1) for at in found)
    assert in_words(parsed)
    assert parse_rrule(parsed) == parsed


@settings(max_examples=150)
@given(RULES, st.dates(date(2020, 1, 1), date(2030, 12, 31)))
def test_the_days_are_those_of_dateutil(rule, start):
    try:
        parts = dict(part.split("=") for part in parse_rrule(rule).split(";"))
    except RecurrenceError:
        return
    parts = {name: value for name, value in parts.items() if name not in ("COUNT", "UNTIL")}
    numbered = {day for day in parts.get("BYDAY", "").split(",") if day[:-2]}
    if numbered:  # dateutil wants a day to be in both lists, RFC 5545 in either
        parts["BYDAY"] = ",".join(sorted(numbered))
    if parts["FREQ"] == "WEEKLY":  # dateutil counts positions in the first week from its start
        parts.pop("BYSETPOS", None)
    days = list(_days(parts, start, start + timedelta(days=800)))
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    theirs = rrulestr(text, dtstart=datetime.combine(start, datetime.min.time()))
    # As many as ours, no more: looking for one that never comes, dateutil walks to the year 9999.
    assert [moment.date() for moment in islice(theirs, len(days))] == days


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("FREQ=DAILY", "Every day"),
        ("FREQ=DAILY;INTERVAL=3", "Every 3 days"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=FR,MO", "Every 2 weeks on Monday and Friday"),
        ("FREQ=MONTHLY;BYMONTHDAY=1", "Every month on day 1"),
        ("FREQ=MONTHLY;BYMONTHDAY=12,23,-1", "Every month on day 12, day 23 and the last day"),
        (
            "FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=2;COUNT=3",
            "Every year on day 2 in November, 3 times",
        ),
        ("FREQ=DAILY;UNTIL=20271231T000000Z", "Every day, until 31 Dec 2027"),
        ("FREQ=MONTHLY;BYDAY=1MO", "FREQ=MONTHLY;BYDAY=1MO"),
    ],
)
def test_a_rule_reads_as_words(rule, words):
    assert in_words(parse_rrule(rule)) == words
