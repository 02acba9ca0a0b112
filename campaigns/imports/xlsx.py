"""XLSX, opened only after its zip directory has been looked at.

A 4.6 kB workbook hangs a stock reader for more than 40 s: entities that expand, parts that inflate to gigabytes, one
cell at XFD1048576. Every part is counted first, the sheet is streamed, rows × columns are capped.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

import openpyxl

from campaigns.imports.files import COLUMN_LIMIT, LINE_LIMIT, NOT_A_TABLE, OLD_EXCEL, FileProblem

PART_LIMIT = 1_000
INFLATED_LIMIT = 64 * 1024 * 1024  # bytes of all parts together
MARKUP_LIMIT = 1_500_000  # "<" of all parts: at most 6 s of openpyxl's work; a full table of ours has 1.3 M

_CHUNK = 1024 * 1024
_PROLOG = 64 * 1024
BROKEN = "This Excel file is damaged. Open it in Excel, save it again as a workbook (.xlsx) and try again."
INFLATES = (
    "This Excel file unpacks to far more than a table needs."
    " Copy only the rows to import into a new workbook, or save the sheet as “CSV UTF-8”, and try again."
)


def rows_of(data: bytes) -> tuple[Iterator[list[str]], list[str]]:
    """(rows of the first sheet as text, notes). Raises FileProblem, also while the rows are read."""
    _inspect(data)
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # openpyxl meets a damaged workbook with any exception there is
        raise FileProblem(BROKEN) from error
    if not book.worksheets:
        raise FileProblem(NOT_A_TABLE)
    sheet = book.worksheets[0]
    notes = []
    if len(book.worksheets) > 1:
        notes.append(f"The workbook has {len(book.worksheets)} sheets; only the first, “{sheet.title}”, was read.")
    return _rows(sheet), notes


def _rows(sheet: Any) -> Iterator[list[str]]:
    # A sheet may claim any size for itself; without the caps openpyxl pads rows and columns up to it.
    sheet.reset_dimensions()
    try:
        for row in sheet.iter_rows(max_row=LINE_LIMIT + 1, max_col=COLUMN_LIMIT + 1, values_only=True):
            yield [] if row.count(None) == len(row) else [_text(value) for value in row]
    except FileProblem:
        raise
    except Exception as error:
        raise FileProblem(BROKEN) from error


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return str(value)


def _inspect(data: bytes) -> None:
    """Raises FileProblem unless this is a workbook whose parts are few, small and free of document types."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            if "[Content_Types].xml" not in names or not any(name.startswith("xl/") for name in names):
                raise FileProblem(NOT_A_TABLE)
            if len(parts) > PART_LIMIT or sum(part.file_size for part in parts) > INFLATED_LIMIT:
                raise FileProblem(INFLATES)
            if any(part.flag_bits & 0x1 for part in parts):
                raise FileProblem(OLD_EXCEL)
            _count_markup(archive, parts)
    except FileProblem:
        raise
    except Exception as error:  # zipfile's own, zlib.error, RuntimeError, OSError: whatever a broken file makes of it
        raise FileProblem(BROKEN) from error


def _count_markup(archive: zipfile.ZipFile, parts: list[zipfile.ZipInfo]) -> None:
    """Streams every part once: 64 MB in about 0.3 s. zipfile never inflates a part beyond the size it declares.

    Every part, whatever its name: a workbook may call its sheet anything.
    """
    markup = 0
    for part in parts:
        with archive.open(part) as stream:
            head = stream.read(_PROLOG)
            # A workbook has no document type; entities of one could still inflate what was counted here.
            if b"<!DOCTYPE" in head.replace(b"\x00", b"").upper():
                raise FileProblem(INFLATES)
            markup += head.count(b"<")
            while chunk := stream.read(_CHUNK):
                markup += chunk.count(b"<")
        if markup > MARKUP_LIMIT:
            raise FileProblem(INFLATES)
