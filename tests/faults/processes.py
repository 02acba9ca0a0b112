"""The product's processes as the laboratory sees and hurts them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# of the watchdog: an idle worker that is killed while it holds the queue's lock hangs its cluster
STALE_SECS = 8
STOP_MOST_SECS = 30  # what issue 4 promises


class Workers:
    """A number of `manage.py worker`, started again by us as systemd would."""

    def __init__(self, count: int, log: Path) -> None:
        self._log = log.open("ab")
        self.watchdogs = [self._start() for _ in range(count)]

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", "worker", "--stale-secs", str(STALE_SECS)]
        return subprocess.Popen(command, cwd=ROOT, stdout=self._log, stderr=self._log)

    def replace(self, watchdog: subprocess.Popen[bytes]) -> None:
        """Start another one in the place of one that has ended."""
        self.watchdogs[self.watchdogs.index(watchdog)] = self._start()

    def of_clusters(self, watchdog: subprocess.Popen[bytes] | None = None) -> list[int]:
        """The pids of every q2 process (parent, sentinel, pool, pusher, monitor), not of the
        watchdogs."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError, IndexError):
                    state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                    if state != "Z":
                        children.setdefault(int(parent), []).append(int(entry.name))
        roots = [watchdog] if watchdog else self.watchdogs
        found, todo = [], [pid for root in roots for pid in children.get(root.pid, [])]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += children.get(pid, [])
        return found

    def stop(self) -> None:
        for watchdog in self.watchdogs:
            watchdog.terminate()
        for watchdog in self.watchdogs:
            with contextlib.suppress(subprocess.TimeoutExpired):
                watchdog.wait(STOP_MOST_SECS + 10)
            watchdog.kill()
            watchdog.wait()
        self._log.close()


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def all_end(pids: list[int], within_secs: float) -> bool:
    until = time.monotonic() + within_secs
    while any(lives(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def kill(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def freeze(pids: list[int], secs: float) -> bool:
    """SIGSTOP all, wait, SIGCONT all. Whether any was there."""
    stopped = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
    time.sleep(secs if stopped else 0)
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    return bool(stopped)


def senders(run_id: int, dice: random.Random) -> list[int]:
    """The pids that hold a lease of the run now, in random order."""
    from delivery.models import Shard
    from tenants.scope import every_workspace

    with every_workspace():
        owners = Shard.objects.filter(run=run_id, state=Shard.State.LEASED).values_list(
            "owner", flat=True
        )
        pids = sorted(
            {int(owner.split(":")[1]) for owner in owners if owner.split(":")[1].isdecimal()}
        )
    dice.shuffle(pids)
    return pids
