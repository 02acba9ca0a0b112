"""The few statements that run for every group of messages: written by hand, or compiled once by
Django (dispatch).

Django builds the SQL of a query anew each time and sends its values inside the text, so
PostgreSQL plans each anew. Here a statement is prepared once per session. With `by_index` that
brought a thousand messages from 266 ms CPU in this process and 177 in PostgreSQL to 205 and 72,
measured within the same hour.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection as database
from django.db import transaction


def run(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Execute a statement with values for its `%s`; returns its rows ([] if it has none).

    The same transaction, scope (row-level security) and errors as Django's own cursors.
    """
    # on PostgreSQL it carries the scope and opens a lost connection again
    with database.cursor() as cursor:
        if database.vendor != "postgresql":
            cursor.execute(sql, values)
            if cursor.description:
                return list(cursor.fetchall())
            return []
        import psycopg

        session = database.connection
        # Django's own cursors bind on the client: this does not concern them
        if session.prepare_threshold is None:
            session.prepare_threshold = 5
        with database.wrap_database_errors, psycopg.Cursor(session) as prepared:
            prepared.execute(sql, values, prepare=True)
            if prepared.description:
                return prepared.fetchall()
            return []


@contextlib.contextmanager
def by_index() -> Iterator[None]:
    """A transaction in which PostgreSQL finds rows by their keys, whatever it believes about the
    tables.

    A ledger that was just filled has no statistics, and a prepared plan is kept while a table
    grows: it read all of 20,000 rows for each group of 128 (41 ms), and would read a million.
    """
    with transaction.atomic():
        if is_postgresql():
            run(
                "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', "
                "'off', true), set_config('enable_mergejoin', 'off', true)",
                [],
            )
        yield


def is_postgresql() -> bool:
    return database.vendor == "postgresql"


def stamp(moment: datetime) -> str:
    """A moment as both databases store it and read it from JSON."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f") + ("+00:00" if is_postgresql() else "")


def moment(stored: Any) -> datetime:
    """A moment as a raw row holds it: SQLite's has no zone and may be a text."""
    found = stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)
    if found.tzinfo:
        return found
    return found.replace(tzinfo=UTC)


def plain(text: str, length: int) -> str:
    """Make a foreign text fit both databases."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")[:length]


def database_now(ahead: timedelta = timedelta()) -> str:
    """SQL for the database's clock, the one that leases are counted by."""
    secs = ahead.total_seconds()
    if is_postgresql():
        return f"(statement_timestamp() + interval '{secs} seconds')"
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', '{secs:+} seconds')"
