"""The import and the export of templates in the console: who may what, from the file to the
saved rows."""

from __future__ import annotations

import csv
import io
import re

import openpyxl
import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from campaigns.admin.template import importing
from campaigns.imports import files
from campaigns.models import Template
from tenants.models import AuditEntry
from tenants.roles import Role
from tenants.scope import every_workspace, scope
from tenants.workspaces import add_member
from tests.campaigns.console import template_names
from tests.campaigns.import_pages import BAD, GOOD, HEADING, preview, rows_of, upload

pytestmark = pytest.mark.once

# --- the import -----------------------------------------------------------------------------------
PAGES = ("import/", "import/sample/", "import/errors/?upload=x", "process_import/", "export/")


@pytest.mark.parametrize("page", PAGES)
def test_import_pages_are_404_to_outsiders_and_lead_the_anonymous_to_sign_in(cast, page):
    url = cast.url(f"campaigns/template/{page}")
    assert cast.client("outsider").get(url).status_code == 404
    assert cast.client("outsider").post(url).status_code == 404
    assert cast.client("anonymous").get(url)["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("page", PAGES[:-1])
def test_a_viewer_may_not_import(cast, page):
    url = cast.url(f"campaigns/template/{page}")
    assert cast.client("viewer").get(url).status_code == 403
    takes_file = page == "import/"
    assert upload(cast.client("viewer"), url).status_code == (403 if takes_file else 415)


def test_the_list_offers_the_import_to_those_who_may(cast):
    url = cast.url("campaigns/template/import/")
    assert url in cast.client("member").get(cast.url("campaigns/template/")).content.decode()
    assert url not in cast.client("viewer").get(cast.url("campaigns/template/")).content.decode()


def test_the_sample_file_imports(cast):
    sample = cast.client("member").get(cast.url("campaigns/template/import/sample/"))
    assert sample["Content-Disposition"] == 'attachment; filename="templates-sample.csv"'
    _, page, _ = preview(cast, sample.content)
    assert rows_of(page) == [(2, "new"), (3, "new"), (4, "new")]


def test_a_good_file_is_previewed_confirmed_and_audited(cast):
    client, page, token = preview(cast)
    assert rows_of(page) == [(2, "new"), (3, "new")]
    assert "Import 2 templates" in page.content.decode()
    assert template_names(cast.workspace) == set()
    answer = client.post(
        cast.url("campaigns/template/process_import/"), {"upload": token}, follow=True
    )
    assert (
        "Templates imported from templates.csv: 2 new, 0 changed, 0 unchanged."
    ) in answer.content.decode()
    assert template_names(cast.workspace) == {"Diwali", "Cart"}
    with scope(cast.workspace):
        entry = AuditEntry.objects.get(action="templates imported")
    assert (entry.actor, entry.target, entry.detail["new"]) == (cast.member, "templates.csv", 2)


def test_an_upload_is_used_up_by_its_confirmation(cast):
    client, _, token = preview(cast)
    confirm = cast.url("campaigns/template/process_import/")
    client.post(confirm, {"upload": token})
    with scope(cast.workspace):
        Template.objects.filter(workspace=cast.workspace).delete()
    answer = client.post(confirm, {"upload": token}, follow=True)
    assert str(importing.GONE) in answer.content.decode()
    assert template_names(cast.workspace) == set()


def test_a_bad_file_shows_errors_first_and_imports_nothing_without_a_choice(cast, own):
    client, page, token = preview(cast, BAD)
    html = page.content.decode()
    assert rows_of(page) == [(3, "error"), (4, "error"), (2, "new")]
    assert "“ofer” is not a valid category." in html
    assert "Did you mean offer?" in html
    assert "Rows 2 and 4 both hold" in html
    answer = client.post(cast.url("campaigns/template/process_import/"), {"upload": token})
    assert answer.context["errors"] == 2
    assert template_names(cast.workspace) == {"Ours"}


def test_the_error_file_has_a_line_per_problem_and_no_formula(cast):
    bad = BAD.replace("Cart,en,ofer,,=cmd|x", 'Cart,en,ofer,,"=cmd|x {{ y"')
    client, _, token = preview(cast, bad)
    answer = client.get(cast.url("campaigns/template/import/errors/"), {"upload": token})
    assert answer["Content-Disposition"] == 'attachment; filename="errors-in-templates.csv"'
    lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert lines[0] == ["row", "column", "value", "error", "remedy"]
    assert [line[:3] for line in lines[1:]] == [
        ["3", "category", "ofer"], ["3", "title", "'=cmd|x {{ y"], ["4", "name", "Diwali"],
    ]  # fmt: skip


def test_the_chips_filter_the_rows(cast):
    client, page, token = preview(cast, BAD)
    only = client.get(cast.url("campaigns/template/import/"), {"upload": token, "status": "new"})
    assert rows_of(only) == [(2, "new")]
    assert [chip["count"] for chip in page.context["chips"]] == ["2", "1"]


def test_a_long_file_is_shown_in_part_and_imported_whole(cast, monkeypatch):
    monkeypatch.setattr(importing, "SHOWN_ROWS", 5)
    client, page, token = preview(
        cast, HEADING + "".join(f"\nT{n},en,offer,,T,B,," for n in range(12))
    )
    assert len(rows_of(page)) == 5
    assert page.context["not_shown"] == 7
    assert "7 more rows" in page.content.decode()
    client.post(cast.url("campaigns/template/process_import/"), {"upload": token})
    assert len(template_names(cast.workspace)) == 12


def test_a_file_that_changes_nothing_has_nothing_to_confirm(cast):
    client, _, token = preview(cast)
    client.post(cast.url("campaigns/template/process_import/"), {"upload": token})
    _, page, _ = preview(cast)
    assert rows_of(page) == [(2, "unchanged"), (3, "unchanged")]
    assert "Nothing to import" in page.content.decode()
    assert "process_import" not in page.content.decode()


def test_confirming_judges_again_what_has_changed_since_the_preview(cast):
    client, _, token = preview(cast)
    with scope(cast.workspace):
        Template.objects.create(
            workspace=cast.workspace,
            name="Cart",
            category="offer",
            fields={"title": "T", "body": "B"},
        )
    answer = client.post(
        cast.url("campaigns/template/process_import/"), {"upload": token}, follow=True
    )
    assert "1 new, 1 changed, 0 unchanged" in answer.content.decode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "The file is empty"),
        (HEADING, "nothing below it"),
        (b"\x89PNG\x00", "not a table that PushPilot can read"),
        ("name,title\nA,T", "are missing"),
        (f"{HEADING}\nA,en,offer,,\"T,B", "Row 2: the quotation marks do not match"),
        (b"PK\x03\x04rubbish", "This Excel file is damaged"),
        (b"\xd0\xcf\x11\xe0", "old (.xls) or password-protected"),
        (b"x" * (files.FILE_LIMIT + 1), "The limit is 10 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_file_of_no_use_is_explained_on_the_spot(cast, content, says):
    page = upload(cast.client("member"), cast.url("campaigns/template/import/"), content)
    assert page.status_code == 200
    assert says in page.content.decode().replace("&quot;", '"')


def test_no_file_at_all_is_explained_too(cast):
    page = cast.client("member").post(cast.url("campaigns/template/import/"))
    assert "Choose a CSV or Excel file." in page.content.decode()


def test_texts_of_a_file_are_no_markup(cast):
    _, page, _ = preview(cast, f"{HEADING}\n<script>alert(1)</script>,en,nope<b>,,T,B,,\n")
    assert "<script>alert(1)" not in page.content.decode()
    assert "nope<b>" not in page.content.decode()


def test_a_confirmation_needs_the_token_against_forgery(cast):
    _, _, token = preview(cast)
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.member, backend="tenants.access.EmailBackend")
    assert (
        client.post(cast.url("campaigns/template/process_import/"), {"upload": token}).status_code
        == 403
    )
    assert template_names(cast.workspace) == set()


