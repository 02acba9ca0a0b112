"""CSV for people who open it in a spreadsheet: no cell is run as a formula, lines can be streamed."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any

__all__ = ["BOM", "csv_line", "safe"]

BOM = "\ufeff"  # tells spreadsheets that the file is UTF-8
# What a spreadsheet runs as a formula, or stumbles over, at the start of a cell.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\x00")


def safe(value: object) -> str:
    """A cell that no spreadsheet runs as a formula or refuses; "" for None."""
    text = str(value if value is not None else "")
    text = f"'{text}" if text.startswith(_FORMULA) else text
    return "".join(letter for letter in text if letter >= " " or letter in "\t\n\r")


class _Echo:
    """A file that gives each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


_writer: Any = csv.writer(_Echo())


def csv_line(cells: Iterable[object]) -> str:
    """One line of a CSV file, its cells made safe."""
    line: str = _writer.writerow([safe(cell) for cell in cells])
    return line
