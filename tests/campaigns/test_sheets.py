"""A cell of a workbook means what the sheet shows; a cell that shows no text is an error of its
row."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import date, datetime, time, timedelta
from typing import Any

import openpyxl
import pytest

from campaigns.imports.files import Table, read_table
from campaigns.imports.numberformat import shown_number, shown_text
from campaigns.imports.templates import RowStatus, preview
from tests.campaigns.import_files import DATA

pytestmark = pytest.mark.once

CASES: list[dict[str, Any]] = json.loads((DATA / "sheet.json").read_text())
FORMATS = [
    (0.5, "0%", "50%"), (0.125, "0.0%", "12.5%"), (1.5, "0%", "150%"), (0.3333333333, "0.00%", "33.33%"),
    (7, "000", "007"), (42, '"ID-"0000', "ID-0042"), (5551234567, "(000) 000-0000", "(555) 123-4567"),
    (500, '"₹"#,##0', "₹500"), (100, "[$₹-4009] #,##0.00", "₹ 100.00"), (1234.5, "[$€-407] #,##0.00", "€ 1,234.50"),
    (-1234.5, "#,##0.00;(#,##0.00)", "(1,234.50)"), (-5, "0", "-5"), (-5, "[Red]0.0", "-5.0"), (-0.1, "0", "0"),
    (0, '0;-0;"none"', "none"), (50, '[>=100]"big";"small"', "small"), (1, ";;;", ""),
    (1234567.5, "#,##0.00", "1,234,567.50"), (1e6, "#,##0,", "1,000"), (12200000, "0.0,,", "12.2"),
    (0.5, "#.##", ".5"), (8.9, "#.##", "8.9"), (1.005, "0.00", "1.01"), (2.5, "0", "3"), (3, '0" pcs"', "3 pcs"),
    (20, '0\\ "%"', "20 %"), (20, "0°", "20°"),
    (12345, "0.00E+00", "1.23E+04"), (0.00012, "0.00E+00", "1.20E-04"), (12345, "##0.0E+0", "12.3E+3"),
    (1.5, "# ?/?", "1 1/2"), (0.75, "?/?", "3/4"), (2, "# ?/?", "2"),
    (2024, "General", "2024"), (1.5, "General", "1.5"), (0.1 + 0.2, "General", "0.3"), (1, "@", "1"),
    (123456789012, "General", "123456789012"), (1e-7, "General", "0.0000001"),
    (46350, "d mmm yyyy", "24 Nov 2026"), (46350, "dd/mm/yyyy", "24/11/2026"), (46350, "d-mmm-yy;@", "24-Nov-26"),
    (46350.5, "dddd, d mmmm yyyy", "Tuesday, 24 November 2026"), (46350, "mm-dd-yy", "2026-11-24"),
    (46350, "[$-F800]dddd\\,\\ mmmm\\ dd\\,\\ yyyy", "Tuesday, November 24, 2026"),
    (46350.75, "yyyy-mm-dd hh:mm:ss", "2026-11-24 18:00:00"), (59, "d mmm yyyy", "28 Feb 1900"),
    (0.375, "h:mm", "9:00"), (0.3958333, "h:mm", "9:30"), (0.25, "h:mm AM/PM", "6:00 AM"),
    (1.5, "[h]:mm", "36:00"), (0.9999, "[mm]:ss", "1439:51"), (0.123456, "mm:ss.000", "57:46.598"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "code", "shown"), FORMATS)
def test_a_number_is_what_its_format_shows(value, code, shown):
    assert shown_number(value, code) == shown


def test_a_text_may_have_a_format_too():
    assert shown_text("7", '"ID-"@') == "ID-7"
    assert shown_text("a", '0;0;0;"x"@') == "xa"
    assert shown_text("a", "0.00") == "a"


def test_days_of_a_workbook_from_1904_are_four_years_later():
    assert shown_number(44888, "yyyy-mm-dd", from_1904=True) == "2026-11-24"


def title(inside, value: Any, code: str = "General") -> Any:
    """The status of a row whose title is this cell."""
    book = openpyxl.Workbook()
    book.active.append(("name", "category", "title", "body"))
    book.active.append(("A", "offer", value, "B"))
    if code != "General":
        book.active["C2"].number_format = code
    stream = io.BytesIO()
    book.save(stream)
    (row,) = preview(read_table(stream.getvalue()), inside.workspace).rows
    return row


def test_each_cell_of_the_sheet_means_what_it_shows(inside):
    report = preview(read_table((DATA / "sheet.xlsx").read_bytes()), inside.workspace)
    rows = {row.number: row for row in report.rows}
    assert len(rows) == len(CASES)
    for case in CASES:
        row = rows[case["row"]]
        if "refused" in case:
            assert (row.status, [found.column for found in row.errors]) == (
                RowStatus.ERROR,
                ["title"],
            )
        else:
            assert row.values["title"] == case["title"].split(" (two")[0].replace(" / ", " "), case


def test_a_text_of_two_lines_stays_two_lines_in_the_body(inside):
    book = openpyxl.Workbook()
    book.active.append(("name", "category", "title", "body"))
    book.active.append(("A", "offer", "T_x005F_x000D_", "a_x000D_\nb"))
    stream = io.BytesIO()
    book.save(stream)
    (row,) = preview(read_table(stream.getvalue()), inside.workspace).rows
    assert (row.values["title"], row.values["body"]) == ("T_x000D_", "a\nb")


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("_xD83D__xDE00_", "\U0001f600"),
        ("_xD800_ sale", "_xD800_ sale"),
        ("_xDE00__xD83D_", "_xDE00__xD83D_"),
    ],
)
def test_half_of_a_character_is_no_character_and_breaks_no_import(inside, cell, shown):
    row = title(inside, cell)
    assert row.values["title"] == shown
    assert row.values["title"].encode()


@pytest.mark.parametrize(
    "error", ["#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!"]
)
def test_an_error_of_the_sheet_is_an_error_of_its_row(inside, error):
    row = title(inside, error)
    ((column, text),) = [(found.column, found.text) for found in row.errors]
    assert column == "title"
    assert error in text


def test_a_formula_whose_result_is_not_in_the_file_is_an_error_of_its_row(inside):
    """Programs that write workbooks calculate nothing; a spreadsheet program adds the results."""
    row = title(inside, '="Sale " & 50')
    ((column, text, remedy),) = [(found.column, found.text, found.remedy) for found in row.errors]
    assert (row.status, column) == (RowStatus.ERROR, "title")
    assert "formula" in text
    assert "save it" in remedy


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ('<c r="C2" t="str"><f>A2&amp;"!"</f><v>A!</v></c>', "A!"),
        ('<c r="C2"><f>40+2</f><v>42</v></c>', "42"),
        ('<c r="C2" t="str"><f>""</f><v></v></c>', ""),
    ],
)
def test_the_result_of_a_formula_is_what_the_cell_shows(inside, cell, shown):
    (row,) = preview(read_table(with_cell(cell)), inside.workspace).rows
    assert row.values["title"] == shown


def with_cell(cell: str) -> bytes:
    """A workbook whose cell C2 is written like this."""
    book, plain, made = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    book.active.append(("name", "category", "title", "body"))
    book.active.append(("A", "offer", 0, "B"))
    book.save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            part = source.read(name).decode()
            target.writestr(name, re.sub(r'<c r="C2".*?</c>', lambda _: cell, part))
    return made.getvalue()


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (True, "General", "TRUE"),
        (date(2026, 11, 24), "dd.mm.yyyy", "24.11.2026"),
        (datetime(2026, 11, 24, 9, 5), "d mmm, h:mm", "24 Nov, 9:05"),
        (time(18, 30), "hh:mm", "18:30"),
        (timedelta(hours=30), "[h]:mm", "30:00"),
        ("0042", "@", "0042"),
        (999999999999999, "General", "999999999999999"),
        (1.5e20, "0.0E+00", "1.5E+20"),
    ],
)
def test_a_cell_is_what_the_sheet_shows(inside, value, code, shown):
    row = title(inside, value, code)
    assert (row.status, row.values["title"]) == (RowStatus.NEW, shown)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (12345678901234567890, "General"),
        (1e15, "0"),
        (-(10**16), "#,##0"),
        (-5, "d mmm yyyy"),
        (9e6, "yyyy-mm-dd"),
    ],
)
def test_a_number_that_the_sheet_does_not_hold_exactly_is_refused_with_the_remedy(
    inside, value, code
):
    (found,) = title(inside, value, code).errors
    assert found.column == "title"
    assert found.remedy


def test_a_fault_in_a_column_that_templates_do_not_have_is_none(inside):
    book = openpyxl.Workbook()
    book.active.append(("name", "category", "title", "body", "Owner"))
    book.active.append(("A", "offer", "T", "B", "#N/A"))
    stream = io.BytesIO()
    book.save(stream)
    read = read_table(stream.getvalue())
    assert Table.load(read.dump("a.xlsx")) == ("a.xlsx", read)
    assert [row.status for row in preview(read, inside.workspace).rows] == [RowStatus.NEW]


@pytest.mark.parametrize(
    "code", ['0"', "[", "0/", "?/0", "E+", "0E+", "yyyyyyyyy", "@@", "\\", "_", "%", ",", "0" * 300]
)
def test_no_format_breaks_the_import(inside, code):
    for value in (0, -1.5, 12345.678, 46350.5):
        assert isinstance(title(inside, value, code).values["title"], str)
