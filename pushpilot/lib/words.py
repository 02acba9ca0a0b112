"""Numbers, spans of time and sizes as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta


def counted(number: int, noun: str, plural: str = "") -> str:
    """ "1 worker", "1,200 workers"."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def how_long(span: timedelta) -> str:
    """ "12 s", "4 min", "3 h", "2 days": one unit, rounded down; never negative."""
    secs = max(0, int(span.total_seconds()))
    for size, unit in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if secs >= size:
            return counted(secs // size, unit) if unit == "day" else f"{secs // size} {unit}"
    return f"{secs} s"


def exact_span(secs: int) -> str:
    """ "6 hours", "1 week", "2 hours 5 minutes": every unit, nothing rounded; "" for nothing."""
    parts = []
    for unit, size in (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, secs = divmod(secs, size)
        if count:
            parts.append(counted(count, unit))
    return " ".join(parts)


def size_words(size_bytes: float) -> str:
    """ "820 kB", "4.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit in ("B", "kB") else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def percent(value: float | None) -> str:
    """ "95.2 %", "100 %", "0 %"; what exists is never shown as nothing, nor what is missing as all; "–" for None."""
    return "–" if value is None else _tenths(round(10 * value), value)


def shares(counts: Mapping[str, int]) -> dict[str, str]:
    """The percentage of each part of one account. They add to 100 %: largest remainders round up, in an order that
    depends on nothing but the counts and the keys, so that every page shows the same."""
    whole = sum(counts.values())
    if not whole:
        return dict.fromkeys(counts, "–")
    tenths = {key: 1000 * count // whole for key, count in counts.items()}
    by_remainder = sorted(counts, key=lambda key: (-(1000 * counts[key] % whole), -counts[key], key))
    for key in by_remainder[: 1000 - sum(tenths.values())]:
        tenths[key] += 1
    return {key: _tenths(tenths[key], 100 * count / whole) for key, count in counts.items()}


def _tenths(tenths: int, value: float) -> str:
    if value in (0, 100):
        return f"{value:.0f} %"
    if tenths == 0:
        return "< 0.1 %"
    return "> 99.9 %" if tenths >= 1000 > 10 * value else f"{tenths / 10:,.1f} %"
