"""CSV and cells for people who open them in a spreadsheet: no cell is run as a formula.

The rule of every export of ours: a cell that could be taken for a formula gets one apostrophe
before it, and every other text stays as it is. An import keeps leading apostrophes; only where a
row's cell is what our export makes of the stored value (`safe`), the row is unchanged.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

__all__ = ["BOM", "csv_line", "safe"]

BOM = "\ufeff"  # tells spreadsheets that the file is UTF-8
_FORMULA_STARTS = "=+-@\N{MINUS SIGN}"
_CELL_BREAKS = ("\t", "\r", "\n")
# What the XML of an Excel file cannot hold: control characters, halves of pairs, non-characters.
_IN_NO_FILE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FILLERS = "\u115f\u1160\u2800"  # letters and a symbol by Unicode's word, blank to the eye


def safe(value: object) -> str:
    """The text of a cell that no spreadsheet runs as a formula or refuses; "" for None."""
    text = _IN_NO_FILE.sub("", "" if value is None else str(value))
    if _looks_like_formula(text):
        return f"'{text}"
    return text


def _looks_like_formula(text: str) -> bool:
    """Whether its first visible character starts a formula, in any width: spreadsheets pass over
    blanks, and what they drop or fold is not the same in each."""
    if text.startswith(_CELL_BREAKS):
        return True
    for letter in text:
        for known in unicodedata.normalize("NFKC", letter):
            if unicodedata.category(known)[0] not in "CMZ" and known not in _FILLERS:
                return known in _FORMULA_STARTS
    return False


class _Echo:
    """A file that gives each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


_writer: Any = csv.writer(_Echo())


def csv_line(cells: Iterable[object]) -> str:
    """One line of a CSV file, its cells made safe."""
    line: str = _writer.writerow([safe(cell) for cell in cells])
    return line
