"""Tables out of the files that people really have: CSV in any dress, and XLSX.

What a file is, is decided by its bytes, not by its name. Whatever cannot be read ends in one
sentence that says what to do about it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.imports.decoding import ENCODINGS, decode, samples_of
from pushpilot.lib.display import format_number
from pushpilot.lib.spelling import trim, unix_lines

FILE_LIMIT = 10 * 1024 * 1024  # bytes
ROW_LIMIT = 20_000  # rows with content
LINE_LIMIT = 100_000  # rows in all, blank ones too
COLUMN_LIMIT = 100

_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0"
_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'\A"?sep=([,;\t|])"?(?:\r\n|\r|\n)', re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x80-\x84\x86-\x9f]")
# of control characters: no table has so many, pictures and programs have at least twice as many
BINARY_SHARE = 0.05

# Python's own limit of 131,072 ends in a complaint about quotation marks; what a column may hold,
# its own limit says.
csv.field_size_limit(FILE_LIMIT)

NOT_A_TABLE = gettext_lazy(
    "The file is not a table that PushPilot can read. Save it as “CSV UTF-8” or as an Excel "
    "workbook (.xlsx) and try again."
)
OLD_EXCEL = gettext_lazy(
    "This is an old (.xls) or password-protected Excel file. Open it in Excel, "
    "remove the password and save it as an Excel workbook (.xlsx) or as “CSV "
    "UTF-8”."
)
WRONG_ENCODING = gettext_lazy("The file cannot be read in this encoding. Choose another one.")
EMPTY = gettext_lazy("The file is empty. Fill in the sample file and try again.")
NO_ROWS = gettext_lazy(
    "The file has a heading row but nothing below it. Add one row per entry and try again."
)


class FileProblem(Exception):
    """The whole file is of no use; the message is one sentence or two that name what to do."""


class Refused(str):
    """A cell that holds no text for a message: what is wrong with it (`text`), and what to do
    (`remedy`)."""

    text: str
    remedy: str

    def __new__(cls, value: str, text: str, remedy: str) -> Refused:
        cell = super().__new__(cls, value)
        cell.text, cell.remedy = text, remedy
        return cell


@dataclass(frozen=True, slots=True)
class CellFault:
    """A Refused cell of a row, by its position."""

    position: int
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row with content. `number` is the one a spreadsheet shows beside it; the heading is
    usually row 1."""

    number: int
    cells: list[str]
    faults: list[CellFault] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Assumed:
    """The encoding that a file was read in because nothing in it says which one is right: texts
    to look at, and the file itself (base64), to be read in another one."""

    encoding: str
    samples: list[str]
    data: str

    @property
    def words(self) -> str:
        """ "Cyrillic (Windows-1251)"."""
        return str(ENCODINGS[self.encoding])

    def again(self, encoding: str) -> Table:
        """The same file in another encoding. Raises FileProblem."""
        return read_table(b64decode(self.data), encoding)


@dataclass(frozen=True, slots=True)
class Table:
    """`width` counts the heading's cells with the empty ones at its end: a row with more has a
    separator too many."""

    header: Row
    rows: list[Row]
    width: int
    notes: list[str] = field(default_factory=list)
    assumed: Assumed | None = None

    def dump(self, file_name: str) -> bytes:
        """For the temporary storage between preview and confirmation: a hostile file is parsed
        only once."""
        return json.dumps({"file": file_name, **asdict(self)}, separators=(",", ":")).encode()

    @classmethod
    def load(cls, dumped: bytes) -> tuple[str, Table]:
        """(file name, table) of what `dump` made."""
        content = json.loads(dumped)
        rows = [_loaded(row) for row in content["rows"]]
        assumed = None
        if content["assumed"]:
            assumed = Assumed(**content["assumed"])
        return content["file"], cls(
            _loaded(content["header"]), rows, content["width"], content["notes"], assumed
        )


def _loaded(row: dict[str, Any]) -> Row:
    return Row(row["number"], row["cells"], [CellFault(**fault) for fault in row["faults"]])


def read_table(data: bytes, encoding: str = "") -> Table:
    """The table in a file's bytes; `encoding` is a person's word, one of decoding.ENCODINGS.
    Raises FileProblem."""
    if len(data) > FILE_LIMIT:
        raise too_large(len(data))
    if not data.strip():
        raise FileProblem(EMPTY)
    if data.startswith(_OLE):
        raise FileProblem(OLD_EXCEL)
    if data.startswith(_ZIP):
        from campaigns.imports import xlsx

        rows, notes = xlsx.rows_of(data)
    else:
        rows, assumed = _csv_rows(data, encoding)
        return replace(table_of(rows, []), assumed=assumed)
    return table_of(rows, notes)