# --- the walls ------------------------------------------------------------------------------------
def test_an_upload_belongs_to_one_person_in_one_workspace(cast):
    _, _, token = preview(cast, who="member")
    add_member(cast.other_workspace, cast.member, Role.MEMBER)
    there = f"/w/{cast.other_workspace.slug}/admin/campaigns/template/"
    attempts = [
        (cast.client("owner"), cast.url("campaigns/template/")),  # a colleague
        (cast.client("member"), there),  # the same person elsewhere
        (cast.client("other_owner"), there),  # a stranger at home
    ]
    for client, base in attempts:
        for answer in (
            client.post(base + "process_import/", {"upload": token}, follow=True),
            client.get(base + "import/", {"upload": token}, follow=True),
            client.get(base + "import/errors/", {"upload": token}, follow=True),
        ):
            assert str(importing.GONE) in answer.content.decode()
            assert "Diwali" not in answer.content.decode()
    assert template_names(cast.workspace) == template_names(cast.other_workspace) == set()


def test_a_name_of_the_temporary_storage_alone_opens_nothing(cast):
    cache.clear()
    _, _, token = preview(cast)
    (key,) = [key for key in cache._cache if "django-import-export-" in key]
    name = key.rpartition("django-import-export-")[2]
    for forged in (name, token.replace(token[:4], "AAAA"), token + "x", ""):
        answer = cast.client("member").post(
            cast.url("campaigns/template/process_import/"), {"upload": forged}, follow=True
        )
        assert str(importing.GONE) in answer.content.decode()
    assert template_names(cast.workspace) == set()


