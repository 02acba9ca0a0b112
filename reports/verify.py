"""Proof of the roll-ups: recomputed from the events they stand for, they must match exactly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection

from reports.digest import QUARTER_SECS
from tenants.models import Workspace

# The quarter of an hour as a number, the same in both databases.
_QUARTER = {
    "postgresql": f"FLOOR(EXTRACT(EPOCH FROM {{}}) / {QUARTER_SECS})::bigint",
    # Cut, because SQLite rounds to milliseconds, which can be the next quarter.
    "sqlite": f"CAST(strftime('%%s', substr({{}}, 1, 19)) AS INTEGER) / {QUARTER_SECS}",
}
# One statement, so that both sides are seen at the same moment however many digests run meanwhile.
_ROLLUPS = """
    SELECT quarter, campaign_id, run_id, type,
           SUM(events), SUM(people), SUM(rolled_events), SUM(rolled_people)
    FROM (
        SELECT {occurred} AS quarter, COALESCE(campaign_id, 0) AS campaign_id,
               COALESCE(run_id, 0) AS run_id, type,
               COUNT(*) AS events, 0 AS people, 0 AS rolled_events, 0 AS rolled_people
        FROM reports_event WHERE workspace_id = %s GROUP BY 1, 2, 3, 4
        UNION ALL
        SELECT {first}, campaign_id, run_id, type, 0, COUNT(*), 0, 0
        FROM reports_engagement WHERE workspace_id = %s GROUP BY 1, 2, 3, 4
        UNION ALL
        SELECT {rolled}, campaign_id, run_id, type, 0, 0, events, people
        FROM reports_rollup WHERE workspace_id = %s
    ) AS sides
    GROUP BY 1, 2, 3, 4
    HAVING SUM(events) <> SUM(rolled_events) OR SUM(people) <> SUM(rolled_people)
    ORDER BY 1, 2, 3, 4"""
_FIRSTS = """
    SELECT message_id, type, SUM(counted) FROM (
        SELECT DISTINCT message_id, type, 1 AS counted FROM reports_event
        WHERE workspace_id = %s AND message_id IS NOT NULL
        UNION ALL
        SELECT message_id, type, -1 FROM reports_engagement WHERE workspace_id = %s
    ) AS sides
    GROUP BY 1, 2 HAVING SUM(counted) <> 0 ORDER BY 1, 2"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that does not match; `expected` is what the events say."""

    what: str
    expected: int
    found: int

    def __str__(self) -> str:
        return f"{self.what}: {self.expected} expected, {self.found} found"


def verify_rollups(workspace: Workspace) -> list[Difference]:
    """Every difference between a workspace's roll-ups and its events; empty if they match. Reads
    all events."""
    floor = _QUARTER[connection.vendor]
    sql = _ROLLUPS.format(
        occurred=floor.format("occurred_at"),
        first=floor.format("first_at"),
        rolled=floor.format("quarter"),
    )
    differences = []
    with connection.cursor() as cursor:
        cursor.execute(sql, [workspace.pk] * 3)
        for (
            quarter,
            campaign,
            run,
            kind,
            events,
            people,
            rolled_events,
            rolled_people,
        ) in cursor.fetchall():
            at = datetime.fromtimestamp(int(quarter) * QUARTER_SECS, UTC)
            what = f"{kind} of campaign {campaign}, run {run}, {at:%Y-%m-%d %H:%M} UTC"
            if events != rolled_events:
                differences.append(Difference(f"events {what}", int(events), int(rolled_events)))
            if people != rolled_people:
                differences.append(Difference(f"people {what}", int(people), int(rolled_people)))
        cursor.execute(_FIRSTS, [workspace.pk] * 2)
        for message_id, kind, off in cursor.fetchall():
            differences.append(
                Difference(f"first {kind} of message {message_id}", int(off > 0), int(off < 0))
            )
    return differences
