"""The third wall as production meets it: a database role that owns no table, and SQL that
forgets to filter."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.checks import CheckMessage
from django.db import IntegrityError, ProgrammingError, connection, connections, transaction
from django.db.backends.postgresql.base import DatabaseWrapper as PlainWrapper
from django.db.migrations.state import ProjectState

from campaigns.models import Campaign, Template
from tenants import rowsecurity
from tenants.postgres.base import DatabaseWrapper
from tenants.scope import every_workspace, scope
from tests.approle import APP_ROLE, make_app_role
from tests.cast import Cast

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="PostgreSQL has row-level security"
)

NAMES = "SELECT name FROM campaigns_campaign ORDER BY name"


def wrapper_of(kind: type[PlainWrapper], role: str = APP_ROLE) -> PlainWrapper:
    """A connection of its own to the tests' database; role "" is who made the tables."""
    found = copy.deepcopy(connection.settings_dict)
    found["OPTIONS"].pop("assume_role", None)
    if role:
        found["OPTIONS"]["assume_role"] = role
    return kind(found, "default")


@pytest.fixture
def both(transactional_db, cast: Cast) -> Cast:
    """Two workspaces with a campaign each: “ours” and “theirs”."""
    for workspace, name in ((cast.workspace, "ours"), (cast.other_workspace, "theirs")):
        with scope(workspace):
            Campaign.objects.create(workspace=workspace, name=name)
    return cast


@pytest.fixture
def walled(both: Cast) -> Iterator[DatabaseWrapper]:
    """Everything in this thread goes through a connection of a role that owns nothing."""
    usual = connections["default"]
    if not settings.ROW_SECURITY:
        make_app_role(usual)
    connections["default"] = wrapper_of(DatabaseWrapper)
    yield connections["default"]
    connections["default"].close()
    connections["default"] = usual


def seen(sql: str = NAMES, through: PlainWrapper | None = None) -> list[str]:
    with (through or connection).cursor() as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]


def written(sql: str, *parameters: object) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.rowcount


# --- what is seen and written ---------------------------------------------------------------------
def test_sql_without_a_filter_sees_the_rows_of_its_scope_alone(both, walled):
    with scope(both.workspace):
        assert seen() == ["ours"]
    with scope(both.other_workspace):
        assert seen() == ["theirs"]
        with every_workspace():
            assert seen() == ["ours", "theirs"]
            with scope(both.workspace):
                assert seen() == ["ours"]
        assert seen() == ["theirs"]


def test_outside_of_any_scope_there_are_no_rows(walled):
    assert seen() == []


def test_a_foreign_row_can_neither_be_written_nor_changed_nor_deleted(both, walled):
    insert = (
        "INSERT INTO campaigns_endpoint (workspace_id, contact_id, channel, kind, value, platform, "
        "opted_in, is_active, retired_reason, created_at) VALUES (%s, 1, '', '', '', '', true, "
        "true, '', now())"
    )
    with scope(both.workspace):
        for workspace in (both.other_workspace.pk, None):
            with pytest.raises((ProgrammingError, IntegrityError), match="row-level security"):
                written(insert, workspace)
        assert written("UPDATE campaigns_campaign SET name = 'taken' WHERE name = 'theirs'") == 0
        assert written("DELETE FROM campaigns_campaign WHERE name = 'theirs'") == 0
        with pytest.raises(ProgrammingError, match="row-level security"):
            written("UPDATE campaigns_campaign SET workspace_id = %s", both.other_workspace.pk)
    with every_workspace():
        assert seen() == ["ours", "theirs"]


def test_outside_of_any_scope_nothing_is_written(both, walled):
    assert written("DELETE FROM campaigns_campaign") == 0
    with pytest.raises(ProgrammingError, match="row-level security"):
        Campaign(workspace=both.workspace, name="stray").save()


