"""Files of any kind → the fate of each row → all of them or nothing, by the console's rules and the command line's."""

from __future__ import annotations

import io
import zipfile

import openpyxl
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from campaigns.imports import cells, files, templates, xlsx
from campaigns.imports.files import FileProblem, Row, Table, read_table
from campaigns.imports.templates import Fate, commit, preview
from campaigns.models import Template
from pushpilot.lib import spreadsheets
from tenants.models import AuditEntry
from tenants.scope import every_workspace, scope

HEADING = "name,language,category,tone,title,body,image_url,deep_link"
GOOD = "Diwali,en,festive,cheerful,Happy Diwali,20% off,https://cdn.example.com/a.png,app://diwali"


def table(*lines: str, heading: str = HEADING) -> Table:
    return read_table("\n".join([heading, *lines]).encode())


def fates(report) -> list[str]:
    return [str(row.fate) for row in report.rows]


def problem(workspace, line: str, heading: str = HEADING):
    """The only problem of the only row."""
    report = preview(table(line, heading=heading), workspace)
    ((found,),) = [row.problems for row in report.rows]
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


def repacked(data: bytes, changes: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The zip with some of its parts replaced or added."""
    source, stream = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as target:
        for name in {*source.namelist(), *changes}:
            target.writestr(name, changes.get(name) if name in changes else source.read(name))
    return stream.getvalue()


# --- files that are fine ---------------------------------------------------------------------------------
TEXT = f"{HEADING}\nCafé,pt-BR,offer,urgent,Só hoje,Preço — “ótimo”,,\n"


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
    ids=["utf8", "bom", "utf16", "utf16be", "cp1252", "crlf", "cr", "semicolon", "tab", "pipe", "excel-sep"],
)
def test_any_dress_of_csv_is_the_same_table(data, note):
    read = read_table(data)
    assert read.header == Row(1, HEADING.split(","))
    assert read.rows == [Row(2, ["Café", "pt-BR", "offer", "urgent", "Só hoje", "Preço — “ótimo”"])]
    assert bool(read.notes) is note


def test_row_numbers_are_those_of_a_spreadsheet_with_blank_lines_and_quoted_newlines():
    read = read_table(f'\n{HEADING}\n\nA,en,offer,,T,"two\r\nlines",,\n,,,,,,,\n\nB,en,offer,,T,B,,\n'.encode())
    assert read.header.number == 2
    assert [row.number for row in read.rows] == [4, 7]
    assert read.rows[0].cells[5] == "two\nlines"


def test_nbsp_and_zero_width_marks_around_cells_are_white_space():
    assert table("\u00a0Diwali\u00a0,\ufeffen ,offer,,T,B,,").rows[0].cells[:2] == ["Diwali", "en"]


def test_a_workbook_is_read_by_its_bytes_whatever_its_name():
    read = read_table(workbook(tuple(HEADING.split(",")), (), ("Ünï", "en", "offer", None, 2024, 1.5, True), sheets=2))
    assert read.rows == [Row(3, ["Ünï", "en", "offer", "", "2024", "1.5", "TRUE"])]
    assert "only the first, “Sheet”" in read.notes[0]


# --- files that are not ------------------------------------------------------------------------------------
BOOK = workbook(tuple(HEADING.split(",")), ("A", "en", "offer", "", "T", "B"))
SHEET = "xl/worksheets/sheet1.xml"
XML = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
LAUGHS = b'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + XML % b""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n \r\n", "empty"),
        (HEADING.encode(), "nothing below it"),
        (f"{HEADING}\n\n,,,\n".encode(), "nothing below it"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "no table"),
        (bytes(range(128, 256)) * 9, "no table"),
        (f"{HEADING}\nA\x00B,en".encode(), "no table"),
        (TEXT.encode("utf-16-le"), "no table"),
        (b"\xff\xfe\x00\xd8\x00\xd8", "no table"),
        (b"<html><table><tr><td>name</td></tr></table></html>", "no table"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 99, "old (.xls) or password-protected"),
        (f'{HEADING}\nA,en,offer,,T,B,,\nB,en,offer,,"never closed,B,,\nC'.encode(), "Row 3: the quotation marks"),
        (f'{HEADING}\nA,en,offer,,"5" screen",B,,'.encode(), "Row 2: the quotation marks"),
        (f'{HEADING}\nA,en,"{"x" * 140_000}"'.encode(), "Row 2: the quotation marks"),
        ((HEADING + "\n" + "A\n" * 20_001).encode(), "more than 20,000 rows"),
        ((HEADING + "\n" * 100_002 + "A").encode(), "beyond row 100,000"),
        (("a," * 101 + "b\n1").encode(), "102 columns; the limit is 100"),
        (b"x" * (files.FILE_LIMIT + 1), "10.0 MB; the limit is 10 MB"),
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
        (workbook(("name",) + ("x",) * 120, ("A",)), "columns; the limit is 100"),
        (workbook(), "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_file_that_is_no_table_gets_one_sentence_that_says_what_to_do(data, says):
    with pytest.raises(FileProblem) as caught:
        read_table(data)
    assert says in str(caught.value)
    assert any(word in str(caught.value) for word in ("Save", "save", "Split", "split", "Delete", "Fill", "Add", "Put"))


def test_a_zip_that_is_no_workbook_is_no_table():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    with pytest.raises(FileProblem, match="no table"):
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


# --- the heading -------------------------------------------------------------------------------------------
def test_headings_may_be_written_in_many_ways(inside):
    read = table(
        "A,EN,Offer,Urgent,T,B,https://e.com/x.png,app://x",
        heading=" Template Name ,Lang,CATEGORY,Tone of voice,Headline,Sub-Title,Image URL,Deep-Link",
    )
    (row,) = preview(read, inside.workspace).rows
    assert row.fate == Fate.NEW
    assert row.values == {
        "name": "A", "language": "en", "category": "offer", "tone": "urgent", "title": "T", "body": "B",
        "image_url": "https://e.com/x.png", "deep_link": "app://x",
    }  # fmt: skip


@pytest.mark.parametrize("alias", ["subtitle", "message", "text", "Content"])
def test_the_body_has_aliases(alias):
    assert cells.map_header(Row(1, ["name", "category", "title", alias]))[0]["body"] == 3


def test_missing_columns_are_named_with_what_was_read_instead(inside):
    with pytest.raises(
        FileProblem, match=r"columns “category” and “body” are missing\. Row 1 .* read there: name, tit"
    ):
        preview(table("A,T", heading="name,title"), inside.workspace)
    with pytest.raises(FileProblem, match="column “body” is missing"):
        preview(table("A,T,offer", heading="name,title,category"), inside.workspace)


def test_two_columns_that_mean_the_same_are_refused(inside):
    with pytest.raises(FileProblem, match="“body” and “Message” both mean body"):
        preview(table("A,offer,T,B,C", heading="name,category,title,body,Message"), inside.workspace)


def test_unknown_columns_are_ignored_and_reported(inside):
    report = preview(table(f"{GOOD},Ana,x", heading=f"{HEADING},Owner,"), inside.workspace)
    assert fates(report) == ["new"]
    assert report.notes == ["Ignored columns that templates do not have: “Owner”, one without a heading."]
    assert preview(table(f"{GOOD},,", heading=f"{HEADING},,"), inside.workspace).notes == []


# --- rows ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "column", "text", "remedy"),
    [
        (",en,offer,,T,B,,", "name", "The name is empty.", "Write a name"),
        ("A,English,offer,,T,B,,", "language", "“English” is no language code.", "en, hi or pt-BR"),
        ("A,en,,,T,B,,", "category", "The category is empty.", "festive, weekend, retention"),
        ("A,en,ofer,,T,B,,", "category", "“ofer” is no category.", "Did you mean offer? Use one of: festive, weekend"),
        ("A,en,offer,loud,T,B,,", "tone", "“loud” is no tone.", "Use one of: cheerful, festive, formal"),
        ("A,en,offer,,,B,,", "title", "The title is empty.", "first line"),
        (f"A,en,offer,,{'x' * 300},B,,", "title", "The title has 300 characters; the limit is 120", "by 180"),
        ("A,en,offer,,T,,,", "body", "The body is empty.", "text of the message"),
        (f"A,en,offer,,T,{'x' * 1001},,", "body", "The body has 1,001 characters; the limit is 1,000.", "by 1."),
        (f"{'x' * 101},en,offer,,T,B,,", "name", "The name has 101 characters; the limit is 100.", "by 1."),
        ("A,en,offer,,T,B,www.example.com/x.png,", "image_url", "no web address", "https://"),
        ("A,en,offer,,T,B,ftp://example.com/x.png,", "image_url", "no web address", "https://"),
        ("A,en,offer,,T,B,https://exa mple/x.png,", "image_url", "no web address", "https://"),
        ("A,en,offer,,T,B,,javascript:alert(1)", "deep_link", "must not run code", "app://offers"),
        ("A,en,offer,,Hi {{ name,B,,", "title", "The personalisation cannot be read", "{{ first_name | default"),
        ("A,en,offer,,T,{% if a %}x,,", "body", "The personalisation cannot be read", "{{ first_name | default"),
        ("A,en,offer,,{{ a | shout }},B,,", "title", "cannot be read: unknown filter 'shout'", "{{ first_name"),
        ("A,en,offer,,Hi {{ n | default: “x” }},B,,", "title", "curly quotation marks", "straight"),
        ("A,en,offer,,T,B,,,20,off", "", "more cells than the heading: “20", "quotation marks"),
    ],
)  # fmt: skip
def test_a_bad_cell_names_its_column_and_the_remedy(inside, line, column, text, remedy):
    found = problem(inside.workspace, line)
    assert (found.column, found.value) == (column, found.value)
    assert text in found.text
    assert remedy in found.remedy


def test_every_problem_of_a_row_is_told_at_once(inside):
    (row,) = preview(table("A,en,ofer,loud,,B,x,"), inside.workspace).rows
    assert [found.column for found in row.problems] == ["category", "tone", "title", "image_url"]
    assert row.problems[0].value == "ofer"


def test_choices_are_known_by_value_and_by_label_whatever_the_case(inside):
    (row,) = preview(table("A, PT_br ,OFFER,Cheerful,T,B,,"), inside.workspace).rows
    assert (row.values["language"], row.values["category"], row.values["tone"]) == ("pt-BR", "offer", "cheerful")


def test_a_row_without_language_gets_the_workspaces(inside):
    inside.workspace.default_language = "hi"
    report = preview(table("A,,offer,,T,B,,"), inside.workspace)
    assert report.rows[0].values["language"] == "hi"
    assert preview(table("A,offer,T,B", heading="name,category,title,body"), inside.workspace).rows[0].values[
        "language"
    ] == "hi"  # fmt: skip


def test_a_key_that_occurs_twice_names_both_rows(inside):
    report = preview(table("A,en,offer,,T,B,,", "", " a  ,EN,offer,,T,B,,", "A,hi,offer,,T,B,,"), inside.workspace)
    assert fates(report) == ["new", "error", "new"]
    assert report.rows[1].problems[0].text == "Rows 2 and 4 both hold “a” in en."
    assert "Delete one of rows 2 and 4" in report.rows[1].problems[0].remedy


def test_each_row_has_one_of_four_fates_and_a_change_is_shown_field_by_field(inside):
    commit(table(GOOD, "Cart,en,retention,,T,B,,"), inside.workspace, by=inside.owner, source="a.csv")
    report = preview(
        table(GOOD, "CART,en,retention,friendly,T2,B,,", "New,en,news,,T,B,,", "Bad,en,nope,,T,B,,"), inside.workspace
    )
    assert fates(report) == ["unchanged", "changed", "new", "error"]
    assert [(c.column, c.before, c.after) for c in report.rows[1].changes] == [
        ("name", "Cart", "CART"), ("tone", "", "friendly"), ("title", "T", "T2"),
    ]  # fmt: skip
    assert report.summary() == "1 new, 1 changed, 1 unchanged"
    assert report.has_errors


def test_a_column_that_the_file_lacks_stays_as_it_is(inside):
    commit(table(GOOD), inside.workspace, by=inside.owner, source="a.csv")
    short = table("Diwali,en,festive,New title,20% off", heading="name,language,category,title,body")
    commit(short, inside.workspace, by=inside.owner, source="b.csv")
    template = Template.objects.get(workspace=inside.workspace)
    assert (template.title, template.tone, template.deep_link) == ("New title", "cheerful", "app://diwali")


def test_of_two_templates_that_differ_in_case_the_exact_spelling_is_meant(inside):
    for name in ("cart", "Cart"):
        Template.objects.create(workspace=inside.workspace, name=name, category="offer", title=name, body="B")
    report = preview(table("Cart,en,offer,,Cart,B,,", "CART 2,en,offer,,T,B,,"), inside.workspace)
    assert fates(report) == ["unchanged", "new"]


# --- writing --------------------------------------------------------------------------------------------------
def test_commit_writes_new_and_changed_rows_and_one_audit_entry(inside):
    commit(table(GOOD), inside.workspace, by=inside.owner, source="a.csv")
    before = Template.objects.get(workspace=inside.workspace)
    report = commit(
        table(GOOD.replace("20%", "30%"), "B,en,offer,,T,B,,"), inside.workspace, by=inside.owner, source="b.csv"
    )
    assert fates(report) == ["changed", "new"]
    after = Template.objects.get(workspace=inside.workspace, name="Diwali")
    assert (after.pk, after.created_at, after.body) == (before.pk, before.created_at, "30% off")
    assert after.updated_at > before.updated_at
    entry = AuditEntry.objects.filter(action="templates imported").latest("id")
    assert (entry.target, entry.detail) == ("b.csv", {"new": 1, "changed": 1, "unchanged": 0})
    assert entry.actor == inside.owner


def test_one_bad_row_and_nothing_is_written_not_even_an_audit_entry(inside, monkeypatch):
    monkeypatch.setattr(templates.TemplateResource._meta, "batch_size", 2)  # rows before it reach the database
    commit(table(GOOD), inside.workspace, by=inside.owner, source="a.csv")
    lines = [GOOD.replace("20%", "30%"), *(f"T{n},en,offer,,T,B,,".strip() for n in range(5)), "Bad,en,nope,,T,B,,"]
    report = commit(table(*lines), inside.workspace, by=inside.owner, source="b.csv")
    assert report.has_errors
    assert [t.body for t in Template.objects.filter(workspace=inside.workspace)] == ["20% off"]
    assert AuditEntry.objects.filter(action="templates imported").count() == 1


def test_nothing_new_is_nothing_audited(inside):
    commit(table(GOOD), inside.workspace, by=inside.owner, source="a.csv")
    assert fates(commit(table(GOOD), inside.workspace, by=inside.owner, source="a.csv")) == ["unchanged"]
    assert AuditEntry.objects.filter(action="templates imported").count() == 1


def test_a_preview_writes_nothing_and_asks_one_question_whatever_the_number_of_rows(inside, django_assert_num_queries):
    read = table(*(f"T{n},en,offer,,T {{{{ first_name | default: 'x' }}}},B,,".strip() for n in range(300)))
    with django_assert_num_queries(1):
        assert preview(read, inside.workspace).counts[Fate.NEW] == 300
    assert not Template.objects.filter(workspace=inside.workspace).exists()


def test_a_concurrent_import_of_the_same_template_fails_whole_with_a_sentence(inside, monkeypatch):
    original = templates.TemplateResource.bulk_create

    def somebody_is_faster(self, *args, **kwargs):
        if self.create_instances:
            Template.objects.create(workspace=inside.workspace, name="Diwali", category="offer", title="T", body="B")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(templates.TemplateResource, "bulk_create", somebody_is_faster)
    report = commit(table("First,en,offer,,T,B,,", GOOD), inside.workspace, by=inside.owner, source="a.csv")
    assert report.failure == templates.MEANWHILE
    assert report.has_errors
    assert not Template.objects.filter(workspace=inside.workspace).exists()
    assert connection.needs_rollback is False


# --- the walls ------------------------------------------------------------------------------------------------
def test_a_workspace_column_writes_nowhere_else(cast):
    heading = f"workspace,workspace_id,id,pk,{HEADING}"
    with scope(cast.other_workspace):
        theirs = Template.objects.create(
            workspace=cast.other_workspace, name="Diwali", category="offer", title="Theirs", body="B"
        )
    foreign = f"{cast.other_workspace.pk},{cast.other_workspace.pk},{theirs.pk},{theirs.pk},{GOOD}"
    with scope(cast.workspace):
        report = commit(table(foreign, heading=heading), cast.workspace, by=cast.owner, source="a.csv")
        assert fates(report) == ["new"]
    with every_workspace():
        theirs.refresh_from_db()
        assert theirs.title == "Theirs"
        assert list(Template.objects.values_list("workspace", "title").order_by("title")) == [
            (cast.workspace.pk, "Happy Diwali"), (cast.other_workspace.pk, "Theirs"),
        ]  # fmt: skip


def test_a_global_template_of_the_same_name_is_neither_matched_nor_changed(cast):
    with every_workspace():
        commit(table(GOOD), None, by=None, source="library.csv")
    with scope(cast.workspace):
        report = commit(table(GOOD.replace("20%", "30%")), cast.workspace, by=cast.owner, source="a.csv")
        assert fates(report) == ["new"]
    with every_workspace():
        assert Template.objects.get(workspace=None).body == "20% off"
        assert not AuditEntry.objects.filter(target="library.csv").exists()


def test_a_resource_without_a_workspace_cannot_be_made():
    with pytest.raises(TypeError):
        templates.TemplateResource()


# --- in and out -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\x00x"])
def test_an_exported_cell_is_no_formula(value):
    safe = spreadsheets.safe(value)
    assert safe.startswith("'")
    assert "\x00" not in safe


def test_what_is_exported_comes_back_unchanged(inside):
    Template.objects.create(
        workspace=inside.workspace,
        name="+Plus",
        category="offer",
        title="=SUM(A1)",
        body="-10%\nsecond",
        deep_link="@x",
    )
    resource = templates.TemplateResource(workspace=inside.workspace)
    for kind in ("csv", "xlsx"):
        data = resource.export(resource.get_queryset()).export(kind)
        read = read_table(data if isinstance(data, bytes) else data.encode())
        assert read.rows[0].cells[4] == "'=SUM(A1)"
        assert fates(preview(read, inside.workspace)) == ["unchanged"]


def test_a_table_survives_the_temporary_storage():
    read = read_table(TEXT.encode("cp1252"))
    assert Table.load(read.dump("Übung.csv")) == ("Übung.csv", read)


# --- the command line -------------------------------------------------------------------------------------------
MIXED = "\n".join(
    [HEADING, GOOD, "Cart,en,retention,loud,T,B,,", "Diwali,EN,offer,,T,B,,", f"Long,en,offer,,{'x' * 300},B,,"]
)


def test_the_command_imports_into_a_workspace_or_the_library(cast, tmp_path, capsys):
    file = tmp_path / "good.csv"
    file.write_text(f"{HEADING}\n{GOOD}\n")
    call_command("import_templates", str(file), workspace=cast.workspace.slug)
    call_command("import_templates", str(file), "--global")
    call_command("import_templates", str(file), "--global", "--dry-run")
    assert "1 new, 0 changed, 0 unchanged" in capsys.readouterr().out
    with every_workspace():
        assert set(Template.objects.values_list("workspace", flat=True)) == {cast.workspace.pk, None}
        assert AuditEntry.objects.get(action="templates imported").actor_label == "PushPilot"


def test_the_command_prints_every_problem_with_its_row_and_writes_nothing(cast, tmp_path, capsys):
    file = tmp_path / "mixed.csv"
    file.write_text(MIXED)
    with pytest.raises(CommandError, match="3 rows with errors, nothing was imported") as caught:
        call_command("import_templates", str(file), workspace=cast.workspace.slug)
    assert caught.value.returncode == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("row 3, tone: “loud” is no tone. Use one of: cheerful")
    assert lines[1].startswith("row 4, name: Rows 2 and 4 both hold")
    assert lines[2].startswith("row 5, title: The title has 300 characters; the limit is 120. Shorten it by 180.")
    with every_workspace():
        assert not Template.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.csv", "--global"], "cannot be read"),
        ([".", "--global"], "cannot be read"),
        (["{empty}", "--global"], "The file is empty"),
        (["{empty}", "--workspace", "nobody"], "no workspace with the address “nobody”"),
        (["{empty}"], "one of the arguments --workspace --global is required"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_arguments(db, tmp_path, arguments, says):
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(CommandError, match=says):
        call_command("import_templates", *(argument.format(empty=empty) for argument in arguments))


def test_the_global_library_of_the_repository_imports_cleanly_and_covers_everything(db, settings):
    file = settings.BASE_DIR / "fixtures" / "templates.csv"
    call_command("import_templates", str(file), "--global", verbosity=0)
    with every_workspace():
        rows = list(Template.objects.values_list("category", "tone", "language"))
    assert len(rows) >= 60
    assert {row[0] for row in rows} == set(Template.Category.values)
    assert {row[1] for row in rows} == set(cells.CHOICES["tone"])
    assert {row[2] for row in rows} == {"en", "hi", "pt-BR"}
