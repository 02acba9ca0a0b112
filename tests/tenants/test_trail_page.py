"""The audit trail's page: filters, one entry, and the CSV of what is filtered."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.functional import lazy
from django.utils.translation import get_language, override

from campaigns.models import Template
from pushpilot.sites import console
from tenants import audit
from tenants.admin.trail import page as trail
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.pages import text

LIST = "tenants/auditentry/"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NAMES = {"Plain", "By admin", "Late", "Of the engine", "Theirs"}


@pytest.fixture
def kept(cast):
    """Four entries that differ in everything, beside those of the cast. 20:00 UTC is the next
    day in Kolkata."""
    shared = {
        "actor_label": "Owner Rao",
        "actor": cast.owner,
        "action": "run paused",
        "via": "console",
        "at": NOON,
    }
    engine = {
        "actor": None,
        "actor_label": "PushPilot",
        "via": "engine",
        "action": "campaign missed",
    }
    entries = {
        "Plain": {},
        "By admin": {"actor": cast.admin, "action": "campaign scheduled", "via": "api"},
        "Late": {"at": NOON + timedelta(hours=8)},
        "Of the engine": engine,
    }
    with scope(cast.workspace):
        AuditEntry.objects.bulk_create(
            AuditEntry(workspace=cast.workspace, target=target, **shared | fields)
            for target, fields in entries.items()
        )
    with scope(cast.other_workspace):
        AuditEntry.objects.create(
            workspace=cast.other_workspace, actor=cast.outsider, action="theirs", target="Theirs"
        )


def listed(cast, query: str) -> set[str]:
    page = text(cast.client("admin").get(cast.url(f"{LIST}?{query}")))
    return {name for name in NAMES if f">{name}<" in page}


def exported(cast, query: str = "", who="admin") -> list[dict[str, str]]:
    answer = cast.client(who).get(cast.url(f"{LIST}export/?{query}"))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    lines = answer.getvalue().decode()
    assert lines.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(lines[1:])))


CASES = [
    ("", {"Plain", "By admin", "Late", "Of the engine"}),
    ("person={owner}", {"Plain", "Late"}),
    ("person={outsider}", set()),
    ("person=pushpilot", {"Of the engine"}),
    ("person=x", set()),
    ("person=99999999999999999999", set()),
    ("action=campaign+scheduled", {"By admin"}),
    ("action=theirs", set()),
    ("via__exact=api", {"By admin"}),
    ("target=Late", {"Late"}),
    ("at_from=2026-11-21", {"Late"}),
    ("at_to=2026-11-20", {"Plain", "By admin", "Of the engine"}),
    ("at_from=2026-11-20&at_to=2026-11-20&person={admin}", {"By admin"}),
]


@pytest.mark.parametrize(("query", "found"), CASES)
def test_the_list_and_the_file_hold_what_the_filters_say(cast, kept, query, found):
    query = query.format(owner=cast.owner.pk, admin=cast.admin.pk, outsider=cast.outsider.pk)
    assert listed(cast, query) == found
    assert {row["target"] for row in exported(cast, query)} & NAMES == found


def test_only_what_the_workspace_s_trail_holds_can_be_chosen(cast, kept):
    page = text(cast.client("admin").get(cast.url(LIST)))
    assert "Owner Rao (owner@biddano.test)" in page
    assert "Campaign missed" in page
    assert "outsider@biddano.test" not in page
    assert "Theirs" not in page


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            "at_from=yesterday&target=Late",
            "“yesterday” is not a date. Write a date such as 2026-11-21.",
        ),
        ("at_to=0001-01-01&target=Late", "“0001-01-01” is not a date"),
        ("at_to=9999-12-31&target=Late", "“9999-12-31” is not a date"),
        ("at_from=2026-11-21&at_to=2026-11-20&target=Late", "2026-11-21 is after 2026-11-20: swap"),
    ],
)
def test_what_is_no_date_is_said_and_never_ignored(cast, kept, query, sentence):
    for path in (LIST, f"{LIST}export/"):
        client = cast.client("admin")
        answer = client.get(cast.url(f"{path}?{query}"))
        assert answer.headers["Location"] == cast.url(f"{LIST}?target=Late")
        assert sentence in text(client.get(answer.headers["Location"]))


def test_a_filter_that_there_is_not_exports_nothing(cast, kept):
    assert cast.client("admin").get(cast.url(f"{LIST}export/?x=1")).status_code == 400
    with scope(cast.workspace):
        assert not AuditEntry.objects.filter(action="audit trail exported").exists()


# --- one entry ------------------------------------------------------------------------------------
def test_an_entry_shows_before_and_after_as_a_table_and_escapes_it(cast):
    changes = {
        "time_zone": ("UTC", "<b>Asia"),
        "is_active": (True, None),
        "scopes": ([], ["events:write"]),
    }
    with scope(cast.workspace), audit.origin("api", "192.0.2.7"):
        made = audit.record(
            cast.workspace, "workspace changed", "Us & you", by=cast.owner, changes=changes
        )
    page = text(cast.client("admin").get(cast.url(f"{LIST}{made.pk}/change/")))
    assert '<th scope="row">Time zone</th><td>UTC</td><td>&lt;b&gt;Asia</td>' in page
    assert '<th scope="row">Is active</th><td>Yes</td><td>–</td>' in page
    assert "events:write" in page
    assert "192.0.2.7" in page
    assert f"{cast.url(LIST)}?target=Us+%26+you" in page


# --- the file -------------------------------------------------------------------------------------
def test_no_cell_is_a_formula_and_the_export_is_in_the_trail(cast, kept):
    with scope(cast.workspace):
        changes = {"name": ("a", "b")}
        audit.record(
            cast.workspace, "@run", "=cmd()", by=cast.owner, detail={"run": 7}, changes=changes
        )
    [row] = exported(cast, "target=%3Dcmd()")
    assert row["email"] == "owner@biddano.test"
    assert (row["who"], row["action"], row["target"], row["way"]) == (
        "Owner Rao",
        "'@run",
        "'=cmd()",
        "PushPilot",
    )
    assert (row["changes"], row["details"]) == ('{"name": ["a", "b"]}', '{"run": 7}')
    assert exported(cast, "target=Late")[0]["at"] == "2026-11-21T01:30:00+05:30"
    with scope(cast.workspace):
        kept_now = AuditEntry.objects.filter(action="audit trail exported").order_by("id").first()
    assert (kept_now.actor, kept_now.via, kept_now.detail) == (
        cast.admin,
        "console",
        {"filter": "target=%3Dcmd%28%29"},
    )


def test_the_file_is_read_page_by_page_each_entry_once(cast, kept, monkeypatch):
    """Three of the four entries are of the same moment: the place between two pages is time and
    id."""
    monkeypatch.setattr(trail, "CSV_ROWS", 1)
    with CaptureQueriesContext(connection) as queries:
        targets = [row["target"] for row in exported(cast, "at_from=2026-11-20")]
    assert [target for target in targets if target in NAMES] == [
        "Late",
        "Of the engine",
        "By admin",
        "Plain",
    ]
    assert sum(
        query["sql"].endswith("LIMIT 1") and "at" in query["sql"] for query in queries
    ) > len(targets)


@pytest.mark.parametrize("who", ["member", "viewer"])
def test_who_may_not_see_the_trail_gets_no_file(cast, who):
    assert cast.client(who).get(cast.url(f"{LIST}export/")).status_code == 403


def test_another_workspace_s_trail_is_404(cast):
    assert cast.client("outsider").get(cast.url(f"{LIST}export/")).status_code == 404


# --- a million entries ----------------------------------------------------------------------------
# {query: the index that answers it}
ANSWERED_BY = {
    "": "audit_newest",
    "person={owner}": "audit_newest_by_actor",
    "action=run+paused": "audit_newest_by_action",
    "via__exact=api": "audit_newest_by_via",
    "target=Late": "audit_newest_by_target",
}


def test_every_filter_reads_an_index_that_is_in_the_order_of_the_list(cast, kept):
    """With ten thousand entries, so that PostgreSQL takes the trouble: no sort, and no walk
    through the others."""
    with scope(cast.workspace):
        many = [
            AuditEntry(
                workspace=cast.workspace,
                actor=(cast.member, cast.owner)[n % 2],
                action=f"a{n % 50}",
                target=f"t{n}",
                via="engine",
            )
            for n in range(10_000)
        ]
        AuditEntry.objects.bulk_create(many, batch_size=2000)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            cursor.execute("ANALYZE tenants_auditentry")
    client = cast.client("admin")
    for query, index in ANSWERED_BY.items():
        with CaptureQueriesContext(connection) as queries:
            client.get(cast.url(f"{LIST}?{query.format(owner=cast.owner.pk)}"))
        [page] = [q["sql"] for q in queries if '"tenants_auditentry"."at" DESC' in q["sql"]]
        plan = plan_of(page)
        assert index in plan, query
        assert "sort" not in plan.lower().replace("sortorder", ""), query
        assert "TEMP B-TREE" not in plan, query


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            ("EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN ") + sql
        )
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def test_an_action_is_a_key_whatever_language_the_page_is_in(monkeypatch):
    in_words = lazy(lambda: {None: "template"}.get(get_language(), "Vorlage"), str)()
    monkeypatch.setattr(Template._meta, "verbose_name", in_words)
    with override("de"):
        assert str(Template._meta.verbose_name) == "Vorlage"
        assert console.get_model_admin(Template)._audited("changed") == "template changed"
