"""openpyxl."""

from __future__ import annotations

from typing import Any

from openpyxl.worksheet import _read_only
from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

FORMULA = "f"


class _Parser(WorkSheetParser):
    def parse_cell(self, element: Any) -> dict[str, Any]:
        cell: dict[str, Any] = super().parse_cell(element)
        is_bare = cell["value"] is None and cell["data_type"] == "n"
        if is_bare and element.find(FORMULA_TAG) is not None:
            cell["data_type"] = FORMULA
        return cell


def tell_bare_formulas() -> None:
    """Give a formula whose result is not in the file the data type FORMULA and no value: to
    `data_only` it is an empty cell. A result that is an empty text has another type."""
    _read_only.WorkSheetParser = _Parser


def keep_numbers(book: Any) -> None:
    """Give dates as the numbers that they are stored as: their formats say how they show."""
    book._date_formats, book._timedelta_formats = set(), set()
