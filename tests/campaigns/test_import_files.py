"""Files of any kind are one table, or get one sentence that says what to do."""

from __future__ import annotations

import io
import time
import zipfile

import pytest

from campaigns.imports import decoding, files, xlsx
from campaigns.imports.files import FileProblem, Row, read_table
from tests.campaigns.import_files import HEADING, TEXT, repacked, table, workbook

pytestmark = pytest.mark.once

# --- files that are fine --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (TEXT.encode(), False),
        (TEXT.encode("utf-8-sig"), False),
        (TEXT.encode("utf-16"), False),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), False),
        (TEXT.encode("cp1252"), True),
        (TEXT.replace("\n", "\r\n").encode(), False),
        (TEXT.replace("\n", "\r").encode(), False),
        (TEXT.replace(",", ";").encode(), False),
        (TEXT.replace(",", "\t").encode(), False),
        (TEXT.replace(",", "|").encode(), False),
        (("sep=;\r\n" + TEXT.replace(",", ";")).encode(), False),
    ],
    ids=[
        "utf8",
        "bom",
        "utf16",
        "utf16be",
        "cp1252",
        "crlf",
        "cr",
        "semicolon",
        "tab",
        "pipe",
        "excel-sep",
    ],
)
def test_any_dress_of_csv_is_the_same_table(data, note):
    read = read_table(data)
    assert read.header == Row(1, HEADING.split(","))
    assert read.rows == [Row(2, ["Café", "pt-BR", "offer", "urgent", "Só hoje", "Preço — “ótimo”"])]
    assert bool(read.assumed) is note


def test_row_numbers_are_those_of_a_spreadsheet_with_blank_lines_and_quoted_newlines():
    read = read_table(
        f'\n{HEADING}\n\nA,en,offer,,T,"two\r\nlines",,\n,,,,,,,\n\nB,en,offer,,T,B,,\n'.encode()
    )
    assert read.header.number == 2
    assert [row.number for row in read.rows] == [4, 7]
    assert read.rows[0].cells[5] == "two\nlines"


def test_nbsp_and_zero_width_marks_around_cells_are_white_space():
    assert table("\u00a0Diwali\u00a0,\ufeffen ,offer,,T,B,,").rows[0].cells[:2] == ["Diwali", "en"]


def test_a_workbook_is_read_by_its_bytes_whatever_its_name():
    read = read_table(
        workbook(
            tuple(HEADING.split(",")), (), ("Ünï", "en", "offer", None, 2024, 1.5, True), sheets=2
        )
    )
    assert read.rows == [Row(3, ["Ünï", "en", "offer", "", "2024", "1.5", "TRUE"])]
    assert "only the first sheet, “Sheet”" in read.notes[0]


