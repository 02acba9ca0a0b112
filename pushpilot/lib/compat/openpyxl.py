"""openpyxl."""

from __future__ import annotations

from typing import Any


def keep_numbers(book: Any) -> None:
    """Give dates as the numbers that they are stored as: their formats say how they show."""
    book._date_formats, book._timedelta_formats = set(), set()
