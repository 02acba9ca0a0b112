"""What somebody enters as a schedule: the checks that every door makes before it is stored."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushpilot.lib import display
from pushpilot.lib.clock import RecurrenceError

SKIPS_LIMIT = 400
_YEARS = range(2000, 2100)
WRONG_YEAR = gettext_lazy("Choose a date from 2000 to 2099.")


def wall_clock_problem(wall: datetime) -> str:
    """What is wrong with a date and time, "" if nothing."""
    if wall.year in _YEARS:
        return ""
    return str(WRONG_YEAR)


def skipped_days(entered: Iterable[str]) -> list[str]:
    """The days, in order and each once, of dates such as 2026-12-25. Raises RecurrenceError."""
    days = {_day(text) for text in entered}
    more = len(days) - SKIPS_LIMIT
    if more > 0:
        words = ngettext(
            "A series can skip %(limit)s dates. Remove %(count)s date.",
            "A series can skip %(limit)s dates. Remove %(count)s dates.",
            more,
        )
        figures = {
            "limit": display.format_number(SKIPS_LIMIT),
            "count": display.format_number(more),
        }
        raise RecurrenceError(words % figures)
    return sorted(days)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text if len(text) == 10 else "").isoformat()
    except ValueError:
        words = _("“%(text)s” is not a date. Enter year, month and day: 2026-12-25.")
        raise RecurrenceError(words % {"text": text[:30]}) from None