def test_the_library_is_read_in_every_scope_and_written_in_none(both, walled):
    names = "SELECT name FROM campaigns_template"
    with every_workspace():
        Template.objects.create(
            name="Welcome", category="welcome", fields={"title": "T", "body": "B"}
        )
    assert seen(names) == []
    with scope(both.workspace):
        assert seen(names) == ["Welcome"]
        assert written("UPDATE campaigns_template SET name = 'Mine'") == 0
        assert written("DELETE FROM campaigns_template") == 0
        with pytest.raises(ProgrammingError, match="row-level security"):
            Template.objects.create(
                name="Ours for all", category="welcome", fields={"title": "T", "body": "B"}
            )


# --- the scope that a connection carries ----------------------------------------------------------
def test_it_is_right_after_a_rollback(both, walled):
    with scope(both.workspace):
        assert seen() == ["ours"]
        with scope(both.other_workspace):
            with transaction.atomic():
                assert seen() == ["theirs"]
                transaction.set_rollback(True)
            assert seen() == ["theirs"]
        assert seen() == ["ours"]


def test_it_is_right_after_the_rollback_to_a_savepoint(both, walled):
    with transaction.atomic():
        with scope(both.workspace):
            before = transaction.savepoint()
        with scope(both.other_workspace):
            assert seen() == ["theirs"]
            transaction.savepoint_rollback(before)
            assert seen() == ["theirs"]


@pytest.mark.parametrize("depth", ["savepoint", "transaction"])
def test_it_is_right_after_an_error(both, walled, depth):
    with every_workspace():
        assert seen() == ["ours", "theirs"]
        with transaction.atomic() if depth == "savepoint" else scope(both.other_workspace):
            with contextlib.suppress(ProgrammingError), transaction.atomic(), scope(both.workspace):
                assert seen() == ["ours"]
                written("SELECT nothing")
            assert seen() == (["ours", "theirs"] if depth == "savepoint" else ["theirs"])
        assert seen() == ["ours", "theirs"]


def test_it_is_right_after_the_commit_of_a_failed_transaction_which_is_a_rollback(both, walled):
    with every_workspace():
        assert seen() == ["ours", "theirs"]
    with scope(both.workspace):
        with transaction.atomic():
            assert seen() == ["ours"]
            with pytest.raises(ProgrammingError):
                written("SELECT nothing")
        assert seen() == ["ours"]


def test_a_cursor_that_outlives_its_scope_follows_the_next_one(both, walled):
    with scope(both.workspace), connection.cursor() as cursor, scope(both.other_workspace):
        cursor.execute(NAMES)
        assert cursor.fetchall() == [("theirs",)]


@pytest.mark.parametrize("inside", [True, False])
def test_a_server_side_cursor_keeps_the_scope_that_it_was_opened_in(both, walled, inside):
    with scope(both.workspace):
        Campaign.objects.bulk_create(
            Campaign(workspace=both.workspace, name=f"ours {i}") for i in range(5)
        )
        with transaction.atomic() if inside else scope(both.workspace):
            rows = Campaign.objects.order_by("pk").iterator(chunk_size=2)
            first = next(rows)
            with scope(both.other_workspace):
                assert seen() == ["theirs"]
                assert [first.name, *(row.name for row in rows)] == [
                    "ours",
                    *(f"ours {i}" for i in range(5)),
                ]


def test_copy_gives_out_the_rows_of_the_scope(both, walled):
    with (
        scope(both.workspace),
        connection.cursor() as cursor,
        cursor.copy("COPY campaigns_campaign TO STDOUT") as rows,
    ):
        assert b"".join(bytes(part) for part in rows).count(b"\n") == 1


def test_a_connection_that_somebody_else_used_carries_nothing_over(both, walled):
    """A pool hands out connections with what was set on them."""
    with every_workspace():
        assert seen() == ["ours", "theirs"]
    again = wrapper_of(DatabaseWrapper)
    again.get_new_connection = lambda parameters: walled.connection
    assert seen(through=again) == []


