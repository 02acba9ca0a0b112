"""Files of any kind → a status for each row → all of them or nothing, by console and command
line alike."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from campaigns.imports import cells, templates
from campaigns.imports.files import FileProblem, Row, Table, read_table
from campaigns.imports.templates import RowStatus, commit, preview
from campaigns.models import Template
from pushpilot.lib import spreadsheets
from tenants.models import AuditEntry
from tenants.scope import every_workspace, scope
from tests.campaigns.import_files import DATA, GOOD, HEADING, TEXT, row_error, statuses, table


# --- the heading ----------------------------------------------------------------------------------
def test_headings_may_be_written_in_many_ways(inside):
    read = table(
        "A,EN,Offer,Urgent,T,B,https://e.com/x.png,app://x",
        heading=" Template Name ,Lang,CATEGORY,Tone of voice,Headline,Sub-Title,Image "
        "URL,Deep-Link",
    )
    (row,) = preview(read, inside.workspace).rows
    assert row.status == RowStatus.NEW
    assert row.values == {
        "name": "A", "channel": "app_push", "language": "en", "category": "offer", "tone": "urgent", "title": "T",
        "body": "B",
        "image_url": "https://e.com/x.png", "deep_link": "app://x",
    }  # fmt: skip


@pytest.mark.parametrize("alias", ["subtitle", "message", "text", "Content"])
def test_the_body_has_aliases(alias):
    assert cells.map_header(Row(1, ["name", "category", "title", alias]))[0]["body"] == 3


def test_missing_columns_are_named_with_what_was_read_instead(inside):
    with pytest.raises(
        FileProblem,
        match=r"columns “category” and “body” are missing\. Row 1 .* It holds: "
        r"name, tit",
    ):
        preview(table("A,T", heading="name,title"), inside.workspace)
    with pytest.raises(FileProblem, match="column “body” is missing"):
        preview(table("A,T,offer", heading="name,title,category"), inside.workspace)


def test_two_columns_that_mean_the_same_are_refused(inside):
    with pytest.raises(FileProblem, match="“body” and “Message” both mean body"):
        preview(
            table("A,offer,T,B,C", heading="name,category,title,body,Message"), inside.workspace
        )


def test_unknown_columns_are_ignored_and_reported(inside):
    report = preview(table(f"{GOOD},Ana,x", heading=f"{HEADING},Owner,"), inside.workspace)
    assert statuses(report) == ["new"]
    assert report.notes == [
        "PushPilot ignores columns that templates do not have: “Owner” and one column without a heading."
    ]
    assert preview(table(f"{GOOD},,", heading=f"{HEADING},,"), inside.workspace).notes == []


# --- rows -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "column", "text", "remedy"),
    [
        (",en,offer,,T,B,,", "name", "The name is empty.", "Write a name"),
        ("A,English,offer,,T,B,,", "language", "“English” is not a language code.", "en, hi or pt-BR"),
        ("A,en,,,T,B,,", "category", "The category is empty.", "festive, weekend, retention"),
        ("A,en,ofer,,T,B,,", "category", "“ofer” is not a valid category.", "Did you mean offer? Use one of: festive"),
        ("A,en,offer,loud,T,B,,", "tone", "“loud” is not a valid tone.", "Use one of: cheerful, "
        "festive, formal"),
        ("A,en,offer,,,B,,", "title", "The title is empty.", "the field “Title”"),
        (f"A,en,offer,,{'x' * 300},B,,", "title", "The title has 300 characters. The limit is 120", "by 180"),
        ("A,en,offer,,T,,,", "body", "The body is empty.", "the field “Text”"),
        (f"A,en,offer,,T,{'x' * 1001},,", "body", "The body has 1,001 characters. The limit is "
        "1,000.", "by 1 character."),
        (f"{'x' * 101},en,offer,,T,B,,", "name", "The name has 101 characters. The limit is 100.", "by 1 character."),
        ("A,en,offer,,T,B,www.example.com/x.png,", "image_url", "not the address of an image", "https://"),
        ("A,en,offer,,T,B,ftp://example.com/x.png,", "image_url", "not the address of an image", "https://"),
        ("A,en,offer,,T,B,https://exa mple/x.png,", "image_url", "not the address of an image", "https://"),
        ("A,en,offer,,T,B,,javascript:alert(1)", "deep_link", "opens no page", "yourapp://offers"),
        ("A,en,offer,,Hi {{ name,B,,", "title", "The personalisation cannot be read", "{{ first_name | default"),
        ("A,en,offer,,T,{% if a %}x,,", "body", "The personalisation cannot be read", "{{ first_name | default"),
        ("A,en,offer,,{{ a | shout }},B,,", "title", "cannot be read: There is no filter “shout”", "{{ first_name"),
        ("A,en,offer,,Hi {{ n | default: “x” }},B,,", "title", "curly quotation marks", "straight"),
        ("A,en,offer,,T,B,,,20,off", "", "more cells than the heading: “20", "quotation marks"),
    ],
)  # fmt: skip
def test_a_bad_cell_names_its_column_and_the_remedy(inside, line, column, text, remedy):
    found = row_error(inside.workspace, line)
    assert (found.column, found.value) == (column, found.value)
    assert text in found.text
    assert remedy in found.remedy


def test_a_control_character_refuses_its_row_alone_and_is_named(inside):
    report = preview(read_table((DATA / "control-character.csv").read_bytes()), inside.workspace)
    assert [(row.number, row.status) for row in report.rows] == [
        (2, "new"),
        (3, "error"),
        (4, "new"),
    ]
    (found,) = report.rows[1].errors
    assert found.column == "title"
    assert "U+001B ESCAPE" in found.text


@pytest.mark.parametrize("control", ["\x00", "\x01", "\x1a", "\x1f", "\x7f", "\x9b"])
@pytest.mark.parametrize(
    "column", ["name", "language", "category", "tone", "title", "body", "image_url", "deep_link"]
)
def test_a_control_character_in_any_column_is_refused_wherever_it_stands(inside, column, control):
    good = dict(zip(HEADING.split(","), GOOD.split(","), strict=True))
    for bad in (control + good[column], good[column] + control):
        found = row_error(inside.workspace, ",".join({**good, column: bad}.values()) + "\n")
        assert found.column == column
        assert f"U+{ord(control):04X}" in found.text


def test_a_cell_over_the_limit_of_csv_is_refused_by_its_column_and_length(inside):
    report = preview(read_table((DATA / "long-cell.csv").read_bytes()), inside.workspace)
    (row,) = report.rows
    (found,) = row.errors
    assert (row.number, found.column) == (2, "body")
    assert "131,073 characters. The limit is 1,000" in found.text
    assert row_error(inside.workspace, f"A,en,{'x' * 200_000},,T,B,,").column == "category"


@pytest.mark.parametrize("text", ["'=5", "'Tis the season", "'-10% today", "'@home", "'+1", "''"])
def test_a_leading_apostrophe_stays(inside, text):
    commit(table(f"A,en,offer,,{text},{text},,"), inside.workspace, by=inside.owner, source="a.csv")
    template = Template.objects.get(workspace=inside.workspace)
    assert (template.title, template.text("body")) == (text, text)
    assert statuses(preview(table(f"A,en,offer,,{text},{text},,"), inside.workspace)) == [
        "unchanged"
    ]


def test_line_breaks_of_windows_and_of_unix_are_the_same_text(inside):
    Template.objects.create(
        workspace=inside.workspace,
        name="Diwali",
        language="en",
        category="offer",
        fields={"title": "T", "body": "one\r\ntwo\rthree"},
    )
    for body in ("one\ntwo\nthree", "one\r\ntwo\r\nthree", "one\x0btwo\u2028three"):
        assert statuses(preview(table(f'Diwali,en,offer,,T,"{body}",,'), inside.workspace)) == [
            "unchanged"
        ]


def test_what_a_template_holds_already_is_no_fault_of_the_file(inside):
    Template.objects.create(
        workspace=inside.workspace, name="Old", language="en", category="offer",
        fields={"title": "T", "body": "B", "image_url": "http://example.com/a.png"},
    )  # fmt: skip
    line = "Old,en,offer,,T,B2,http://example.com/a.png,"
    assert statuses(preview(table(line), inside.workspace)) == ["changed"]
    assert row_error(inside.workspace, line.replace("a.png", "b.png")).column == "image_url"


def test_every_problem_of_a_row_is_told_at_once(inside):
    (row,) = preview(table("A,en,ofer,loud,,B,x,"), inside.workspace).rows
    assert [found.column for found in row.errors] == ["category", "tone", "title", "image_url"]
    assert row.errors[0].value == "ofer"


def test_choices_are_known_by_value_and_by_label_whatever_the_case(inside):
    (row,) = preview(table("A, PT_br ,OFFER,Cheerful,T,B,,"), inside.workspace).rows
    assert (row.values["language"], row.values["category"], row.values["tone"]) == (
        "pt-BR",
        "offer",
        "cheerful",
    )


def test_a_row_without_language_gets_the_workspaces(inside):
    inside.workspace.default_language = "hi"
    report = preview(table("A,,offer,,T,B,,"), inside.workspace)
    assert report.rows[0].values["language"] == "hi"
    assert preview(table("A,offer,T,B", heading="name,category,title,body"), inside.workspace).rows[0].values[
        "language"
    ] == "hi"  # fmt: skip


def test_a_key_that_occurs_twice_names_both_rows(inside):
    report = preview(
        table("A,en,offer,,T,B,,", "", " a  ,EN,offer,,T,B,,", "A,hi,offer,,T,B,,"),
        inside.workspace,
    )
    assert statuses(report) == ["new", "error", "new"]
    assert report.rows[1].errors[0].text == "Rows 2 and 4 both hold “a” in en."
    assert "Delete one of the two rows" in report.rows[1].errors[0].remedy


def test_each_row_has_one_of_four_fates_and_a_change_is_shown_field_by_field(inside):
    commit(
        table(GOOD, "Cart,en,retention,,T,B,,"), inside.workspace, by=inside.owner, source="a.csv"
    )
    report = preview(
        table(
            GOOD, "CART,en,retention,friendly,T2,B,,", "New,en,news,,T,B,,", "Bad,en,nope,,T,B,,"
        ),
        inside.workspace,
    )
    assert statuses(report) == ["unchanged", "changed", "new", "error"]
    assert [(c.column, c.before, c.after) for c in report.rows[1].changes] == [
        ("name", "Cart", "CART"), ("tone", "", "friendly"), ("title", "T", "T2"),
    ]  # fmt: skip
    assert report.summary() == "1 new, 1 changed, 1 unchanged"
    assert report.has_errors


def test_a_column_that_the_file_lacks_stays_as_it_is(inside):
    commit(table(GOOD), inside.workspace, by=inside.owner, source="a.csv")
    short = table(
        "Diwali,en,festive,New title,20% off", heading="name,language,category,title,body"
    )
    commit(short, inside.workspace, by=inside.owner, source="b.csv")
    template = Template.objects.get(workspace=inside.workspace)
    assert (template.title, template.tone, template.text("deep_link")) == (
        "New title",
        "cheerful",
        "app://diwali",
    )


@pytest.mark.parametrize("name", ["cart", "CART", " Cart\u00a0", "STRASSE", "Cafe\u0301"])
def test_a_name_is_taken_whatever_its_case_and_composition(inside, name):
    def write(name: str) -> None:
        Template.objects.create(
            workspace=inside.workspace, name=name, category="offer", fields={"title": "T"}
        )

    for taken in ("Cart", "straße", "Café"):
        write(taken)
    with pytest.raises(IntegrityError), transaction.atomic():
        write(name)


# --- writing --------------------------------------------------------------------------------------
def test_commit_writes_new_and_changed_rows_and_one_audit_entry(inside):
    commit(table(GOOD), inside.workspace, by=inside.owner, source="a.csv")
    before = Template.objects.get(workspace=inside.workspace)
    report = commit(
        table(GOOD.replace("20%", "30%"), "B,en,offer,,T,B,,"),
        inside.workspace,
        by=inside.owner,
        source="b.csv",
    )
    assert statuses(report) == ["changed", "new"]
    after = Template.objects.get(workspace=inside.workspace, name="Diwali")
    assert (after.pk, after.created_at, after.text("body")) == (
        before.pk,
        before.created_at,
        "30% off",
    )
    assert after.updated_at > before.updated_at
    entry = AuditEntry.objects.filter(action="templates imported").latest("id")
    assert (entry.target, entry.detail) == ("b.csv", {"new": 1, "changed": 1, "unchanged": 0})
    assert entry.actor == inside.owner


def test_one_bad_row_and_nothing_is_written_not_even_an_audit_entry(inside, monkeypatch):
    # rows before it reach the database
    monkeypatch.setattr(templates.TemplateResource._meta, "batch_size", 2)
    commit(table(GOOD), inside.workspace, by=inside.owner, source="a.csv")
    lines = [
        GOOD.replace("20%", "30%"),
        *(f"T{n},en,offer,,T,B,,".strip() for n in range(5)),
        "Bad,en,nope,,T,B,,",
    ]
    report = commit(table(*lines), inside.workspace, by=inside.owner, source="b.csv")
    assert report.has_errors
    assert [t.text("body") for t in Template.objects.filter(workspace=inside.workspace)] == [
        "20% off"
    ]
    assert AuditEntry.objects.filter(action="templates imported").count() == 1


def test_nothing_new_is_nothing_audited(inside):
    commit(table(GOOD), inside.workspace, by=inside.owner, source="a.csv")
    assert statuses(commit(table(GOOD), inside.workspace, by=inside.owner, source="a.csv")) == [
        "unchanged"
    ]
    assert AuditEntry.objects.filter(action="templates imported").count() == 1


def test_a_preview_writes_nothing_and_asks_one_question_whatever_the_number_of_rows(
    inside, django_assert_num_queries
):
    read = table(
        *(f"T{n},en,offer,,T {{{{ first_name | default: 'x' }}}},B,,".strip() for n in range(300))
    )
    with django_assert_num_queries(1):
        assert preview(read, inside.workspace).counts[RowStatus.NEW] == 300
    assert not Template.objects.filter(workspace=inside.workspace).exists()


def test_a_concurrent_import_of_the_same_template_fails_whole_with_a_sentence(inside, monkeypatch):
    original = templates.TemplateResource.bulk_create

    def somebody_is_faster(self, *args, **kwargs):
        if self.create_instances:
            Template.objects.create(
                workspace=inside.workspace,
                name="Diwali",
                category="offer",
                fields={"title": "T", "body": "B"},
            )
        return original(self, *args, **kwargs)

    monkeypatch.setattr(templates.TemplateResource, "bulk_create", somebody_is_faster)
    report = commit(
        table("First,en,offer,,T,B,,", GOOD), inside.workspace, by=inside.owner, source="a.csv"
    )
    assert report.failure == templates.MEANWHILE
    assert report.has_errors
    assert not Template.objects.filter(workspace=inside.workspace).exists()
    assert connection.needs_rollback is False


# --- the walls ------------------------------------------------------------------------------------
def test_a_workspace_column_writes_nowhere_else(cast):
    heading = f"workspace,workspace_id,id,pk,{HEADING}"
    with scope(cast.other_workspace):
        theirs = Template.objects.create(
            workspace=cast.other_workspace,
            name="Diwali",
            category="offer",
            fields={"title": "Theirs", "body": "B"},
        )
    foreign = f"{cast.other_workspace.pk},{cast.other_workspace.pk},{theirs.pk},{theirs.pk},{GOOD}"
    with scope(cast.workspace):
        report = commit(
            table(foreign, heading=heading), cast.workspace, by=cast.owner, source="a.csv"
        )
        assert statuses(report) == ["new"]
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
        report = commit(
            table(GOOD.replace("20%", "30%")), cast.workspace, by=cast.owner, source="a.csv"
        )
        assert statuses(report) == ["new"]
    with every_workspace():
        assert Template.objects.get(workspace=None).text("body") == "20% off"
        assert not AuditEntry.objects.filter(target="library.csv").exists()


def test_a_resource_without_a_workspace_cannot_be_made():
    with pytest.raises(TypeError):
        templates.TemplateResource()


# --- in and out -----------------------------------------------------------------------------------
@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\x00=x"])
def test_an_exported_cell_is_no_formula(value):
    safe = spreadsheets.safe(value)
    assert safe.startswith("'")
    assert "\x00" not in safe


@pytest.mark.parametrize(
    "text",
    ["'=1", "''+1", "\uff1d1+1", "'\uff1d1", "'Tis the season", "=1", "\u200b=1", "-10 % today"],
)
def test_a_text_comes_back_from_our_own_export_as_it_was(inside, text):
    row = {"name": text, "category": "offer", "fields": {"title": text, "body": f"{text}\nmore"}}
    Template.objects.create(workspace=inside.workspace, **row)
    resource = templates.TemplateResource(workspace=inside.workspace)
    for kind in ("csv", "xlsx"):
        data = resource.export(resource.get_queryset()).export(kind)
        read = read_table(data if isinstance(data, bytes) else data.encode())
        assert statuses(preview(read, inside.workspace)) == ["unchanged"]


def test_what_is_exported_comes_back_unchanged(inside):
    Template.objects.create(
        workspace=inside.workspace,
        name="+Plus",
        category="offer",
        fields={"title": "=SUM(A1)", "body": "-10%\r\nsecond", "deep_link": "@x"},
    )
    resource = templates.TemplateResource(workspace=inside.workspace)
    Template.objects.create(
        workspace=inside.workspace,
        name="Ra",
        category="offer",
        fields={"title": "T\x1b", "body": "'=kept"},
    )
    for kind in ("csv", "xlsx"):
        data = resource.export(resource.get_queryset()).export(kind)
        read = read_table(data if isinstance(data, bytes) else data.encode())
        assert {row.cells[5] for row in read.rows} == {"'=SUM(A1)", "T"}
        assert statuses(preview(read, inside.workspace)) == ["unchanged", "unchanged"]


def test_an_export_of_another_workspace_says_that_its_apostrophes_stay(inside):
    rows = ["A,en,offer,,'=SUM(A1),B,,", "B,en,offer,,'-10%,'@x,,", "C,en,offer,,'twas,B,,"]
    file = table(*rows)
    (note,) = preview(file, inside.workspace).notes
    assert note.startswith("2 new rows")
    commit(file, inside.workspace, by=inside.owner, source="a.csv")
    assert Template.objects.get(name="A").title == "'=SUM(A1)"
    assert preview(file, inside.workspace).notes == []


def test_a_table_survives_the_temporary_storage():
    read = read_table(TEXT.encode("cp1252"))
    assert Table.load(read.dump("Übung.csv")) == ("Übung.csv", read)


# --- the command line -----------------------------------------------------------------------------
MIXED = "\n".join(
    [
        HEADING,
        GOOD,
        "Cart,en,retention,loud,T,B,,",
        "Diwali,EN,offer,,T,B,,",
        f"Long,en,offer,,{'x' * 300},B,,",
    ]
)


def test_the_command_imports_into_a_workspace_or_the_library(cast, tmp_path, capsys):
    file = tmp_path / "good.csv"
    file.write_text(f"{HEADING}\n{GOOD}\n")
    call_command("import_templates", str(file), workspace=cast.workspace.slug)
    call_command("import_templates", str(file), "--global")
    call_command("import_templates", str(file), "--global", "--dry-run")
    assert "1 new, 0 changed, 0 unchanged" in capsys.readouterr().out
    with every_workspace():
        assert set(Template.objects.values_list("workspace", flat=True)) == {
            cast.workspace.pk,
            None,
        }
        assert AuditEntry.objects.get(action="templates imported").actor_label == "PushPilot"


def test_the_command_prints_every_problem_with_its_row_and_writes_nothing(cast, tmp_path, capsys):
    file = tmp_path / "mixed.csv"
    file.write_text(MIXED)
    with pytest.raises(CommandError, match="3 rows with errors, nothing was imported") as caught:
        call_command("import_templates", str(file), workspace=cast.workspace.slug)
    assert caught.value.returncode == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("row 3, tone: “loud” is not a valid tone. Use one of: cheerful")
    assert lines[1].startswith("row 4, name: Rows 2 and 4 both hold")
    assert lines[2].startswith(
        "row 5, title: The title has 300 characters. The limit is 120. Shorten it by 180 characters."
    )
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
        rows = list(Template.objects.values_list("category", "tone", "language", "channel"))
    assert len(rows) >= 60
    assert {row[0] for row in rows} == set(Template.Category.values)
    assert {row[1] for row in rows} == set(cells.choices_of("tone"))
    assert {row[2] for row in rows} == {"en", "hi", "pt-BR"}
    assert {row[3] for row in rows} == {"app_push"}
