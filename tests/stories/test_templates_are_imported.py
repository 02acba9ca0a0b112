"""Journey 3: a CSV of templates is imported, through HTTP; the command line uses the same
resource."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from campaigns.models import Template
from tenants.models import AuditEntry
from tenants.scope import scope

# As a German Excel writes it: byte order mark, semicolons, CRLF, a no-break space behind a name.
GOOD = (
    "\ufeffName;Category;Tone;Headline;Message\r\nEvening offer\u00a0;offer;cheerful;Tonight "
    "only;Free delivery\r\n"
)
BAD = (
    "name,category,title,body\nFine,offer,Hello,World\nWrong,sports,"
    + "x" * 300
    + ",World\nFine,offer,Hello,Again\n"
)


def upload(client, cast, text: str):
    file = SimpleUploadedFile("templates.csv", text.encode("utf-8"), "text/csv")
    return client.post(cast.url("campaigns/template/import/"), {"file": file}, follow=True)


def own_templates(cast) -> list[str]:
    with scope(cast.workspace):
        return list(
            Template.objects.filter(workspace=cast.workspace).values_list("name", flat=True)
        )


def test_a_file_is_previewed_confirmed_and_audited(cast):
    member = cast.client("member")
    preview = upload(member, cast, GOOD)
    html = preview.content.decode()
    assert "Evening offer" in html
    assert own_templates(cast) == []

    token = re.search(r'name="upload" value="([^"]+)"', html)
    assert token, "the preview offers nothing to confirm"
    member.post(cast.url("campaigns/template/process_import/"), {"upload": token[1]})
    assert own_templates(cast) == ["Evening offer"]
    with scope(cast.workspace):
        assert AuditEntry.objects.filter(action="templates imported").count() == 1


def test_a_bad_file_names_row_column_and_remedy_and_imports_nothing(cast):
    html = upload(cast.client("member"), cast, BAD).content.decode()
    assert "sports" in html  # the value, its row and what is allowed instead
    assert "festive" in html
    assert "120" in html  # the longest title
    assert "Rows 2 and 4 both hold" in html
    assert 'name="good" value="1"' in html, "only the good rows are offered"
    assert own_templates(cast) == []


def test_the_command_line_judges_the_same_file_the_same_way(cast, tmp_path, capsys):
    (tmp_path / "bad.csv").write_text(BAD, encoding="utf-8")
    with pytest.raises((CommandError, SystemExit)):
        call_command(
            "import_templates", str(tmp_path / "bad.csv"), "--workspace", cast.workspace.slug
        )
    assert own_templates(cast) == []
    (tmp_path / "good.csv").write_text(GOOD, encoding="utf-8")
    call_command("import_templates", str(tmp_path / "good.csv"), "--workspace", cast.workspace.slug)
    assert own_templates(cast) == ["Evening offer"]


def test_a_viewer_may_not_import(cast):
    assert upload(cast.client("viewer"), cast, GOOD).status_code == 403
    assert own_templates(cast) == []
