"""Dates, times, numbers, spans of time and sizes as people read them, in the locale of the reader.

The words are those of the active translation. The order of a date, the clock (18:05 or 6:05 pm)
and the separators of a number are those of the region that the reader's browser asks for;
without a reader (a mail, a command) those of DEFAULT. Data for programs (CSV, JSON, logs) do not
come from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from babel import Locale, UnknownLocaleError
from babel.dates import format_skeleton, format_time, get_day_names, get_month_names
from babel.lists import format_list
from babel.numbers import format_decimal
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.utils.translation.trans_real import parse_accept_lang_header

if TYPE_CHECKING:  # the stubs' name of what gettext_lazy returns
    from django.utils.functional import _StrPromise as Promise
else:
    from django.utils.functional import Promise

Words = str | Promise
"""A text for people: a constant of a module is translated only when a page shows it."""

DEFAULT = Locale("en", "GB")
NOW = timedelta(seconds=3)
"""What is no longer ago than this happened just now."""
NOTHING = "–"
"""In place of a value that there is not."""

_reader: ContextVar[Locale] = ContextVar("reader", default=DEFAULT)


class Labelled(NamedTuple):
    """A coloured label: a list looks its colour up by the key. Where a page writes the value
    itself, which Unfold does on the page of one row, it reads as its words."""

    key: Any
    words: str

    def __str__(self) -> str:
        return self.words


class ReaderLocale:
    """Middleware, behind Django's LocaleMiddleware: display in the locale of the reader."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        found = locale_for(
            request.headers.get("Accept-Language", ""), get_language() or DEFAULT.language
        )
        token = _reader.set(found)
        try:
            return self.get_response(request)
        finally:
            _reader.reset(token)


def locale_for(accepted: str, language: str) -> Locale:
    """The page's language in the first region of an Accept-Language header that it is written
    in."""
    for tag, _quality in parse_accept_lang_header(accepted.lower()):
        region = tag.rpartition("-")[2].upper()
        try:
            return Locale(language, region)
        except (UnknownLocaleError, ValueError):
            continue
    try:
        if language == DEFAULT.language:
            return DEFAULT
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        return DEFAULT


# --- dates and times ------------------------------------------------------------------------------


def day(at: date | None, zone: tzinfo | None = None) -> str:
    """ "24 Nov 2026"; a datetime needs its zone."""
    if at is None:
        return NOTHING
    return format_skeleton("yMMMd", _local(at, zone), locale=_reader.get())


def short_day(at: date, zone: tzinfo | None = None) -> str:
    """ "24 Nov", where the year is plain."""
    return format_skeleton("MMMd", _local(at, zone), locale=_reader.get())


def time_of_day(at: datetime, zone: tzinfo, *, with_secs: bool = False) -> str:
    """ "18:05", "18:05:09"."""
    local = at.astimezone(zone)
    return format_time(local, "medium" if with_secs else "short", locale=_reader.get())


def moment(at: datetime | None, zone: tzinfo) -> str:
    """ "24 Nov 2026, 18:05"."""
    if at is None:
        return NOTHING
    return _joined(day(at, zone), time_of_day(at, zone))


def exact_moment(at: datetime, zone: tzinfo) -> str:
    """ "24 Nov 2026, 18:05:09 IST"."""
    return _joined(day(at, zone), f"{time_of_day(at, zone, with_secs=True)} {zone_name(at, zone)}")


def planned_moment(at: datetime, zone: tzinfo, now: datetime) -> str:
    """ "Tue 24 Nov, 18:05 IST", with the year when it is not this one."""
    local = at.astimezone(zone)
    skeleton = "yMMMEd"
    if local.year == now.astimezone(zone).year:
        skeleton = "MMMEd"
    words = format_skeleton(skeleton, local, locale=_reader.get())
    return _joined(words, zoned_time(at, zone))


def on_both_clocks(at: datetime, zone: tzinfo, own: tzinfo, now: datetime) -> str:
    """ "Tue 24 Nov, 18:05 IST (Tue 24 Nov, 13:35 CET)": on the clock of the page and on its own,
    if they differ."""
    words = planned_moment(at, zone, now)
    if is_same_clock(at, zone, own):
        return words
    return f"{words} ({planned_moment(at, own, now)})"


def is_same_clock(at: datetime, one: tzinfo, other: tzinfo) -> bool:
    """Whether both zones show the same time at that moment."""
    return at.astimezone(one).utcoffset() == at.astimezone(other).utcoffset()


def near_moment(at: datetime, zone: tzinfo, now: datetime) -> str:
    """ "Today 18:05", "Sat 09:30" within the coming week, else "12 Dec 09:30"."""
    local = at.astimezone(zone)
    ahead = (local.date() - now.astimezone(zone).date()).days
    if ahead == 0:
        words = _("Today")
    elif ahead == 1:
        words = _("Tomorrow")
    elif 0 < ahead < 7:
        words = format_skeleton("E", local, locale=_reader.get())
    else:
        words = short_day(local)
    return f"{words} {time_of_day(at, zone)}"


def zoned_time(at: datetime, zone: tzinfo) -> str:
    """ "18:05 IST"."""
    return f"{time_of_day(at, zone)} {zone_name(at, zone)}"


def weekday(at: date) -> str:
    """ "Tue"."""
    return format_skeleton("E", at, locale=_reader.get())


def weekday_name(number: int) -> str:
    """ "Tuesday"; Monday is 0."""
    return str(get_day_names("wide", locale=_reader.get())[number])


def month_name(number: int) -> str:
    """ "December" of 12, as a name that stands alone."""
    return str(get_month_names("wide", "stand-alone", locale=_reader.get())[number])


