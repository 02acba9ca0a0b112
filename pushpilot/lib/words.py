"""Numbers, spans of time and sizes as people read them."""

from __future__ import annotations

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
