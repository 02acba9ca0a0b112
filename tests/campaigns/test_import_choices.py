"""What a person may choose on the preview of an import: the encoding, and whether the good rows alone are imported."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from campaigns.admin import template_import
from campaigns.models import Template
from tenants.scope import scope
from tests.campaigns.test_template_pages import HEADING, preview

KOI8 = f"{HEADING}\nA,ru,offer,,Распродажа,Скидки,,\n".encode("koi8_r")


def test_an_assumed_encoding_is_shown_with_a_sample_and_another_can_be_chosen(cast):
    client, page, token = preview(cast, KOI8)
    assert page.context["assumed"].encoding == "koi8_r"
    assert '<q dir="auto">Распродажа</q>' in page.content.decode()
    start = cast.url("campaigns/template/import/")
    answer = client.post(start, {"upload": token, "encoding": "cp1251"})
    again = client.get(start + answer["Location"])
    assert again.context["assumed"].encoding == "cp1251"
    assert again.context["report"].rows[0].values["title"] == "Распродажа".encode("koi8_r").decode("cp1251")
    assert template_import.GONE in client.get(start, {"upload": token}, follow=True).content.decode()


@pytest.mark.parametrize("encoding", ["utf_8", "rot13", ""])
def test_an_encoding_that_does_not_fit_leaves_the_preview_as_it_is(cast, encoding):
    client, _, token = preview(cast, KOI8)
    answer = client.post(cast.url("campaigns/template/import/"), {"upload": token, "encoding": encoding}, follow=True)
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