def too_large(size_bytes: int) -> FileProblem:
    return FileProblem(
        _(
            "The file has %(size)s MB. The limit is %(limit)s MB. Split it into several files and "
            "import them one after the other."
        )
        % {
            "size": format_number(round(size_bytes / 2**20, 1)),
            "limit": format_number(FILE_LIMIT // 2**20),
        }
    )


def table_of(rows: Iterable[list[str]], notes: list[str]) -> Table:
    """The first row with content is the heading. Raises FileProblem when there is none, or too
    much."""
    header: Row | None = None
    found: list[Row] = []
    width = 0
    for number, raw in enumerate(rows, 1):
        cells = trimmed(raw)
        if number > LINE_LIMIT:
            raise FileProblem(
                _(
                    "The table reaches beyond row %(number)s. Delete the empty rows below "
                    "your entries, or split the file, and try again."
                )
                % {"number": format_number(LINE_LIMIT)}
            )
        if not cells:
            continue
        if header is None:
            header, width = _checked_header(Row(number, cells)), len(raw)
        elif len(found) == ROW_LIMIT:
            raise FileProblem(
                ngettext(
                    "The file has more than %(count)s row. Split it into several files and "
                    "import them one after the other.",
                    "The file has more than %(count)s rows. Split it into several files and "
                    "import them one after the other.",
                    ROW_LIMIT,
                )
                % {"count": format_number(ROW_LIMIT)}
            )
        else:
            found.append(Row(number, cells, _faults(raw)))
    if header is None:
        raise FileProblem(EMPTY)
    if not found:
        raise FileProblem(NO_ROWS)
    return Table(header, found, width, notes)


def trimmed(raw: list[str]) -> list[str]:
    """Cells without the white space around them (NBSP and zero-width marks too), trailing empty
    ones dropped."""
    cells = [trim(unix_lines(cell)) for cell in raw]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _faults(raw: list[str]) -> list[CellFault]:
    refused = ((at, cell) for at, cell in enumerate(raw) if isinstance(cell, Refused))
    return [CellFault(at, cell.text, cell.remedy) for at, cell in refused]


def _checked_header(header: Row) -> Row:
    if len(header.cells) > COLUMN_LIMIT:
        raise FileProblem(
            ngettext(
                "The file has %(count)s column. The limit is %(limit)s. Delete the "
                "columns that are not needed and try again.",
                "The file has %(count)s columns. The limit is %(limit)s. Delete the "
                "columns that are not needed and try again.",
                len(header.cells),
            )
            % {"count": format_number(len(header.cells)), "limit": COLUMN_LIMIT}
        )
    return header


# --- CSV ------------------------------------------------------------------------------------------
def _csv_rows(data: bytes, encoding: str) -> tuple[Iterator[list[str]], Assumed | None]:
    try:
        text, assumed = decode(data, encoding)
    except UnicodeDecodeError as error:
        raise FileProblem(WRONG_ENCODING if encoding else NOT_A_TABLE) from error
    if len(_CONTROLS.findall(text)) > BINARY_SHARE * len(text) or text.lstrip().startswith("<"):
        raise FileProblem(NOT_A_TABLE)
    guess = None
    if assumed:
        guess = Assumed(assumed, samples_of(text), b64encode(data).decode())
    text = text.removesuffix("\x1a")  # the end of a DOS file
    # Excel's own first line; Excel does not show it, so it is no row
    separator = _SEPARATOR_LINE.match(text)
    if separator:
        return _records(text[separator.end() :], separator[1]), guess
    return _records(text, _delimiter_of(text)), guess


def _delimiter_of(text: str) -> str:
    """The character that cuts the heading into most cells."""

    def columns(delimiter: str) -> int:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            return next(
                (len(record) for record in reader if any(cell.strip() for cell in record)), 0
            )
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=columns)


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    """Strict about quotation marks: a forgiving reader swallows the rest of the file after one
    that is not closed."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for record in reader:
            number += 1
            yield record
    except csv.Error as error:
        raise FileProblem(
            _(
                "Row %(number)s: the quotation marks do not match. Put the whole cell in "
                'quotation marks and write two ("") for each one inside it.'
            )
            % {"number": number + 1}
        ) from error