def test_a_new_connection_of_the_same_thread_is_right_at_once(both, walled):
    with scope(both.workspace):
        assert seen() == ["ours"]
        walled.close()
        assert seen() == ["ours"]


def test_threads_do_not_share_it(both, walled):
    met, found = threading.Barrier(2, timeout=20), {}

    def look(workspace, key):
        mine = wrapper_of(DatabaseWrapper)
        with scope(workspace):
            for _ in range(20):
                met.wait()
                found.setdefault(key, set()).update(seen(through=mine))
        mine.close()

    threads = [
        threading.Thread(target=look, args=pair)
        for pair in ((both.workspace, "ours"), (both.other_workspace, "theirs"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"ours": {"ours"}, "theirs": {"theirs"}}


def test_the_isolation_level_can_be_set_first_thing_in_a_scope(both, walled):
    assert seen() == []  # so that the new scope is carried inside the transaction
    with scope(both.workspace), transaction.atomic():
        written("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        assert seen("SHOW transaction_isolation") == ["serializable"]


# --- who is told when the wall does not stand -----------------------------------------------------
def faults(through: PlainWrapper, settings, is_on: bool) -> list[str]:
    usual, connections["default"], settings.ROW_SECURITY = connections["default"], through, is_on
    try:
        found: list[CheckMessage] = rowsecurity.wall_stands(databases=["default"])
        return [message.id for message in found]
    finally:
        through.close()
        connections["default"] = usual


@pytest.mark.parametrize(
    ("role", "is_on", "found"),
    [
        (APP_ROLE, True, []),
        (APP_ROLE, False, ["tenants.E013"]),
        ("", True, ["tenants.W011"]),
        ("", False, []),
    ],
)
def test_the_system_check_compares_the_role_with_the_setting(walled, settings, role, is_on, found):
    assert (
        faults(wrapper_of(DatabaseWrapper if is_on else PlainWrapper, role), settings, is_on)
        == found
    )


def test_the_system_check_names_a_table_without_a_policy(walled, settings):
    owner = wrapper_of(PlainWrapper, "")
    with owner.cursor() as cursor:
        cursor.execute("CREATE TABLE public.later (workspace_id bigint)")
    try:
        assert faults(wrapper_of(DatabaseWrapper), settings, True) == ["tenants.E012"]
    finally:
        with owner.cursor() as cursor:
            cursor.execute("DROP TABLE public.later")
        owner.close()


def test_a_web_server_that_is_not_held_says_so_in_its_log(walled, monkeypatch, caplog):
    for role, count in (("", 1), (APP_ROLE, 1)):
        monkeypatch.setattr(DatabaseWrapper, "_has_looked", False)
        other = wrapper_of(DatabaseWrapper, role)
        seen("SELECT 1", other)
        other.close()
        assert caplog.text.count("the wall does not stand") == count


def test_without_the_setting_a_held_role_gets_an_error_instead_of_empty_pages(walled):
    plain = wrapper_of(PlainWrapper)
    with pytest.raises(ProgrammingError, match=r"pushpilot\.workspace"):
        seen(through=plain)
    plain.close()


# --- shown to catch -------------------------------------------------------------------------------
def test_the_migration_can_be_undone_and_then_there_is_no_wall(both, walled):
    """Also what every assertion above is worth: without the policy the foreign rows are there."""
    owner = wrapper_of(PlainWrapper, "")
    state = ProjectState.from_apps(Campaign._meta.apps)
    protect = rowsecurity.ProtectRows("Campaign", "Template")
    with owner.schema_editor() as editor:
        protect.database_backwards("campaigns", editor, state, state)
    try:
        assert seen() == ["ours", "theirs"]
        assert rowsecurity.unprotected_tables(owner) == ["campaigns_campaign", "campaigns_template"]
    finally:
        with owner.schema_editor() as editor:
            protect.database_forwards("campaigns", editor, state, state)
        owner.close()
    assert seen() == []
