"""XLSX, opened only after its zip directory has been looked at.

A 4.6 kB workbook hangs a stock reader for more than 40 s: entities that expand, parts that
inflate to gigabytes, one cell at XFD1048576. Every part is counted first, the sheet is streamed,
rows × columns are capped.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import openpyxl
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, to_excel

from campaigns.imports import numberformat
from campaigns.imports.files import (
    COLUMN_LIMIT,
    LINE_LIMIT,
    NOT_A_TABLE,
    OLD_EXCEL,
    FileProblem,
    Refused,
)
from pushpilot.lib.compat.openpyxl import FORMULA, keep_numbers, tell_bare_formulas
from pushpilot.lib.display import format_number

PART_LIMIT = 1_000
INFLATED_LIMIT = 64 * 1024 * 1024  # bytes of all parts together
# "<" of all parts: at most 8 s of openpyxl's work; a full table of ours has 1.3 M
MARKUP_LIMIT = 1_500_000

EXACT_LIMIT = 10**15  # a sheet keeps 15 digits of a number
TOO_LONG = gettext_lazy("The number has more than 15 digits. A sheet keeps only 15.")

_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_CHUNK = 1024 * 1024
_PROLOG = 64 * 1024
BROKEN = gettext_lazy(
    "This Excel file is damaged. Open it in Excel, save it again as a workbook "
    "(.xlsx) and try again."
)
INFLATES = gettext_lazy(
    "This Excel file unpacks to far more than a table needs. Copy only the rows "
    "to import into a new workbook, or save the sheet as “CSV UTF-8”, and try "
    "again."
)

tell_bare_formulas()


def rows_of(data: bytes) -> tuple[Iterator[list[str]], list[str]]:
    """(rows of the first sheet as text, notes). Raises FileProblem, also while the rows are
    read."""
    _inspect(data)
    try:
        book = openpyxl.load_workbook(
            io.BytesIO(data), read_only=True, data_only=True, keep_links=False
        )
    except Exception as error:  # openpyxl meets a damaged workbook with any exception there is
        raise FileProblem(BROKEN) from error
    if not book.worksheets:
        raise FileProblem(NOT_A_TABLE)
    keep_numbers(book)
    sheet = book.worksheets[0]
    notes = []
    if len(book.worksheets) > 1:
        notes.append(
            ngettext(
                "The workbook has %(count)s sheet. PushPilot read only the first sheet, "
                "“%(title)s”.",
                "The workbook has %(count)s sheets. PushPilot read only the first sheet, "
                "“%(title)s”.",
                len(book.worksheets),
            )
            % {"count": format_number(len(book.worksheets)), "title": sheet.title}
        )
    return _rows(sheet), notes


def _rows(sheet: Any) -> Iterator[list[str]]:
    # A sheet may claim any size for itself; without the caps openpyxl pads rows and columns up to
    # it.
    sheet.reset_dimensions()
    from_1904 = sheet.parent.epoch == CALENDAR_MAC_1904
    try:
        for row in sheet.iter_rows(max_row=LINE_LIMIT + 1, max_col=COLUMN_LIMIT + 1):
            if all(cell.value is None and cell.data_type != FORMULA for cell in row):
                yield []
            else:
                yield [_text(cell, from_1904=from_1904) for cell in row]
    except FileProblem:
        raise
    except Exception as error:
        raise FileProblem(BROKEN) from error


def _text(cell: Any, *, from_1904: bool) -> str:
    """What the sheet shows in the cell; a Refused if that is no text for a message."""
    value = cell.value
    if cell.data_type == FORMULA:
        return Refused(
            "=",
            _("The cell holds a formula whose result is not in the file."),
            _("Open the file in a spreadsheet program, save it and try again."),
        )
    if value is None:
        return ""
    if cell.data_type == "e":
        return Refused(
            str(value),
            _("The cell shows the error %(value)s.") % {"value": value},
            _("Correct the formula in the sheet."),
        )
    if isinstance(value, bool):
        if value:
            return "TRUE"
        return "FALSE"
    if isinstance(value, str):
        return numberformat.shown_text(_unescaped(value), cell.number_format)
    if isinstance(value, (datetime, date, time, timedelta)):
        value = to_excel(value, CALENDAR_MAC_1904 if from_1904 else CALENDAR_WINDOWS_1900)
    return _number(value, cell.number_format, from_1904=from_1904)


def _number(value: float, code: str, *, from_1904: bool) -> str:
    if not math.isfinite(value):
        return Refused(
            str(value),
            _("The number in the cell cannot be shown."),
            _("Correct the cell in the sheet."),
        )
    if abs(value) >= EXACT_LIMIT and "E" not in code.upper().replace("GENERAL", ""):
        return Refused(
            str(value), str(TOO_LONG), _("Format the column as text and type the number again.")
        )
    try:
        return numberformat.shown_number(value, code, from_1904=from_1904)
    except numberformat.NotShown:
        return Refused(
            str(value),
            _("The cell shows “#####” in place of a date."),
            _("Correct the cell in the sheet."),
        )
    except (ArithmeticError, ValueError, IndexError):  # a format that is no format
        return numberformat.general(Decimal(repr(value)))


def _unescaped(text: str) -> str:
    """Workbooks write characters that XML cannot hold as _x000D_. Half of a surrogate pair is no
    character: no database and no page could hold it, so such a text stays as it is written."""
    if "_x" not in text:
        return text
    units = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text).encode(
        "utf-16", "surrogatepass"
    )
    try:
        return units.decode("utf-16")
    except UnicodeDecodeError:
        return text


def _inspect(data: bytes) -> None:
    """Raises FileProblem unless this is a workbook whose parts are few, small and free of
    document types."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            if "[Content_Types].xml" not in names or not any(
                name.startswith("xl/") for name in names
            ):
                raise FileProblem(NOT_A_TABLE)
            if len(parts) > PART_LIMIT or sum(part.file_size for part in parts) > INFLATED_LIMIT:
                raise FileProblem(INFLATES)
            if any(part.flag_bits & 0x1 for part in parts):
                raise FileProblem(OLD_EXCEL)
            _count_markup(archive, parts)
    except FileProblem:
        raise
    # zipfile's own, zlib.error, RuntimeError, OSError: whatever a broken file makes of it
    except Exception as error:
        raise FileProblem(BROKEN) from error


def _count_markup(archive: zipfile.ZipFile, parts: list[zipfile.ZipInfo]) -> None:
    """Streams every part once: 64 MB in about 0.3 s. zipfile never inflates a part beyond the
    size it declares.

    Every part, whatever its name: a workbook may call its sheet anything.
    """
    markup = 0
    for part in parts:
        with archive.open(part) as stream:
            head = stream.read(_PROLOG)
            # A workbook has no document type; entities of one could still inflate what was counted
            # here.
            if b"<!DOCTYPE" in head.replace(b"\x00", b"").upper():
                raise FileProblem(INFLATES)
            markup += head.count(b"<")
            while chunk := stream.read(_CHUNK):
                markup += chunk.count(b"<")
        if markup > MARKUP_LIMIT:
            raise FileProblem(INFLATES)
