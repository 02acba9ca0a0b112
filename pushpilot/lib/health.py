"""What a health check answers: one line, in words that say what to do. Each layer checks what it
knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pushpilot.lib.display import Words


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Line:
    """`says` is a sentence for operators, `todo` the remedy; nothing in them belongs to a
    tenant."""

    title: str
    status: Status
    says: str
    todo: str = ""


def ok(title: Words, says: Words) -> Line:
    return Line(str(title), Status.OK, str(says))


def warning(title: Words, says: Words, todo: Words) -> Line:
    return Line(str(title), Status.WARNING, str(says), str(todo))


def broken(title: Words, says: Words, todo: Words) -> Line:
    return Line(str(title), Status.BROKEN, str(says), str(todo))


def waited(oldest: datetime | None, now: datetime) -> timedelta:
    """How long the oldest of what waits has done so; nothing if nothing waits."""
    if oldest is None:
        return timedelta()
    return now - oldest