def zone_name(at: datetime, zone: tzinfo) -> str:
    """ "IST", "UTC", or "+03" of a zone without a short name."""
    return at.astimezone(zone).tzname() or ""


def ago(at: datetime | None, now: datetime) -> str:
    """ "3 h ago", "in 5 min", "just now"; "never" for None."""
    if at is None:
        return _("never")
    return age(now - at)


def age(span: timedelta) -> str:
    """ "3 h ago" of what happened so long ago; "in 5 min" if the span is negative."""
    if abs(span) < NOW:
        return _("just now")
    if span < timedelta():
        return _("in %(span)s") % {"span": how_long(-span)}
    return _("%(span)s ago") % {"span": how_long(span)}


# --- spans ----------------------------------------------------------------------------------------


def how_long(span: timedelta) -> str:
    """ "12 s", "4 min", "3 h", "2 days": one unit, rounded down; never negative."""
    secs = max(0, int(span.total_seconds()))
    if secs >= 86_400:
        days = secs // 86_400
        return ngettext("%(count)s day", "%(count)s days", days) % {"count": format_number(days)}
    if secs >= 3_600:
        return _("%(count)s h") % {"count": secs // 3_600}
    if secs >= 60:
        return _("%(count)s min") % {"count": secs // 60}
    return _("%(count)s s") % {"count": secs}


def duration(length: timedelta) -> str:
    """ "4 s", "2 min 5 s", "3 h 12 min"."""
    secs = round(length.total_seconds())
    if secs < 1:
        return _("less than a second")
    if secs < 60:
        return _("%(count)s s") % {"count": secs}
    if secs < 3600:
        return _("%(minutes)s min %(seconds)s s") % {"minutes": secs // 60, "seconds": secs % 60}
    return _("%(hours)s h %(minutes)s min") % {
        "hours": format_number(secs // 3600),
        "minutes": secs % 3600 // 60,
    }


def exact_span(secs: int) -> str:
    """ "6 hours", "1 week", "2 hours 5 minutes": every unit, nothing rounded; "" for nothing."""
    weeks, secs = divmod(secs, 604_800)
    days, secs = divmod(secs, 86_400)
    hours, secs = divmod(secs, 3_600)
    minutes, secs = divmod(secs, 60)
    parts = (
        (weeks, ngettext("%(count)s week", "%(count)s weeks", weeks)),
        (days, ngettext("%(count)s day", "%(count)s days", days)),
        (hours, ngettext("%(count)s hour", "%(count)s hours", hours)),
        (minutes, ngettext("%(count)s minute", "%(count)s minutes", minutes)),
        (secs, ngettext("%(count)s second", "%(count)s seconds", secs)),
    )
    return " ".join(words % {"count": format_number(count)} for count, words in parts if count)


# --- numbers --------------------------------------------------------------------------------------


def format_number(value: float) -> str:
    """ "12,345", "0.5"."""
    return format_decimal(value, locale=_reader.get())


def counted(count: int, noun: str, plural: str = "") -> str:
    """ "1 worker", "1,200 workers". For commands and logs; pages use ngettext with
    `format_number`."""
    return f"{format_number(count)} {noun if count == 1 else plural or f'{noun}s'}"


def listed(names: Iterable[object], join: Literal["and", "or"] = "and") -> str:
    """ "app push, web push and SMS", or the last two joined by "or"; "" for none."""
    style: Literal["standard", "or"] = "standard" if join == "and" else "or"
    return format_list([str(name) for name in names], style, locale=_reader.get())


def size(size_bytes: float) -> str:
    """ "820 kB", "4.2 GB"."""
    for unit in ("B", "kB"):
        if size_bytes < 1000:
            return f"{format_number(round(size_bytes))} {unit}"
        size_bytes /= 1000
    for unit in ("MB", "GB"):
        if size_bytes < 1000:
            return f"{_tenth(size_bytes)} {unit}"
        size_bytes /= 1000
    return f"{_tenth(size_bytes)} TB"


def percent(value: float | None) -> str:
    """ "95.2 %", "100 %", "0 %"; what exists is never shown as nothing, nor what is missing as
    all; "–" for None."""
    if value is None:
        return NOTHING
    return _percent(round(10 * value), value)


def shares(counts: Mapping[str, int]) -> dict[str, str]:
    """The percentage of each part of one account. They add to 100 %: largest remainders round
    up, in an order that depends on nothing but the counts and the keys, so that every page shows
    the same."""
    whole = sum(counts.values())
    if not whole:
        return dict.fromkeys(counts, NOTHING)
    tenths = {key: 1000 * count // whole for key, count in counts.items()}
    by_remainder = sorted(
        counts, key=lambda key: (-(1000 * counts[key] % whole), -counts[key], key)
    )
    for key in by_remainder[: 1000 - sum(tenths.values())]:
        tenths[key] += 1
    return {key: _percent(tenths[key], 100 * count / whole) for key, count in counts.items()}


def _percent(tenths: int, value: float) -> str:
    if value in (0, 100):
        return f"{value:.0f} %"
    if tenths == 0:
        return f"< {_tenth(0.1)} %"
    if tenths >= 1000 > 10 * value:
        return f"> {_tenth(99.9)} %"
    return f"{_tenth(tenths / 10)} %"


def _tenth(value: float) -> str:
    return format_decimal(value, "#,##0.0", locale=_reader.get())


def _local(at: date, zone: tzinfo | None) -> date:
    if zone is not None and isinstance(at, datetime):
        return at.astimezone(zone)
    return at


def _joined(day_words: str, clock_words: str) -> str:
    pattern = str(_reader.get().datetime_formats["medium"])
    return pattern.format(clock_words, day_words)
