"""What the sandbox accepted, kept: the truth that tests compare the ledger with.

Served from memory, written behind to SQLite in batches (a kill -9 of the sandbox itself may cost
the last 100 ms). Every accepted message keeps (seq, project, token, ref, name, at); whole bodies
only the newest BODIES_KEPT a project.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from delivery.providers.fcm.sandbox.oauth import PublicKey

BODIES_KEPT = 10_000
_TRIM_EVERY = 5_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    project_id TEXT NOT NULL, key_id TEXT PRIMARY KEY, client_email TEXT NOT NULL,
    pem TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS uninstalled (
    project_id TEXT, address TEXT, PRIMARY KEY (project_id, address));
CREATE TABLE IF NOT EXISTS accepted (
    seq INTEGER PRIMARY KEY, project_id TEXT NOT NULL, token TEXT NOT NULL, ref TEXT NOT NULL,
    name TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS bodies (
    seq INTEGER PRIMARY KEY, project_id TEXT NOT NULL, body BLOB NOT NULL);
-- trimming, and reading at start
CREATE INDEX IF NOT EXISTS bodies_by_project ON bodies (project_id, seq);
"""


@dataclass(slots=True, frozen=True)
class Accepted:
    """One accepted message; `body` is the request as it came. `at` in epoch seconds."""

    seq: int
    project_id: str
    token: str
    ref: str
    name: str
    at: float
    body: bytes

    def as_json(self) -> dict[str, Any]:
        """As the log route shows it."""
        return {
            "seq": self.seq,
            "at": self.at,
            "name": self.name,
            "token": self.token,
            "ref": self.ref,
            "validate_only": False,
            "message": msgspec.json.decode(self.body)["message"],
        }


class Store:
    """The sandbox's memory and its file. Writing may happen in another thread than accepting."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # isolation_level=None: transactions are opened by hand.
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=20)
        self._db_lock = threading.Lock()
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._recent: dict[str, deque[Accepted]] = {}
        self._pending: list[Accepted] = []
        self._untrimmed: dict[str, int] = {}
        self.last_seq = int(
            self._db.execute("SELECT coalesce(max(seq), 0) FROM accepted").fetchone()[0]
        )
        self._load_recent()

    def fact(self, name: str, default: bytes) -> bytes:
        """A value kept for good: the stored one, or `default`, which is stored now."""
        with self._db_lock:
            self._db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, default))
            value: bytes = self._db.execute(
                "SELECT value FROM facts WHERE name = ?", (name,)
            ).fetchone()[0]
        return value

    def keys(self) -> list[PublicKey]:
        """Every public key."""
        rows = self._db.execute(
            "SELECT project_id, key_id, client_email, pem FROM keys ORDER BY rowid"
        )
        return [PublicKey(*row) for row in rows]

    def add_key(self, key: PublicKey) -> None:
        """Keep a public key."""
        with self._db_lock:
            values = (key.project_id, key.key_id, key.client_email, key.pem)
            self._db.execute("INSERT INTO keys VALUES (?, ?, ?, ?)", values)

    def uninstalled(self) -> set[tuple[str, str]]:
        """(project, address) of every uninstalled app."""
        return {
            (row[0], row[1])
            for row in self._db.execute("SELECT project_id, address FROM uninstalled")
        }

    def uninstall(self, project_id: str, address: str) -> None:
        """Keep an uninstall."""
        with self._db_lock:
            self._db.execute(
                "INSERT OR IGNORE INTO uninstalled VALUES (?, ?)", (project_id, address)
            )

    def accept(self, project_id: str, token: str, ref: str, at: float, body: bytes) -> str:
        """Log a message and return its FCM name."""
        self.last_seq += 1
        name = f"projects/{project_id}/messages/0:{int(at * 1_000_000)}%{self.last_seq:016x}"
        entry = Accepted(self.last_seq, project_id, token, ref, name, at, body)
        self._recent_of(project_id).append(entry)
        self._pending.append(entry)
        return name

    def page(self, project_id: str, after: int, limit: int) -> list[Accepted]:
        """The oldest `limit` of the kept messages with a seq above `after`."""
        found = []
        for entry in reversed(self._recent.get(project_id, ())):
            if entry.seq <= after:
                break
            found.append(entry)
        return found[: -limit - 1 : -1]

    def accepted(self, project_id: str) -> Iterator[tuple[str, str, int]]:
        """Every (ref, token, times accepted) of a project; flush first. Reads over a connection
        of its own."""
        reader = sqlite3.connect(self._path, timeout=20)
        try:
            yield from reader.execute(
                "SELECT ref, token, count(*) FROM accepted WHERE project_id = ? GROUP BY ref, "
                "token",
                (project_id,),
            )
        finally:
            reader.close()

    def flush(self) -> None:
        """Write what is pending, in one transaction. Any thread."""
        with self._db_lock:
            pending, self._pending = self._pending, []
            if not pending:
                return
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO accepted VALUES (?, ?, ?, ?, ?, ?)",
                [(e.seq, e.project_id, e.token, e.ref, e.name, e.at) for e in pending],
            )
            self._db.executemany(
                "INSERT INTO bodies VALUES (?, ?, ?)",
                [(e.seq, e.project_id, e.body) for e in pending],
            )
            self._trim(pending)
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Write what is pending and close the file."""
        self.flush()
        self._db.close()

    def _recent_of(self, project_id: str) -> deque[Accepted]:
        return self._recent.setdefault(project_id, deque(maxlen=BODIES_KEPT))

    def _load_recent(self) -> None:
        rows = self._db.execute(
            "SELECT a.seq, a.project_id, token, ref, name, at, body FROM accepted a JOIN bodies "
            "USING (seq) ORDER BY a.seq"
        )
        for row in rows:
            self._recent_of(row[1]).append(Accepted(*row))

    def _trim(self, written: list[Accepted]) -> None:
        for entry in written:
            self._untrimmed[entry.project_id] = self._untrimmed.get(entry.project_id, 0) + 1
        for project_id, count in list(self._untrimmed.items()):
            if count >= _TRIM_EVERY:
                del self._untrimmed[project_id]
                self._db.execute(
                    "DELETE FROM bodies WHERE project_id = ?1 AND seq <= (SELECT seq FROM bodies "
                    "WHERE project_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
                    (project_id, BODIES_KEPT),
                )
