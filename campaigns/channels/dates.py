"""Dates in personalised texts: what a value means, and on whose clock it is shown.

Moments (“now”, seconds since 1970, 2026-12-01T04:30:00Z) are shown in the reader's zone. A date,
or a time without a zone, is shown as it is written. A date that can be read in two ways
(03/04/2026) is never guessed.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from dateutil import parser
from django.utils.translation import gettext_lazy

__all__ = ["AMBIGUOUS", "REMEDY", "as_moment", "is_ambiguous", "zone_named"]

# Day and month as numbers without the year in front; one rule for 03/04/2026 and 13/04/2026, whose
# writer has the same habit. Both databases and Python read this expression.
AMBIGUOUS = (
    r"\A\s*[0-9]{1,2}[/.\-][0-9]{1,2}([/.\-]([0-9]{2}|[0-9]{4}))?([ T,][0-9: "
    r",TZ+.APMapm\-]*)?\Z"
)
REMEDY = gettext_lazy(
    "Store dates in the form 2026-04-03, or with a time 2026-04-03T09:00:00+02:00 (ISO 8601)."
)
_AMBIGUOUS = re.compile(AMBIGUOUS)
_YEAR_FIRST = re.compile(r"(\d{4})[/.\-](\d{1,2})[/.\-](\d{1,2})(?:[ T]+(\S.*))?")
_DAY = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_IN_WORDS = re.compile(
    r"(?=.*\b\d{4}\b)(?=.*(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))", re.IGNORECASE
)
# What a text leaves out is read differently by each.
_DEFAULTS = [datetime.combine(day, time.min) for day in (date(2000, 1, 1), date(2004, 2, 2))]
_TEXT_LIMIT = 64
_FEWEST_SECONDS = 100_000_000  # the year 1973
# from here on a number counts milliseconds: as seconds it would be the year 5138
_MILLISECONDS = 100_000_000_000


def is_ambiguous(value: object) -> bool:
    """True for a date whose day and month cannot be told apart by its form."""
    return isinstance(value, str) and _AMBIGUOUS.match(value) is not None


def as_moment(value: object, now: datetime) -> datetime | None:
    """The moment that a value means, with its zone if it has one; None for what is no date.

    An ambiguous one is none either; ask `is_ambiguous` first.
    """
    if value in ("now", "today"):
        return now
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time.min)
    if isinstance(value, str):
        if len(value) <= _TEXT_LIMIT:
            return _of_text(value.strip())
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return _of_number(value) if is_number else None  # type: ignore[arg-type]


@functools.lru_cache(maxsize=4096)
def _of_text(text: str) -> datetime | None:
    if text.isascii() and text.isdigit() and not _DAY.fullmatch(text):
        return _of_number(int(text))
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day, clock = found.groups()
        text = f"{year}-{month:0>2}-{day:0>2}" + (f"T{clock}" if clock else "")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    if not found and not _IN_WORDS.match(text):
        return None
    try:
        read = [parser.parse(text, default=day, tzinfos=_zone_of_word) for day in _DEFAULTS]
    except (ValueError, OverflowError):
        return None
    if read[0] == read[1]:
        return read[0]
    return None


def _of_number(number: float) -> datetime | None:
    """Seconds since 1970, or milliseconds as JavaScript counts. A small number is a year or a
    count, no moment."""
    if abs(number) < _FEWEST_SECONDS:
        return None
    try:
        return datetime.fromtimestamp(
            number / 1000 if abs(number) >= _MILLISECONDS else number, UTC
        )
    except (ValueError, OverflowError, OSError):
        return None


def _zone_of_word(name: str | None, offset: int | None) -> Any:
    """Raises ValueError for a name such as IST, which several zones share."""
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    if name in (None, "UTC", "GMT", "Z"):
        if name:
            return UTC
        return None
    raise ValueError(f"{name} is no single time zone")


@functools.lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo | None:
    """The time zone of this name, None if there is none."""
    try:
        return ZoneInfo(name)
    # ZoneInfoNotFoundError is a KeyError; a folder of zones an OSError
    except (ValueError, OSError, KeyError):
        return None