def test_a_workspace_column_in_an_upload_writes_nowhere_else(cast, foreign):
    content = f"id,workspace,{HEADING}\n{foreign.pk},{cast.other_workspace.pk},Secret,en,offer,,Overwritten,B,,\n"
    client, page, token = preview(cast, content)
    assert (
        "PushPilot ignores columns that templates do not have: “id” and “workspace”."
        in page.content.decode()
    )
    client.post(cast.url("campaigns/template/process_import/"), {"upload": token})
    with every_workspace():
        assert {(t.workspace_id, t.title) for t in Template.objects.all()} == {
            (cast.other_workspace.pk, "Secret title"), (cast.workspace.pk, "Overwritten"),
        }  # fmt: skip


def test_the_temporary_storage_works_across_processes(cast, settings, tmp_path):
    """The file-based cache, read by a second process."""
    import subprocess
    import sys

    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path / "cache"),
        }
    }
    _, _, token = preview(cast)
    code = (
        "import django; from django.conf import settings;"
        f"settings.configure(CACHES={settings.CACHES!r}, SECRET_KEY={settings.SECRET_KEY!r}); "
        "django.setup();from django.core import signing; from import_export.tmp_storages import "
        f"CacheStorage;name = signing.loads({token!r}, "
        f"salt='campaigns.template_import:{cast.workspace.pk}:{cast.member.pk}');print(CacheStorage(name=name).read().decode())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert '"Diwali"' in out


# --- both doors -----------------------------------------------------------------------------------
def test_the_command_line_and_the_console_give_a_file_the_same_statuses(
    cast, own, tmp_path, capsys
):
    mixed = f"{BAD}Ours,en,offer,,T,B,,\nLong,en,offer,loud,{'x' * 300},,x,\n"
    file = tmp_path / "mixed.csv"
    file.write_text(mixed)
    with pytest.raises(CommandError):
        call_command("import_templates", str(file), workspace=cast.workspace.slug)
    told = set(capsys.readouterr().err.splitlines())
    client, _, token = preview(cast, mixed)
    answer = client.get(cast.url("campaigns/template/import/errors/"), {"upload": token})
    lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))[1:]
    assert told == {
        f"row {row}, {column}: {text} {remedy}" for row, column, _, text, remedy in lines
    }
    assert len(told) == 6


# --- the export -----------------------------------------------------------------------------------
def exported(cast, fmt: int, query: str = "", who: str = "viewer") -> bytes:
    answer = cast.client(who).post(cast.url(f"campaigns/template/export/{query}"), {"format": fmt})
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith('attachment; filename="templates-')
    return answer.content


def test_the_export_offers_csv_and_xlsx_and_nothing_else(cast, own, library):
    page = cast.client("viewer").get(cast.url("campaigns/template/export/"))
    assert page.context["sentence"] == (
        "1 template of your workspace and 1 template of the global library"
    )
    assert page.context["sentence"] in page.content.decode()
    assert [title for value, title in page.context["form"].fields["format"].choices if value] == [
        "csv",
        "xlsx",
    ]
    assert (
        cast.client("viewer")
        .post(cast.url("campaigns/template/export/"), {"format": "2"})
        .status_code
        == 200
    )


def test_a_filter_that_the_list_does_not_have_is_left_out_of_the_export(cast):
    url = cast.url("campaigns/template/export/")
    answer = cast.client("viewer").get(f"{url}?status__in=draft")
    assert (answer.status_code, answer.headers["Location"]) == (302, url)


def test_the_export_holds_what_the_list_shows_without_formulae(cast, own, library, foreign):
    with scope(cast.workspace):
        Template.objects.filter(pk=own.pk).update(
            fields={"title": "=HYPERLINK(1)", "body": "@x\x0b"}
        )
    lines = list(csv.reader(io.StringIO(exported(cast, 0, "?library=own").decode("utf-8-sig"))))
    heading = ["name", "channel", *HEADING.split(",")[1:]]
    assert lines == [
        heading,
        ["Ours", "app_push", "en", "offer", "", "'=HYPERLINK(1)", "'@x", "", ""],
    ]
    sheet = openpyxl.load_workbook(io.BytesIO(exported(cast, 1))).active
    assert [row[0].value for row in sheet.rows] == ["name", "Ours", "Welcome"]
    assert sheet["F2"].value == "'=HYPERLINK(1)"


def test_choosing_foreign_rows_for_the_export_yields_none(cast, own, foreign):
    answer = cast.client("viewer").post(
        cast.url("campaigns/template/export/"), {"format": "0", "export_items": [str(foreign.pk)]}
    )
    assert b"Secret" not in answer.content


@pytest.mark.parametrize("content", [GOOD, BAD])
def test_pages_obey_the_content_security_policy(cast, content):
    _, page, _ = preview(cast, content)
    start = cast.client("member").get(cast.url("campaigns/template/import/"))
    for html in (page.content.decode(), start.content.decode()):
        own_part = html[html.index('class="im-steps"') :]
        assert not re.search(r"<script(?![^>]*\bsrc=)", own_part)
        assert not re.search(r"\son(click|change|submit)=", own_part)
