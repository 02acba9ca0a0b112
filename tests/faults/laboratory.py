"""A product under attack: its own database, sandbox and workers, a run, and somebody with `kill -9`."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEASE_SECS = 2
STALE_SECS = 8  # of the watchdog: an idle worker that is killed while it holds the queue's lock hangs its cluster


@dataclass
class Report:
    """What the ledger says beside what the sandbox saw."""

    recipients: int
    states: dict[str, int]
    kills: int
    takeovers: int
    lost: int
    unaccounted: int
    twice: int
    twice_unflagged: int
    unknown: int
    seconds: float

    @property
    def is_clean(self) -> bool:
        from delivery.work import WINDOW

        balanced = sum(self.states.values()) == self.recipients
        bounded = self.unknown <= WINDOW * self.takeovers
        return balanced and bounded and not (self.lost or self.unaccounted or self.twice_unflagged)

    def line(self) -> str:
        states = ", ".join(f"{slug} {n}" for slug, n in sorted(self.states.items()))
        return (
            f"{self.recipients} recipients, {self.kills} kills, {self.takeovers} takeovers, {self.seconds:.0f} s: "
            f"{states} | lost {self.lost}, unaccounted {self.unaccounted}, sent twice {self.twice}"
            f" (unflagged {self.twice_unflagged})"
        )


def prepare_environment(folder: Path, database_url: str, sandbox_url: str) -> None:
    """Point this process and its children at a database and folder of their own. Call before Django is set up."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "pushpilot.settings",
        "DATA_DIR": str(folder),
        "DATABASE_URL": database_url,
        "SANDBOX_URL": sandbox_url,
        "LEASE_SECS": str(LEASE_SECS),
        "SEND_UNDO_SECS": "0",
        "LOG_LEVEL": "CRITICAL",
    }
    os.environ.pop("REDIS_URL", None)


@contextlib.contextmanager
def fresh_database(wanted: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database: a SQLite file, or a new one on the PostgreSQL server that `wanted` names."""
    if not wanted.startswith("postgres"):
        yield f"sqlite:///{folder / 'faults.sqlite3'}"
        return
    import psycopg

    name = f"faults_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(wanted, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{wanted.rpartition('/')[0]}/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def running_workers(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "manage.py", "worker", "--stale-secs", str(STALE_SECS)]
    workers = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(count)
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            try:
                worker.wait(60)
            except subprocess.TimeoutExpired:
                worker.kill()


def cluster_processes(workers: list[subprocess.Popen[bytes]]) -> list[int]:
    """The pids of every q2 process (parent, sentinel, pool, pusher, monitor), not of the watchdogs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid for worker in workers for pid in children.get(worker.pid, [])]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def kill_at_random(workers: list[subprocess.Popen[bytes]], dice: random.Random) -> bool:
    pids = cluster_processes(workers)
    if not pids:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(dice.choice(pids), signal.SIGKILL)
    return True


def attack(
    run_id: int, workers: list[subprocess.Popen[bytes]], kills: int, dice: random.Random, within_secs: float
) -> int:
    """Kill `kills` processes while the run sends; wait until it has ended. Returns how many were killed."""
    from campaigns.models import Run
    from delivery.models import Shard
    from tenants.scope import every_workspace

    done, until = 0, time.monotonic() + within_secs
    with every_workspace():
        while time.monotonic() < until:
            run = Run.objects.get(pk=run_id)
            if run.is_ended and run.finished_at:
                return done
            sending = Shard.objects.filter(run=run, state=Shard.State.LEASED).exists()
            if done < kills and sending and kill_at_random(workers, dice):
                done += 1
            time.sleep(dice.uniform(0.05, 0.5))
        raise AssertionError(f"the run did not end within {within_secs} s: {run.state}, {run.last_error}")
