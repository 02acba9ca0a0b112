"""The database goes away in the middle."""

from __future__ import annotations

import contextlib
import sqlite3
import time

from tests.faults.laboratory import LEASE_SECS, Plain, Scene


class Outages(Plain):
    """PostgreSQL: every session of the product is ended, as by a restart of the server, some
    times in a row. SQLite: somebody else holds the write lock for longer than a lease."""

    title = "the database goes away"
    per_run = 3
    pause_secs = (0.5, 2.0)

    def strike(self, scene: Scene) -> bool:
        dice = scene.world.dice
        if scene.world.database_url.startswith("postgres"):
            until = time.monotonic() + dice.uniform(0.1, 3)
            ended = 0
            while time.monotonic() < until:
                ended += _end_sessions()
                time.sleep(0.1)
            scene.notes.append(f"{ended} sessions ended")
        else:
            _hold(
                scene.world.database_url.removeprefix("sqlite:///"),
                LEASE_SECS + dice.uniform(0.5, 4),
            )
        return True


def _end_sessions() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return len(cursor.fetchall())


def _hold(path: str, secs: float) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(secs)
        other.execute("ROLLBACK")
