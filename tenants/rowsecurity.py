"""The third tenant wall: PostgreSQL's row-level security on every table with a workspace.

A policy lets a role see and write only the rows of the scope that its connection carries (see
tenants.postgres), whatever SQL it runs. The owner of the tables is not held, so migrations and
installations with a single role go on as before; with ROW_SECURITY on, the product connects as a
role that owns nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

__all__ = ["ProtectRows", "unprotected_tables"]

# Each in a sub-select of its own: computed once per statement, so that a row costs one comparison
# of numbers (parsed for each row, the setting doubled the database's work on a list of 10,000
# campaigns). Without a default: a role that is held but whose connection carries no scope at all
# gets an error, not an empty answer.
_SETTING = "current_setting('pushpilot.workspace')"
_OWN = (
    f"workspace_id = (SELECT NULLIF(NULLIF({_SETTING}, ''), '*')::bigint) OR (SELECT "
    f"{_SETTING} = '*')"
)
_ENABLE = "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
_DISABLE = "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
_ROWS = f"CREATE POLICY workspace_rows ON {{table}} USING ({_OWN})"
_LIBRARY = (
    f"CREATE POLICY library_rows ON {{table}} FOR SELECT USING (workspace_id IS NULL AND (SELECT "
    f"{_SETTING} <> ''))"
)
_DROP = "DROP POLICY IF EXISTS {name} ON {{table}}"


class ProtectRows(Operation):
    """Installs the policies on the tables of these models; of all the app's models with a
    workspace, if none is named.

    Rows without a workspace are everybody's to read and nobody's to write outside of
    every_workspace(). Nothing happens on other databases than PostgreSQL.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, *models: str) -> None:
        self.models = models

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        return (type(self).__name__, self.models, {})

    def describe(self) -> str:
        return f"Protect the rows of {', '.join(self.models) or 'every model with a workspace'}"

    def names(self, app_label: str, state: ProjectState) -> list[str]:
        """The models that this operation protects, in lower case."""
        if self.models:
            return sorted(name.lower() for name in self.models)
        return sorted(
            name
            for (app, name), model in state.models.items()
            if app == app_label and _is_tenant(model)
        )

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        pass

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        for model in self._models(app_label, schema_editor, to_state):
            is_optional = model._meta.get_field("workspace").null
            for sql in (_ENABLE, _ROWS, *([_LIBRARY] if is_optional else [])):
                self._execute(schema_editor, sql, model)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        for model in self._models(app_label, schema_editor, to_state):
            for sql in (
                _DROP.format(name="library_rows"),
                _DROP.format(name="workspace_rows"),
                _DISABLE,
            ):
                self._execute(schema_editor, sql, model)

    def _models(
        self, app_label: str, schema_editor: Any, state: ProjectState
    ) -> Iterable[type[models.Model]]:
        if schema_editor.connection.vendor != "postgresql":
            return []
        return [state.apps.get_model(app_label, name) for name in self.names(app_label, state)]

    def _execute(self, schema_editor: Any, sql: str, model: type[models.Model]) -> None:
        schema_editor.execute(sql.format(table=schema_editor.quote_name(model._meta.db_table)))


def _is_tenant(model: Any) -> bool:
    field = model.fields.get("workspace")
    return (
        isinstance(field, models.ForeignKey)
        and str(field.remote_field.model).lower() == "tenants.workspace"
    )


def unprotected_tables(connection: BaseDatabaseWrapper) -> list[str]:
    """The tables of a PostgreSQL database that have a workspace_id and no policy that minds it."""
    return [name for name, is_protected, _ in _tables(connection) if not is_protected]


def _tables(connection: BaseDatabaseWrapper) -> list[tuple[str, bool, bool]]:
    """(name, has the policy, which holds the connection's role) of each table with a
    workspace_id."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        return [(name, is_protected, is_held) for name, is_protected, is_held in cursor.fetchall()]


_TABLES = """
    SELECT t.relname,
           t.relrowsecurity AND EXISTS (
               SELECT FROM pg_policy WHERE polrelid = t.oid AND polname = 'workspace_rows'),
           row_security_active(t.oid)
    FROM pg_class AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attname = 'workspace_id'
    WHERE t.relkind IN ('r', 'p') AND NOT a.attisdropped AND pg_table_is_visible(t.oid)
    ORDER BY 1"""
NOT_HELD = (
    "ROW_SECURITY is on, but the database role owns the tables or bypasses row-level security: the "
    "wall does not stand for it. That is right for `migrate`; the web server and the workers need "
    "a role that owns nothing."
)


@register(Tags.database)
def wall_stands(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Does row-level security hold who connects, as ROW_SECURITY says?

    tenants.W011  it is on, but the role owns the tables or bypasses it
    tenants.E012  it is on, but a table has no policy
    tenants.E013  it is off, but the role is held: every page of a workspace would fail
    """
    found: list[CheckMessage] = []
    for connection in (connections[alias] for alias in databases or ()):
        if connection.vendor == "postgresql":
            found += _faults(connection)
    return found


def _faults(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    tables = _tables(connection)
    if not settings.ROW_SECURITY:
        if any(is_held for _, _, is_held in tables):
            text = (
                "Row-level security holds the database role, but ROW_SECURITY is off: no page "
                "would work."
            )
            hint = "Set ROW_SECURITY=1, or let DATABASE_URL name the role that owns the tables."
            yield Error(text, hint=hint, id="tenants.E013")
        return
    if any(is_protected and not is_held for _, is_protected, is_held in tables):
        hint = "docs/configuration.md has the SQL that makes the two roles."
        yield Warning(NOT_HELD, hint=hint, id="tenants.W011")
    naked = [name for name, is_protected, _ in tables if not is_protected]
    if naked:
        hint = (
            "Run `manage.py migrate`; a new model's migration needs ProtectRows "
            "(tenants/rowsecurity.py)."
        )
        yield Error(
            f"These tables have no row-level security: {', '.join(naked)}.",
            hint=hint,
            id="tenants.E012",
        )
