"""Time: recurrence rules (RFC 5545) with wall-clock meaning in a time zone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

RRULE_LIMIT = 512
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
# A rule like FEB-30 never occurs; dateutil would look for it until the year 9999.
_SEARCH_LIMIT = timedelta(days=366 * 5)
_PARTS = {
    "FREQ": r"DAILY|WEEKLY|MONTHLY|YEARLY",
    "INTERVAL": r"[1-9]\d{0,2}",
    "COUNT": r"[1-9]\d{0,3}",
    "UNTIL": r"\d{8}T\d{6}Z",
    "BYDAY": r"(?:[+-]?[1-5])?(?:MO|TU|WE|TH|FR|SA|SU)(?:,(?:[+-]?[1-5])?(?:MO|TU|WE|TH|FR|SA|SU)){0,20}",
    "BYMONTHDAY": r"-?(?:[1-9]|[12]\d|3[01])(?:,-?(?:[1-9]|[12]\d|3[01])){0,30}",
    "BYMONTH": r"(?:[1-9]|1[0-2])(?:,(?:[1-9]|1[0-2])){0,11}",
    "BYSETPOS": r"-?[1-9]\d{0,1}",
    "WKST": r"MO|TU|WE|TH|FR|SA|SU",
}


class RecurrenceError(ValueError):
    """The rule is not one that can be scheduled; the message says which part and what to write."""


def parse_rrule(text: str) -> str:
    """The rule, normalised. Raises RecurrenceError. Checked before dateutil sees it: INTERVAL=0 hangs dateutil."""
    rule = text.strip().upper().removeprefix("RRULE:")
    if not rule or len(rule) > RRULE_LIMIT:
        raise RecurrenceError(f"A recurrence rule has 1 to {RRULE_LIMIT} characters, e.g. FREQ=WEEKLY;BYDAY=MO.")
    parts: dict[str, str] = {}
    for part in rule.split(";"):
        name, _, value = part.partition("=")
        if name not in _PARTS:
            raise RecurrenceError(f"“{part}” is not supported. Known parts: {', '.join(_PARTS)}.")
        if name in parts:
            raise RecurrenceError(f"{name} is given twice.")
        if not re.fullmatch(_PARTS[name], value):
            raise RecurrenceError(f"“{value}” is no value for {name}.")
        parts[name] = value
    if "FREQ" not in parts:
        raise RecurrenceError(f"FREQ is missing. Write one of {', '.join(f'FREQ={f}' for f in FREQUENCIES)}.")
    if "COUNT" in parts and "UNTIL" in parts:
        raise RecurrenceError("Give COUNT or UNTIL, not both.")
    return ";".join(f"{name}={value}" for name, value in parts.items())


def occurrences(rule: str, start: datetime, zone: ZoneInfo, *, after: datetime) -> Iterator[datetime]:
    """The rule's moments (UTC) later than `after`, counted from `start` at its wall-clock time in `zone`.

    A time that a DST change skips moves to the first valid instant after the gap; of an hour that happens twice the
    first counts. Ends five years after `after` at the latest.
    """
    wall = start.astimezone(zone).replace(tzinfo=None)
    horizon = max(wall, after.astimezone(zone).replace(tzinfo=None)) + _SEARCH_LIMIT
    until = re.search(r";?UNTIL=(\d{8}T\d{6})Z", rule)
    last = datetime.strptime(until[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if until else None
    open_rule = rule.replace(until[0], "").lstrip(";") if until else rule
    # dateutil takes no COUNT together with an UNTIL; a COUNT that never fills (30 February) ends at the horizon too.
    limited = open_rule if "COUNT=" in open_rule else f"{open_rule};UNTIL={horizon:%Y%m%dT%H%M%S}"
    for moment in rrulestr(limited, dtstart=wall):
        at = resolve(moment, zone)
        if moment > horizon or (last is not None and at > last):
            return
        if at > after:
            yield at


def next_occurrence(rule: str, start: datetime, zone: ZoneInfo, *, after: datetime) -> datetime | None:
    """The first occurrence later than `after`; None when the rule has ended."""
    return next(occurrences(rule, start, zone, after=after), None)


def resolve(wall: datetime, zone: ZoneInfo) -> datetime:
    """A naive wall-clock time of a zone as UTC. DST gap: first valid instant after it; fold: the first."""
    at = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == wall:
        return at
    # In a gap: PEP 495 reads it with the offset before the gap, which lands after it by as much as wall is inside.
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
