"""The migrated database of the tests, made once and copied: migrating takes 15 seconds of CPU, a
copy 0.1.

A copy is kept for each state of the migrations: a file in pytest's cache for SQLite, a database
beside the test databases for PostgreSQL. Django migrates a copy like any other database, and
finds nothing to do.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import sqlite3
from pathlib import Path

import django
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connection

from tests.house.sources import ROOT

KEPT = 4
PREFIX = "pushpilot_migrated_"
KEPT_IN = ROOT / ".pytest_cache" / "d" / "migrated"  # where pytest's cache makes the folder


def state_of_migrations() -> str:
    """A name of what our migrations do: their text, and that of the modules of ours that they
    import."""
    files = {
        file for app in apps.get_app_configs() for file in Path(app.path).glob("migrations/*.py")
    }
    ours = {file for file in files if file.is_relative_to(ROOT) and ".venv" not in file.parts}
    read = ours | {module for file in ours for module in _imported(file)}
    text = hashlib.sha256(f"{django.VERSION} {connection.vendor}".encode())
    for file in sorted(read):
        text.update(file.read_bytes())
    return text.hexdigest()[:16]


def _imported(file: Path) -> set[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    paths = {ROOT.joinpath(*name.split(".")) for name in names}
    return {
        module
        for path in paths
        for module in (path.with_suffix(".py"), path / "__init__.py")
        if module.is_file()
    }


def migrate() -> None:
    """Make the tables of this process's database: SQLite's begin as the kept copy, if the tests
    left one. For benchmarks and the fault laboratory, which start on an empty database."""
    copy = KEPT_IN / f"{PREFIX}{state_of_migrations()}.sqlite3"
    if connection.vendor == "sqlite" and copy.is_file():
        shutil.copy(copy, connection.settings_dict["NAME"])
        return
    call_command("migrate", verbosity=0)


class Migrated:
    """The kept copy for these migrations. `lay` before Django creates the test database, `keep`
    after that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"{PREFIX}{state_of_migrations()}"
        self.file = folder / f"{self.name}.sqlite3"
        # a database in memory lives as long as somebody is connected
        self._held: sqlite3.Connection | None = None

    def lay(self) -> None:
        """Let the test database begin as the copy, if there is one."""
        if connection.vendor == "postgresql":
            if self.name in self._kept_databases():
                connection.settings_dict["TEST"]["TEMPLATE"] = self.name
            return
        name = connection.creation._get_test_db_name()
        if self.file.exists() and connection.creation.is_in_memory_db(name):
            self._held = sqlite3.connect(name, uri=True, check_same_thread=False)
            with sqlite3.connect(self.file) as copy:
                copy.backup(self._held)
            copy.close()
            os.utime(self.file)

    def keep(self) -> None:
        """Keep a copy of the test database that Django has just migrated, if there is none."""
        if connection.vendor == "postgresql":
            if self.name not in self._kept_databases():
                self._keep_database()
        elif not self.file.exists():
            self._keep_file()

    def _keep_file(self) -> None:
        connection.ensure_connection()
        unfinished = self.folder / f"{os.getpid()}.tmp"
        copy = sqlite3.connect(unfinished)
        connection.connection.backup(copy)
        copy.close()
        unfinished.replace(self.file)
        for old in sorted(self.folder.glob(f"{PREFIX}*"), key=lambda file: file.stat().st_mtime)[
            :-KEPT
        ]:
            old.unlink(missing_ok=True)

    def _keep_database(self) -> None:
        source = connection.settings_dict["NAME"]
        connection.close()  # nobody may be connected to what is copied
        with connection._nodb_cursor() as cursor:
            try:
                cursor.execute(f'CREATE DATABASE "{self.name}" TEMPLATE "{source}"')
            # another worker was first, or somebody looks at our database: the next run copies
            except DatabaseError:
                return
            for old in self._kept_databases()[KEPT:]:
                cursor.execute(f'DROP DATABASE IF EXISTS "{old}"')

    def _kept_databases(self) -> list[str]:
        """The newest first."""
        with connection._nodb_cursor() as cursor:
            cursor.execute(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY oid DESC",
                [PREFIX],
            )
            return [name for (name,) in cursor.fetchall()]

    def close(self) -> None:
        if self._held:
            self._held.close()