# --- files that are not ---------------------------------------------------------------------------
BOOK = workbook(tuple(HEADING.split(",")), ("A", "en", "offer", "", "T", "B"))
SHEET = "xl/worksheets/sheet1.xml"
XML = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
) + XML % b""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n \r\n", "empty"),
        (HEADING.encode(), "nothing below it"),
        (f"{HEADING}\n\n,,,\n".encode(), "nothing below it"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not a table"),
        (bytes(range(128, 256)) * 9, "not a table"),
        (b"\xff\xfe\x00\xd8\x00\xd8", "not a table"),
        (b"<html><table><tr><td>name</td></tr></table></html>", "not a table"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 99, "old (.xls) or password-protected"),
        (f'{HEADING}\nA,en,offer,,T,B,,\nB,en,offer,,"never '
        'closed,B,,\nC'.encode(), "Row 3: the quotation marks"),
        (f'{HEADING}\nA,en,offer,,"5" screen",B,,'.encode(), "Row 2: the quotation marks"),
        (f'{HEADING}\nA,en,offer,,T,"{"x" * 140_000}'.encode(), "Row 2: the quotation marks"),
        ((HEADING + "\n" + "A\n" * 20_001).encode(), "more than 20,000 rows"),
        ((HEADING + "\n" * 100_002 + "A").encode(), "beyond row 100,000"),
        (("a," * 101 + "b\n1").encode(), "102 columns. The limit is 100"),
        (b"x" * (files.FILE_LIMIT + 1), "10 MB. The limit is 10 MB"),
        (BOOK[:200], "damaged"),
        (b"PK\x03\x04 and then rubbish", "damaged"),
        (repacked(BOOK, {SHEET: b"<worksheet><sheetData><row"}), "damaged"),
        (repacked(BOOK, {"xl/workbook.xml": b"not xml"}), "damaged"),
        (repacked(BOOK, {SHEET: LAUGHS}), "unpacks to far more"),
        (repacked(BOOK, {SHEET: LAUGHS.decode().encode("utf-16")}), "unpacks to far more"),
        (repacked(BOOK, {"xl/bomb.bin": b"\x00" * 70_000_000}), "unpacks to far more"),
        (repacked(BOOK, {SHEET: XML % (b"<row/>" * 1_500_001)}), "unpacks to far more"),
        (repacked(BOOK, {f"xl/media/{n}": b"" for n in range(1_001)}), "unpacks to far more"),
        (repacked(BOOK, {SHEET: XML % b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'}), "beyond row 100,000"),
        (workbook(("name",) + ("x",) * 120, ("A",)), "columns. The limit is 100"),
        (workbook(), "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_file_that_is_no_table_gets_one_sentence_that_says_what_to_do(data, says):
    with pytest.raises(FileProblem) as caught:
        read_table(data)
    assert says in str(caught.value)
    assert any(
        word in str(caught.value)
        for word in ("Save", "save", "Split", "split", "Delete", "Fill", "Add", "Put")
    )


def test_a_zip_that_is_no_workbook_is_no_table():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    with pytest.raises(FileProblem, match="not a table"):
        read_table(stream.getvalue())


def test_a_part_that_lies_about_its_size_is_not_inflated():
    honest = repacked(BOOK, {"xl/bomb.bin": b"<" * 5_000_000})
    size = (5_000_000).to_bytes(4, "little")
    assert honest.count(size) == 2  # local header and directory
    with pytest.raises(FileProblem):
        read_table(honest.replace(size, (10).to_bytes(4, "little")))


def test_the_zip_guard_catches_what_it_checks(monkeypatch):
    monkeypatch.setattr(xlsx, "INFLATED_LIMIT", 100)
    with pytest.raises(FileProblem, match="unpacks to far more"):
        read_table(BOOK)


# --- encodings ------------------------------------------------------------------------------------
LANGUAGES = {
    "shift_jis": ("ja", "セール", "今週末は全品20%オフです。"),
    "euc_jp": ("ja", "週末セール", "全品20%オフ、日曜日まで"),
    "euc_kr": ("ko", "주말 세일", "이번 주말 모든 상품 20% 할인"),
    "gb18030": ("zh", "周末大促销", "本周末所有商品八折优惠"),
    "big5": ("zh", "週末大促銷", "本週末所有商品八折優惠"),
    "cp1251": ("ru", "Распродажа", "Скидки только до воскресенья"),
    "koi8_r": ("ru", "Распродажа", "Скидки только до воскресенья"),
    "cp1252": ("pt", "Só hoje", "Preço — “ótimo”"),
    "cp1250": ("pl", "Zniżki", "Tylko do niedzieli, żółty"),
    "cp1253": ("el", "Προσφορά", "Μόνο έως την Κυριακή"),
    "cp1254": ("tr", "Büyük indirim", "Yalnızca pazar gününe kadar şğı"),
    "cp1255": ("he", "הנחה", "רק עד יום ראשון"),
    "cp1256": ("ar", "تخفيضات", "حتى يوم الأحد فقط"),
    "cp874": ("th", "ลดราคา", "ถึงวันอาทิตย์เท่านั้น"),
    "utf-16-le": ("ru", "Распродажа", "Скидки только до воскресенья"),
    "utf-16-be": ("en", "Sale", "Until Sunday"),
}


def foreign(encoding: str, rows: int = 1) -> bytes:
    language, title, body = LANGUAGES[encoding]
    lines = [f'A{n},{language},offer,,{title},"{body}",,' for n in range(rows)]
    return "\n".join([HEADING, *lines, ""]).encode(encoding)


@pytest.mark.parametrize("encoding", LANGUAGES)
@pytest.mark.parametrize("rows", [1, 50])
def test_a_file_in_another_encoding_is_read_and_the_encoding_named(encoding, rows):
    read = read_table(foreign(encoding, rows))
    assert tuple(read.rows[-1].cells[at] for at in (1, 4, 5)) == LANGUAGES[encoding]
    assert read.assumed is not None
    assert read.assumed.words in decoding.ENCODINGS.values()
    assert all(
        sample in LANGUAGES[encoding][1:] or sample in LANGUAGES[encoding][2]
        for sample in read.assumed.samples
    )


@pytest.mark.parametrize("encoding", ["shift_jis", "euc_kr", "gb18030", "cp1251", "cp1252"])
def test_without_a_language_column_the_text_alone_decides(encoding):
    _, title, body = LANGUAGES[encoding]
    read = read_table(f'name,category,title,body\nA,offer,{title},"{body}"\n'.encode(encoding))
    assert read.rows[0].cells[2:] == [title, body]


def test_a_person_may_choose_another_encoding_than_the_one_assumed():
    read = read_table(foreign("koi8_r"))
    assert read.assumed is not None
    again = read.assumed.again("cp1251")
    assert again.rows[0].cells[4] == "Распродажа".encode("koi8_r").decode("cp1251")
    assert again.assumed is not None
    assert again.assumed.encoding == "cp1251"
    with pytest.raises(FileProblem, match="Choose another"):
        read.assumed.again("utf_8")


def test_what_a_file_says_of_itself_is_not_doubted():
    for data in (
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-32"),
    ):
        assert read_table(data).assumed is None


def test_the_detection_of_a_large_file_is_fast():
    data = foreign("euc_kr", 19_000)
    started = time.process_time()
    assert decoding.decode(data)[1] == "cp949"
    assert time.process_time() - started < 3
