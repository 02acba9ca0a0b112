"""What a person may choose on the preview of an import: the encoding, and whether the good rows
alone are imported."""

from __future__ import annotations

import csv
import io

import pytest
from django.core.management import call_command

from campaigns.admin.template import importing
from campaigns.imports import templates
from campaigns.models import Template
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.campaigns.console import template_names
from tests.campaigns.import_pages import BAD, HEADING, preview, rows_of

KOI8 = f"{HEADING}\nA,ru,offer,,Распродажа,Скидки,,\n".encode("koi8_r")


def test_an_assumed_encoding_is_shown_with_a_sample_and_another_can_be_chosen(cast):
    client, page, token = preview(cast, KOI8)
    assert page.context["assumed"].encoding == "koi8_r"
    assert '<q dir="auto">Распродажа</q>' in page.content.decode()
    start = cast.url("campaigns/template/import/")
    answer = client.post(start, {"upload": token, "encoding": "cp1251"})
    again = client.get(start + answer["Location"])
    assert again.context["assumed"].encoding == "cp1251"
    assert again.context["report"].rows[0].values["title"] == "Распродажа".encode("koi8_r").decode(
        "cp1251"
    )
    assert str(importing.GONE) in client.get(start, {"upload": token}, follow=True).content.decode()


@pytest.mark.parametrize("encoding", ["utf_8", "rot13", ""])
def test_an_encoding_that_does_not_fit_leaves_the_preview_as_it_is(cast, encoding):
    client, _, token = preview(cast, KOI8)
    answer = client.post(
        cast.url("campaigns/template/import/"), {"upload": token, "encoding": encoding}, follow=True
    )
    assert answer.status_code == 200
    assert answer.context["assumed"].encoding == "koi8_r"


def test_a_file_in_unicode_asks_nobody_about_its_encoding(cast):
    assert "im-encoding" not in preview(cast)[1].content.decode()


def test_the_command_line_names_the_encoding_and_takes_another(cast, tmp_path, capsys):
    file = tmp_path / "ru.csv"
    file.write_bytes(KOI8)
    call_command("import_templates", str(file), workspace=cast.workspace.slug, dry_run=True)
    assert "Cyrillic (KOI8-R): “Распродажа”" in capsys.readouterr().out
    call_command("import_templates", str(file), workspace=cast.workspace.slug, encoding="koi8_r")
    with scope(cast.workspace):
        assert Template.objects.get(workspace=cast.workspace).title == "Распродажа"


# --- the good rows alone --------------------------------------------------------------------------
def refused(client, cast, token: str) -> list[list[str]]:
    answer = client.get(cast.url("campaigns/template/import/refused/"), {"upload": token})
    assert answer["Content-Disposition"] == 'attachment; filename="refused-rows-of-templates.csv"'
    content = b"".join(answer) if answer.streaming else answer.content
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def imported(client, cast, token: str, **choice: str):
    return client.post(
        cast.url("campaigns/template/process_import/"), {"upload": token, **choice}, follow=True
    )


def test_the_good_rows_are_imported_if_the_user_wants_that_and_the_refused_ones_are_a_file(cast):
    client, page, token = preview(cast, BAD)
    assert 'name="good"' in page.content.decode()
    after = imported(client, cast, token, good="1")
    assert template_names(cast.workspace) == {"Diwali"}
    assert rows_of(after) == [(3, "error"), (4, "error"), (2, "unchanged")]
    assert 'name="good"' not in after.content.decode()
    with scope(cast.workspace):
        entry = AuditEntry.objects.get(action="templates imported")
    assert entry.detail == {"new": 1, "changed": 0, "unchanged": 0, "refused": 2}
    heading, *rows = refused(client, cast, token)
    assert heading == [*HEADING.split(","), templates.REFUSED_BECAUSE]
    assert [(row[0], row[4]) for row in rows] == [("Cart", "'=cmd|x"), ("Diwali", "T")]
    assert all(row[-1] for row in rows)


def test_without_that_choice_nothing_is_imported(cast):
    client, _, token = preview(cast, BAD)
    assert rows_of(imported(client, cast, token)) == [(3, "error"), (4, "error"), (2, "new")]
    assert template_names(cast.workspace) == set()


def test_a_file_without_a_good_row_offers_no_import(cast):
    _, page, _ = preview(cast, f"{HEADING}\nA,en,ofer,,T,B,,\n")
    assert "process_import" not in page.content.decode()


def test_a_corrected_file_of_refused_rows_imports_as_it_was_meant(cast):
    client, _, token = preview(
        cast, f"{HEADING}\nA,en,ofer,,=5,'=6,,\nB,en,offer,,T,B,,\nC,en,offer,,T\x1b,B,,\n"
    )
    imported(client, cast, token, good="1")
    corrected = io.StringIO(newline="")
    rows = [[cell.replace("ofer", "offer") for cell in row] for row in refused(client, cast, token)]
    csv.writer(corrected).writerows(rows)
    client, page, token = preview(cast, corrected.getvalue())
    assert page.context["report"].notes == []
    imported(client, cast, token)
    with scope(cast.workspace):
        mine = Template.objects.filter(workspace=cast.workspace).order_by("name")
        assert list(mine.values_list("name", "title")) == [("A", "=5"), ("B", "T"), ("C", "T")]


def test_good_rows_that_somebody_else_adds_meanwhile_fail_whole(cast, monkeypatch):
    original = templates.TemplateResource.bulk_create

    def somebody_is_faster(self, *args, **kwargs):
        if self.create_instances:
            Template.objects.create(
                workspace=cast.workspace,
                name="Diwali",
                category="offer",
                fields={"title": "T", "body": "B"},
            )
        return original(self, *args, **kwargs)

    client, _, token = preview(
        cast, BAD.replace("Diwali,en", "First,en,offer,,T,B,,\nDiwali,en", 1)
    )
    monkeypatch.setattr(templates.TemplateResource, "bulk_create", somebody_is_faster)
    assert str(templates.MEANWHILE) in imported(client, cast, token, good="1").content.decode()
    assert template_names(cast.workspace) == set()


def test_the_command_line_writes_the_refused_rows_to_a_file(cast, tmp_path):
    file, rest = tmp_path / "bad.csv", tmp_path / "refused.csv"
    file.write_text(BAD)
    call_command(
        "import_templates", str(file), workspace=cast.workspace.slug, refused=rest, verbosity=0
    )
    assert template_names(cast.workspace) == {"Diwali"}
    rows = list(csv.reader(io.StringIO(rest.read_text(encoding="utf-8-sig"), newline="")))
    assert [row[0] for row in rows] == ["name", "Cart", "Diwali"]
