"""A database role as production has one: it may use every table and owns none."""

from __future__ import annotations

from typing import Any

APP_ROLE = "pushpilot_test_app"
# roles are the server's: shared by runs
_MAKE = f"""
    DO $$ BEGIN CREATE ROLE {APP_ROLE} NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"""


def make_app_role(connection: Any) -> None:
    """The role with its rights on all tables that there are. TRUNCATE is for pytest-django,
    which flushes by it."""
    with connection.cursor() as cursor:
        cursor.execute(_MAKE)
        cursor.execute(
            "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA "
            f"public TO {APP_ROLE}"
        )
