"""The digest's statements: set-based, the same SQL on SQLite (≥ 3.35) and PostgreSQL.

Each insert names its rows in key order, so that two digests that touch the same keys wait for
each other instead of deadlocking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from campaigns.models import Contact, Endpoint

# SQLite takes 32,766 parameters in a statement; beyond some thousand rows a statement gains
# nothing.
_PARAMETERS = 20_000

_EVENT_FIELDS = (
    "workspace_id",
    "event_id",
    "type",
    "name",
    "campaign_id",
    "run_id",
    "message_id",
    "contact_id",
    "external_user_id",
    "occurred_at",
    "received_at",
    "metadata",
)


class EventRow(NamedTuple):
    """A row of reports_event, in the order of its columns; `metadata` is JSON text."""

    workspace_id: int
    event_id: str
    type: str
    name: str
    campaign_id: int | None
    run_id: int | None
    message_id: int | None
    contact_id: int | None
    external_user_id: str
    occurred_at: datetime
    received_at: datetime
    metadata: str


class EngagementRow(NamedTuple):
    workspace_id: int
    campaign_id: int
    run_id: int
    message_id: int
    type: str
    first_at: datetime


class RollupKey(NamedTuple):
    workspace_id: int
    quarter: datetime
    campaign_id: int
    run_id: int
    type: str


def insert_events(rows: Sequence[EventRow]) -> set[str]:
    """Insert those whose event id the workspace has not seen; returns their ids."""
    sql = (
        f"INSERT INTO reports_event ({', '.join(_EVENT_FIELDS)}) VALUES {{rows}} "  # noqa: S608
        "ON CONFLICT (workspace_id, event_id) DO NOTHING RETURNING event_id"
    )
    in_order = sorted(rows, key=lambda row: row.event_id)
    return {row[0] for row in _execute(sql, in_order)}


def insert_engagements(rows: Sequence[EngagementRow]) -> set[tuple[int, str]]:
    """Insert the firsts among them; returns their (message id, type)."""
    sql = (
        "INSERT INTO reports_engagement (workspace_id, campaign_id, run_id, message_id, type, "
        "first_at) VALUES {rows} ON CONFLICT (workspace_id, message_id, type) DO NOTHING RETURNING "
        "message_id, type"
    )
    in_order = sorted(rows, key=lambda row: (row.message_id, row.type))
    return {(row[0], row[1]) for row in _execute(sql, in_order)}


def add_to_rollups(counts: Mapping[RollupKey, tuple[int, int]]) -> None:
    """Add (events, people) to each key's roll-up."""
    sql = (
        "INSERT INTO reports_rollup (workspace_id, quarter, campaign_id, run_id, type, events, "
        "people) VALUES {rows} ON CONFLICT (workspace_id, quarter, campaign_id, run_id, type) DO "
        "UPDATE SET events = reports_rollup.events + excluded.events, people = "
        "reports_rollup.people + excluded.people RETURNING id"
    )
    for _ in _execute(sql, [(*key, *counts[key]) for key in sorted(counts)]):
        pass


def move_last_seen(model: type[Contact | Endpoint], seen: Mapping[int, datetime]) -> None:
    """Contacts, or endpoints, were seen at these moments; an earlier one changes nothing. The
    caller holds their row locks."""
    table = model._meta.db_table
    sql = (
        "WITH seen (pk, at) AS (VALUES {rows}) "  # noqa: S608
        f"UPDATE {table} SET last_seen_at = seen.at FROM seen WHERE {table}.id = seen.pk "
        f"AND ({table}.last_seen_at IS NULL OR {table}.last_seen_at < seen.at) "
        f"RETURNING {table}.id"
    )
    for _ in _execute(sql, sorted(seen.items())):
        pass


def _execute(sql: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Run the statement for all rows, in as few pieces as the database allows; yields what it
    returns."""
    if not rows:
        return
    width = len(rows[0])
    one = f"({', '.join(['%s'] * width)})"
    step = _PARAMETERS // width
    adapt = connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        for start in range(0, len(rows), step):
            piece = rows[start : start + step]
            values = [
                adapt(value) if isinstance(value, datetime) else value
                for row in piece
                for value in row
            ]
            cursor.execute(sql.format(rows=", ".join([one] * len(piece))), values)
            yield from cursor.fetchall()
