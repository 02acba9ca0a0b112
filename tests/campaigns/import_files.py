"""What the tests of the template import share: tables, workbooks, and what becomes of their
rows."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import openpyxl

from campaigns.imports.files import Table, read_table
from campaigns.imports.templates import preview

DATA = Path(__file__).parent / "data"
HEADING = "name,language,category,tone,title,body,image_url,deep_link"
TEXT = f"{HEADING}\nCafé,pt-BR,offer,urgent,Só hoje,Preço — “ótimo”,,\n"
GOOD = "Diwali,en,festive,cheerful,Happy Diwali,20% off,https://cdn.example.com/a.png,app://diwali"


def table(*lines: str, heading: str = HEADING) -> Table:
    return read_table("\n".join([heading, *lines]).encode())


def statuses(report) -> list[str]:
    return [str(row.status) for row in report.rows]


def row_error(workspace, line: str, heading: str = HEADING):
    """The only error of the only row."""
    report = preview(table(line, heading=heading), workspace)
    ((found,),) = [row.errors for row in report.rows]
    return found


def workbook(*rows: tuple, sheets: int = 1) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for number in range(1, sheets):
        book.create_sheet(f"More {number}")
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def repacked(
    data: bytes, changes: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """The zip with some of its parts replaced or added."""
    source, stream = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as target:
        for name in {*source.namelist(), *changes}:
            target.writestr(name, changes.get(name) if name in changes else source.read(name))
    return stream.getvalue()
