"""Every file that people take away: no cell of it is run as a formula.

Exports are found in the source (whoever calls `csv_answer`) and among the pages (import-export's
mixin). One that FED does not know fails: say there how to ask for it, and put its texts into
`fill`.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from import_export.mixins import BaseExportMixin

from campaigns.audience.reasons import Reason
from campaigns.models import Contact, Endpoint, Run, Template
from delivery.models import Message
from pushpilot.lib.spreadsheets import csv_line, safe
from tenants import audit
from tenants.scope import scope
from tests.cast import Cast
from tests.house.matrix.lists import address
from tests.house.matrix.surfaces import pages
from tests.house.rows import rows_of
from tests.house.sources import modules

pytestmark = pytest.mark.once

FORMULAS: list[str] = json.loads(Path(__file__).with_name("formulas-in-exports.json").read_text())
FORMULAS += [
    # What is dropped or passed over before the first character …
    "\x0b=1", "\x1f@x", "\x7f=1", "\x85=1", "\n=1", "\t-1", "\u00a0=1", "\u2003+1", "\u3000=1", "\ufeff=1", "\u2060=1",
    "\u00ad=1", "\u202e=1", "\u061c-1", "\U000e0020=1", "\ufe0f=1", "\u034f=1", "\u115f=1", "\u3164=1", "\u2800=1",
    # … and what is folded into it.
    "\ufe66=1", "\u207a1", "\uff0b1", "\uff0d1", "\ufe631", "\u22121", "\uff20x", "\ufe6bx", "\u200b\x01 \uff1d1",
    "=cmd|' /C calc'!A0",
]  # fmt: skip
HARMLESS = [
    "", "Asha", "'=1", "'Tis the season", "'", "''", "a=b", "1-1", "\u2013 20",
    "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\U0001f469\u200d\U0001f680 up", "7", "(deleted)", '"=1"', "/path", "%41", "two\nlines",
]  # fmt: skip
_DROPPED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


_BLANK = "\u115f\u3164\u2800\ufe0f\u034f"


def runs_as_formula(cell: str) -> bool:
    """Whether some spreadsheet would, after dropping and folding whatever it drops and folds."""
    shown = "".join(
        one for one in cell if unicodedata.category(one)[0] not in "CZ" and one not in _BLANK
    )
    starts = ("=", "+", "-", "@", "\u2212")
    return unicodedata.normalize("NFKC", shown).startswith(starts) or cell.startswith(
        ("\t", "\r", "\n")
    )


# --- the helper -----------------------------------------------------------------------------------
@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(text):
    assert runs_as_formula(text)
    assert not runs_as_formula(safe(text))
    assert safe(text) == "'" + _DROPPED.sub("", text)
    assert safe(safe(text)) == safe(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_any_other_text_stays_as_it_is(text):
    assert safe(text) == text


def test_no_cell_of_a_line_is_a_formula():
    cells = next(csv.reader(io.StringIO(csv_line([*FORMULAS, None, 7]), newline="")))
    assert [cell for cell in cells if runs_as_formula(cell)] == []
    assert cells[-2:] == ["", "7"]


# --- every export ---------------------------------------------------------------------------------
def fill(cast: Cast) -> None:
    """Rows that hold a formula in every text that an export shows. No database of ours keeps a
    NUL."""
    rows = rows_of(cast.workspace)
    run, workspace = rows[Run], cast.workspace
    texts = list(dict.fromkeys(text.replace("\0", "\x01") for text in FORMULAS))
    with scope(workspace):
        for number, text in enumerate(texts):
            Template.objects.create(
                workspace=workspace, name=f"{text}{number}", language="en", category="offer",
                fields={"title": text, "body": text, "deep_link": text},
            )  # fmt: skip
            contact = Contact.objects.create(workspace=workspace, external_id=text)
            endpoint = Endpoint.objects.create(
                workspace=workspace, contact=contact, value=f"{text}{number}"
            )
            Message.objects.create(
                workspace=workspace, run=run, contact=contact, endpoint=endpoint, reason=Reason.REJECTED,
                error_code=text, provider_id=text, attempted_at=timezone.now(),
            )  # fmt: skip
            audit.record(
                workspace, text, text, by=None, changes={text: (text, text)}, detail={text: text}
            )


def _get(path: str) -> Callable[[Cast], object]:
    return lambda cast: cast.client("owner").get(cast.url(path.format(run=Run.objects.get().pk)))


def _errors(cast: Cast, page: str = "errors") -> object:
    """The errors of an upload whose every row is refused for a formula where a category should
    be."""
    client, start = cast.client("owner"), cast.url("campaigns/template/import/")
    texts = [text for text in FORMULAS if not _DROPPED.search(text) and "\r" not in text]
    rows = [[f"a{number}", text, "T", "B"] for number, text in enumerate(texts)]
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([["name", "category", "title", "body"], *rows])
    upload = SimpleUploadedFile("=rows.csv", lines.getvalue().encode())
    token = client.post(start, {"file": upload}).headers["Location"].partition("?")[2]
    return client.get(f"{start}{page}/?{token}")


FED: dict[str, Callable[[Cast], object]] = {
    "delivery.admin.run.page.export_view": _get("campaigns/run/{run}/recipients.csv"),
    "tenants.admin.trail.page.export_view": _get("tenants/auditentry/export/"),
    "campaigns.admin.template.importing.errors_view": _errors,
    "campaigns.admin.template.importing.refused_view": partial(_errors, page="refused"),
}
OUR_OWN_WORDS = {"campaigns.admin.template.importing.sample_view"}


def found_in_the_source() -> set[str]:
    """Every function that answers with a CSV file."""
    return {
        f"{name}.{function.name}"
        for name, file in modules()
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "csv_answer"
    }


def table_of(answer: object) -> list[list[str]]:
    data: bytes = answer.getvalue()  # type: ignore[attr-defined]
    assert answer.headers["Content-Disposition"].startswith("attachment"), data[:500]  # type: ignore[attr-defined]
    if data.startswith(b"PK"):
        cells = [list(row) for row in openpyxl.load_workbook(io.BytesIO(data)).active.iter_rows()]
        assert not [cell for row in cells for cell in row if cell.data_type == "f"]
        return [[str(cell.value or "") for cell in row] for row in cells]
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def check(answer: object) -> None:
    table = table_of(answer)
    assert [cell for row in table for cell in row if runs_as_formula(cell)] == []
    kept_texts = sum(cell.startswith("'") for row in table for cell in row)
    assert kept_texts >= 20, "hardly a formula was fed: put the texts of this export into `fill`"


def test_every_csv_that_the_product_makes_is_known_here():
    assert found_in_the_source() == FED.keys() | OUR_OWN_WORDS


@pytest.mark.parametrize("export", FED)
def test_no_csv_holds_a_formula(cast, export):
    fill(cast)
    with scope(cast.workspace):
        ask = FED[export]
        answer = ask(cast)
    check(answer)


def test_no_export_of_a_list_holds_a_formula(cast):
    fill(cast)
    exporting = [(model, page) for model, page in pages() if isinstance(page, BaseExportMixin)]
    assert exporting
    for model, page in exporting:
        fields = {f"{prefix}{name}": "on" for resource in page.resource_classes for name in resource.fields
                  for prefix in ("", f"{resource.__name__.lower()}_")}  # fmt: skip
        for number, _ in enumerate(page.export_formats):
            url = cast.url(address(model, "export/"))
            check(
                cast.client("owner").post(url, {"format": str(number), "resource": "0", **fields})
            )


def test_only_the_helper_writes_tables():
    """Whoever writes CSV or a workbook elsewhere goes past the one place that knows formulas."""
    words = re.compile(r"csv\.(writer|DictWriter)|Workbook\(|tablib\.Dataset\(|\.to_csv\(")
    writing = {name for name, file in modules() if words.search(file.read_text(encoding="utf-8"))}
    # The second only holds the rows of an import for import-export.
    assert writing == {"pushpilot.lib.spreadsheets", "campaigns.imports.templates"}
