"""No table with a workspace stands outside of the third wall."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from campaigns.models import Campaign
from tenants.models import Workspace
from tenants.rowsecurity import ProtectRows, unprotected_tables
from tenants.scope import every_workspace, scope

only_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="PostgreSQL has row-level security"
)


def unprotected_models(loader: MigrationLoader) -> list[str]:
    """Models with a workspace that no ProtectRows of their app's migrations covers."""
    found = {model._meta.label_lower for model in apps.get_models() if _has_workspace(model)}
    for (app, name), migration in loader.disk_migrations.items():
        for operation in migration.operations:
            if isinstance(operation, ProtectRows):
                found -= {
                    f"{app}.{model}"
                    for model in operation.names(app, loader.project_state((app, name)))
                }
    return sorted(found)


def _has_workspace(model) -> bool:
    try:
        return model._meta.get_field("workspace").related_model is Workspace
    except FieldDoesNotExist:
        return False


def test_a_migration_protects_every_model_with_a_workspace():
    assert unprotected_models(MigrationLoader(None)) == []


def test_a_model_without_protection_is_caught():
    loader = MigrationLoader(None)
    for (app, _), migration in loader.disk_migrations.items():
        if app == "delivery":
            migration.operations = [
                op for op in migration.operations if not isinstance(op, ProtectRows)
            ]
    ours = [
        model._meta.label_lower
        for model in apps.get_app_config("delivery").get_models()
        if _has_workspace(model)
    ]
    assert "delivery.message" in ours
    assert unprotected_models(loader) == sorted(ours)


def _as_owner(sql: str) -> None:
    """For this test's transaction; under ROW_SECURITY=1 the tests are not the owner."""
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute(sql)


@only_postgresql
@pytest.mark.django_db
def test_the_database_holds_a_policy_for_every_table_with_a_workspace():
    assert unprotected_tables(connection) == []


@only_postgresql
@pytest.mark.django_db
@pytest.mark.parametrize(
    "fault",
    [
        "DROP POLICY workspace_rows ON campaigns_campaign",
        "ALTER TABLE campaigns_campaign DISABLE ROW LEVEL SECURITY",
        "CREATE TABLE campaigns_later (workspace_id bigint)",
    ],
)
def test_a_table_without_its_policy_is_caught(fault):
    _as_owner(fault)
    assert len(unprotected_tables(connection)) == 1


@pytest.mark.skipif(not settings.ROW_SECURITY, reason="this run has no third wall")
def test_this_run_stands_behind_the_wall(cast):
    """`make test-rowsecurity` would prove nothing as the owner of the tables."""
    with scope(cast.workspace):
        Campaign.objects.create(workspace=cast.workspace, name="Offer")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM campaigns_campaign")
        assert cursor.fetchone() == (0,)
        with every_workspace():
            cursor.execute("SELECT count(*) FROM campaigns_campaign")
            assert cursor.fetchone() == (1,)
