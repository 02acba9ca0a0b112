"""What a health check answers: one line, in words that say what to do. Each layer checks what it
knows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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


def ok(title: str, says: str) -> Line:
    return Line(title, Status.OK, says)


def warning(title: str, says: str, todo: str) -> Line:
    return Line(title, Status.WARNING, says, todo)


def broken(title: str, says: str, todo: str) -> Line:
    return Line(title, Status.BROKEN, says, todo)
