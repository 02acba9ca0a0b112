"""Time: recurrence rules (RFC 5545) with wall-clock meaning in a time zone."""

from __future__ import annotations

import itertools
import re
from calendar import isleap, monthrange
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from pushpilot.lib import display

RRULE_LIMIT = 512
_CODES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_RHYTHMS: dict[str, display.Words] = {
    "DAILY": ngettext_lazy("Every day", "Every %(count)s days", "count"),
    "WEEKLY": ngettext_lazy("Every week", "Every %(count)s weeks", "count"),
    "MONTHLY": ngettext_lazy("Every month", "Every %(count)s months", "count"),
    "YEARLY": ngettext_lazy("Every year", "Every %(count)s years", "count"),
}
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
# A rule like 30 February never occurs. The calendar repeats after 400 years, so a rule without a
# day in that many of its own periods has none at all, whatever its INTERVAL.
_CYCLE = {"YEARLY": 400, "MONTHLY": 400 * 12, "WEEKLY": 146_097 // 7, "DAILY": 146_097}
_LAST_DAY = date(9998, 12, 31)  # a year before the end of datetime, so that no sum below overflows
_WEEKDAY = r"(?:[+-]?[1-5])?(?:MO|TU|WE|TH|FR|SA|SU)"
_PARTS = {
    "FREQ": r"DAILY|WEEKLY|MONTHLY|YEARLY",
    "INTERVAL": r"[1-9]\d{0,2}",
    "COUNT": r"[1-9]\d{0,3}",
    "UNTIL": r"\d{8}T\d{6}Z",
    "BYDAY": rf"{_WEEKDAY}(?:,{_WEEKDAY}){{0,20}}",
    "BYMONTHDAY": r"-?(?:[1-9]|[12]\d|3[01])(?:,-?(?:[1-9]|[12]\d|3[01])){0,30}",
    "BYMONTH": r"(?:[1-9]|1[0-2])(?:,(?:[1-9]|1[0-2])){0,11}",
    "BYSETPOS": r"-?[1-9]\d{0,1}",
    "WKST": r"MO|TU|WE|TH|FR|SA|SU",
}


NO_DATE = gettext_lazy(
    "This repetition has no further date. Change its days, its start or its end."
)


class RecurrenceError(ValueError):
    """The rule is not one that can be scheduled; the message says which part and what to write."""


def parse_rrule(text: str) -> str:
    """The rule, normalised. Raises RecurrenceError."""
    rule = text.strip().upper().removeprefix("RRULE:").rstrip(";")
    if not rule or len(rule) > RRULE_LIMIT:
        raise RecurrenceError(
            _("A recurrence rule has 1 to %(limit)s characters, for example FREQ=WEEKLY;BYDAY=MO.")
            % {"limit": RRULE_LIMIT}
        )
    parts: dict[str, str] = {}
    for part in rule.split(";"):
        name, _equals, value = part.partition("=")
        if name not in _PARTS:
            raise RecurrenceError(
                _("“%(part)s” is not supported. Known parts: %(parts)s.")
                % {"part": part, "parts": ", ".join(_PARTS)}
            )
        if name in parts:
            raise RecurrenceError(
                _("%(name)s appears twice. Delete one of the two.") % {"name": name}
            )
        if not re.fullmatch(_PARTS[name], value, re.ASCII):
            raise RecurrenceError(
                _("“%(value)s” is not a valid value for %(name)s.") % {"value": value, "name": name}
            )
        parts[name] = value
    if "FREQ" not in parts:
        raise RecurrenceError(
            _("FREQ is missing. Write %(values)s.")
            % {"values": display.listed([f"FREQ={one}" for one in FREQUENCIES], "or")}
        )
    if "COUNT" in parts and "UNTIL" in parts:
        raise RecurrenceError(_("Give COUNT or UNTIL, not both."))
    if "UNTIL" in parts:
        _until(parts["UNTIL"])
    if "BYSETPOS" in parts and not parts.keys() & {"BYDAY", "BYMONTHDAY", "BYMONTH"}:
        raise RecurrenceError(_("BYSETPOS needs BYDAY or BYMONTHDAY. Add one of them."))
    if parts["FREQ"] in ("DAILY", "WEEKLY") and re.search(r"\d", parts.get("BYDAY", "")):
        raise RecurrenceError(
            _("A numbered weekday such as 1MO needs FREQ=MONTHLY or FREQ=YEARLY.")
        )
    return ";".join(f"{name}={value}" for name, value in parts.items())


def occurrences(
    rule: str, start: datetime, zone: ZoneInfo, *, after: datetime, skip: Collection[date] = ()
) -> Iterator[datetime]:
    """The moments (UTC) of a parsed rule later than `after`, counted from `start` at its
    wall-clock time in `zone`.

    `start` is a wall clock (naive) or a moment. `skip`: days, on the clock of the zone, on which
    nothing happens; they count (RFC 5545, EXDATE). A time that a DST change skips moves to the
    first valid instant after the gap; of an hour that happens twice the first counts. Ends only
    where the rule ends, or with the year 9998; a start outside of 1970 to 2999 has no moments.
    """
    if not 1970 <= start.year < 3000:
        return
    wall = (start if start.tzinfo is None else start.astimezone(zone)).replace(
        tzinfo=None, microsecond=0
    )
    parts = dict(part.split("=") for part in rule.split(";"))
    count = int(parts.pop("COUNT", 0)) or None
    until = None
    if "UNTIL" in parts:
        until = _until(parts.pop("UNTIL"))
    last = _LAST_DAY if until is None else min(until.date() + timedelta(days=1), _LAST_DAY)
    before = datetime.min.replace(tzinfo=UTC)
    for day in itertools.islice(_days(parts, wall.date(), last), count):
        at = resolve(datetime.combine(day, wall.time()), zone)
        if until is not None and at > until:
            return
        if at > max(after, before) and day not in skip:
            yield at
        before = at  # a zone that skips a whole day (Samoa, 2011) would give one instant twice


def _days(parts: dict[str, str], start: date, last: date) -> Iterator[date]:
    """The rule's days from `start` to `last`, walked period by period; a full cycle without any
    is the end.

    Not dateutil: it looks at its UNTIL only when a day matches, so
    FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30 walks to the year 9999 (4.7 s). The tests compare the two.
    """
    frequency, holds = _holds(parts, start)
    positions = [int(position) for position in parts.get("BYSETPOS", "").split(",") if position]
    barren = 0
    for period in _periods(
        frequency, int(parts.get("INTERVAL", "1")), start, last, parts.get("WKST", "MO")
    ):
        days = [day for day in period if holds(day)]
        if positions:
            picked = {
                position - 1 if position > 0 else len(days) + position for position in positions
            }
            days = [day for index, day in enumerate(days) if index in picked]
        yield from (day for day in days if start <= day <= last)
        barren = 0 if days else barren + 1
        if barren > _CYCLE[frequency]:
            return


def _holds(parts: dict[str, str], start: date) -> tuple[str, Callable[[date], bool]]:
    """(frequency, whether a day of its periods is one of the rule's)."""
    frequency, months, month_days, week_days = _filters(parts, start)
    by_year = frequency == "YEARLY" and "BYMONTH" not in parts
    plain = {_CODES.index(day) for day in week_days if day in _CODES}
    numbered = week_days - set(_CODES)

    def holds(day: date) -> bool:
        if months and day.month not in months:
            return False
        if month_days and day.day not in month_days and _from_the_end(day) not in month_days:
            return False
        if not week_days or day.weekday() in plain:
            return True
        return bool(numbered) and not numbered.isdisjoint(_week_day_names(day, by_year=by_year))

    return frequency, holds


def _filters(parts: dict[str, str], start: date) -> tuple[str, set[int], set[int], set[str]]:
    """(frequency, months, days of the month, weekdays); what the rule leaves open comes from its
    start."""
    frequency = parts["FREQ"]
    months = {int(month) for month in parts.get("BYMONTH", "").split(",") if month}
    month_days = {int(day) for day in parts.get("BYMONTHDAY", "").split(",") if day}
    week_days = {day.lstrip("+") for day in parts.get("BYDAY", "").split(",") if day}
    if not month_days and not week_days:
        if frequency == "WEEKLY":
            week_days = {_CODES[start.weekday()]}
        elif frequency in ("MONTHLY", "YEARLY"):
            month_days = {start.day}
            months = months or ({start.month} if frequency == "YEARLY" else set())
    return frequency, months, month_days, week_days


def _from_the_end(day: date) -> int:
    """-1 for the last day of its month, as BYMONTHDAY counts."""
    return day.day - 1 - monthrange(day.year, day.month)[1]


def _week_day_names(day: date, *, by_year: bool) -> tuple[str, str, str]:
    """How BYDAY can name a day: MO, 2MO, -3MO, counted within its month or its year."""
    code = _CODES[day.weekday()]
    index = day.timetuple().tm_yday if by_year else day.day
    length = 365 + isleap(day.year) if by_year else monthrange(day.year, day.month)[1]
    return code, f"{(index - 1) // 7 + 1}{code}", f"-{(length - index) // 7 + 1}{code}"


def _periods(
    frequency: str, interval: int, start: date, last: date, week_start: str
) -> Iterator[Iterable[date]]:
    """The days of every interval-th day, week, month or year, the first being that of `start`."""
    if frequency == "YEARLY":
        for year in range(start.year, last.year + 1, interval):
            yield _span(date(year, 1, 1), 365 + isleap(year))
    elif frequency == "MONTHLY":
        for month in range(
            start.year * 12 + start.month - 1, last.year * 12 + last.month, interval
        ):
            first = date(month // 12, month % 12 + 1, 1)
            yield _span(first, monthrange(first.year, first.month)[1])
    else:
        length = 1
        if frequency == "WEEKLY":
            length = 7
        back = 0
        if frequency == "WEEKLY":
            back = (start.weekday() - _CODES.index(week_start)) % 7
        for offset in range(-back, (last - start).days + 1, interval * length):
            yield _span(start + timedelta(days=offset), length)


def _span(first: date, length: int) -> Iterable[date]:
    return (first + timedelta(days=n) for n in range(length))


def in_words(rule: str) -> str:
    """A parsed rule for people: "Every 2 weeks on Monday and Friday"; the rule itself where
    words would mislead."""
    parts = dict(part.split("=") for part in rule.split(";"))
    words = str(_RHYTHMS[parts.pop("FREQ")] % {"count": int(parts.pop("INTERVAL", "1"))})
    if days := parts.pop("BYDAY", ""):
        if re.search(r"\d", days):
            return rule
        numbers = sorted({_CODES.index(day) for day in days.split(",")})
        names = display.listed(display.weekday_name(number) for number in numbers)
        words = _("%(repetition)s on %(days)s") % {"repetition": words, "days": names}
    if month_days := parts.pop("BYMONTHDAY", ""):
        names = display.listed(_day_of_month(int(number)) for number in month_days.split(","))
        words = _("%(repetition)s on %(days)s") % {"repetition": words, "days": names}
    if months := parts.pop("BYMONTH", ""):
        names = display.listed(display.month_name(int(month)) for month in months.split(","))
        words = _("%(repetition)s in %(months)s") % {"repetition": words, "months": names}
    if count := int(parts.pop("COUNT", "0")):
        limited = ngettext("%(repetition)s, once", "%(repetition)s, %(count)s times", count)
        words = limited % {"repetition": words, "count": display.format_number(count)}
    if until := parts.pop("UNTIL", ""):
        last = display.day(_until(until))
        words = _("%(repetition)s, until %(day)s") % {"repetition": words, "day": last}
    parts.pop("WKST", None)
    if parts:
        return rule
    return words


def _day_of_month(number: int) -> str:
    if number == -1:
        return _("the last day")
    if number < 0:
        return _("day %(number)s from the end") % {"number": -number}
    return _("day %(number)s") % {"number": number}


def in_zone(rule: str, was: ZoneInfo, zone: ZoneInfo) -> str:
    """A parsed rule whose end, kept in UTC, is at the same wall clock of another zone."""
    parts = {}
    if rule:
        parts = dict(part.split("=") for part in rule.split(";"))
    if "UNTIL" in parts:
        wall = _until(parts["UNTIL"]).astimezone(was).replace(tzinfo=None)
        parts["UNTIL"] = f"{resolve(wall, zone):%Y%m%dT%H%M%SZ}"
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _until(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise RecurrenceError(
            _("UNTIL=%(text)s is not a date. Write UTC as in UNTIL=20271231T235959Z.")
            % {"text": text}
        ) from error


def next_occurrence(
    rule: str, start: datetime, zone: ZoneInfo, *, after: datetime, skip: Collection[date] = ()
) -> datetime | None:
    """The first occurrence later than `after`; None when the rule has ended."""
    return next(occurrences(rule, start, zone, after=after, skip=skip), None)


def resolve(wall: datetime, zone: ZoneInfo) -> datetime:
    """A naive wall-clock time of a zone as UTC. DST gap: first valid instant after it; fold: the
    first."""
    at = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == wall:
        return at
    # In a gap: PEP 495 reads it with the offset before the gap, which lands after it by as much as
    # wall is inside.
    offset_before = wall.replace(tzinfo=zone, fold=0).utcoffset() or timedelta()
    offset_after = wall.replace(tzinfo=zone, fold=1).utcoffset() or timedelta()
    low, high = at - abs(offset_after - offset_before), at
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == offset_before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
