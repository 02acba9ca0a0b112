"""The kept copy of the migrated database (tests/database.py) is that of these migrations and
lacks nothing."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests import database


def test_its_name_changes_with_the_modules_that_migrations_import(monkeypatch):
    before = database.state_of_migrations()
    assert database.state_of_migrations() == before
    rights = database.ROOT / "tenants/migrations/0005_row_security.py"
    assert database._imported(rights) == {database.ROOT / "tenants/rowsecurity.py"}
    monkeypatch.setattr(database, "_imported", lambda file: set())
    assert database.state_of_migrations() != before


def test_its_name_changes_with_a_migration(monkeypatch):
    before = database.state_of_migrations()
    read = database.Path.read_bytes
    changed = database.ROOT / "reports/migrations/0001_initial.py"
    monkeypatch.setattr(
        database.Path, "read_bytes", lambda file: read(file) + b"#" * (file == changed)
    )
    assert database.state_of_migrations() != before


@pytest.mark.django_db
def test_nothing_is_left_to_migrate():
    executor = MigrationExecutor(connection)
    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []
