"""What benchmarks of sending share: CPU of processes and of database sessions, and the lines of
a table."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    name: str
    messages: int
    seconds: float
    cpu_secs: float
    database_cpu_secs: float = 0.0

    @property
    def cpu_ms_per_thousand(self) -> float:
        return 1e6 * (self.cpu_secs + self.database_cpu_secs) / self.messages

    def times_less_than(self, baseline: Measured) -> float:
        return baseline.cpu_ms_per_thousand / self.cpu_ms_per_thousand

    def line(self, baseline: Measured) -> str:
        return (
            f"{self.name:<46}{self.messages:>9,}{self.messages / self.seconds:>11,.0f}"
            f"{1e6 * self.cpu_secs / self.messages:>11,.0f}{1e6 * self.database_cpu_secs / self.messages:>10,.0f}"
            f"{self.times_less_than(baseline):>9.1f}×"
        )


HEADER = f"{'':<46}{'messages':>9}{'a second':>11}{'CPU client':>11}{'database':>10}{'less':>10}"


class Meter:
    """CPU of this process and of its PostgreSQL session between start and end. SQLite works
    inside this process."""

    def __enter__(self) -> Meter:
        self._session = self._backend()
        self._own, self._database, self._clock = (
            self._own_cpu(),
            cpu_secs_of(self._session),
            time.monotonic(),
        )
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.monotonic() - self._clock
        self.cpu_secs = self._own_cpu() - self._own
        self.database_cpu_secs = cpu_secs_of(self._session) - self._database
        if self._backend() != self._session:
            raise RuntimeError(
                "The session was lost on the way, and with it what it had used: measure again."
            )

    def measured(self, name: str, messages: int) -> Measured:
        return Measured(name, messages, self.seconds, self.cpu_secs, self.database_cpu_secs)

    def _own_cpu(self) -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def _backend(self) -> list[int]:
        from django.db import connection

        if connection.vendor != "postgresql":
            return []
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return [cursor.fetchone()[0]]


def cpu_secs_of(pids: Iterable[int]) -> float:
    """User and system seconds that these processes have used; a process that has ended counts
    nothing."""
    return sum(_own_and_childrens(pid)[0] for pid in pids)


def cpu_secs_of_ended_children(pids: Iterable[int]) -> float:
    """The same of all their children that have ended, and of theirs."""
    return sum(_own_and_childrens(pid)[1] for pid in pids)


def _own_and_childrens(pid: int) -> tuple[float, float]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0, 0.0
    utime, stime, cutime, cstime = map(int, fields[11:15])
    return (utime + stime) / TICK, (cutime + cstime) / TICK


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def memory_mb_of(pid: int) -> float:
    """Resident memory of its own (without pages shared with other processes of the family)."""
    try:
        fields = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in fields if line.startswith("Pss:")) / 1024
